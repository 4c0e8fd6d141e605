#!/usr/bin/env bash
# Prints the path of a development tool, installed first where it is missing.
#
#   tools.sh NAME     one tool
#   tools.sh all      every tool, one path a line
#
# Versions are pinned here. Tools live in a cache outside the checkout, by
# version and by the Go release that compiled them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${KONG_JWT_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kong-jwt-operator}
names=(actionlint controller-gen crd-ref-docs ginkgo golangci-lint helm kubectl kustomize setup-envtest)

package() {
  case $1 in
  actionlint) echo github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 ;;
  controller-gen) echo sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 ;;
  crd-ref-docs) echo github.com/elastic/crd-ref-docs@v0.3.0 ;;
  ginkgo) echo github.com/onsi/ginkgo/v2/ginkgo@v2.34.0 ;;
  helm) echo helm.sh/helm/v4/cmd/helm@v4.3.1 ;;
  kustomize) echo sigs.k8s.io/kustomize/kustomize/v5@v5.8.2 ;;
  setup-envtest) echo sigs.k8s.io/controller-runtime/tools/setup-envtest@v0.25.1 ;;
  kubectl) echo "$root/hack/kubectl@$(kubectl_version)" ;;
  golangci-lint) echo "$root/hack/golangci-lint@$(linter_version)" ;;
  *) echo "tools: unknown tool $1; known: ${names[*]}" >&2; return 1 ;;
  esac
}

# golangci-lint is compiled with a plugin in it, and kubectl has no command in
# its module: each from a module of ours.
linter_version() { own_version golangci-lint github.com/golangci/golangci-lint/v2; }
kubectl_version() { own_version kubectl k8s.io/kubectl; }

# own_version FOLDER MODULE: the version of the module, and of what is around it.
own_version() {
  local folder=$root/hack/$1
  sed -n "s|^[[:space:]]*$2 \\(v[0-9.]*\\)\$|\\1|p" "$folder/go.mod" | tr '\n' -
  cat "$folder"/*.go "$folder/go.mod" "$folder/go.sum" | git hash-object --stdin | cut -c1-8
}

# Runs with the directory in which the tool's only file appears, once it is whole.
compile() {
  local package=$1 dir=$2 scratch=$2.$$
  mkdir -p "$scratch"
  if [[ $package == /* ]]; then
    (cd "${package%@*}" && GOFLAGS='' GOWORK=off CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=${package##*@v}" -o "$scratch/" .)
  else
    (cd / && GOFLAGS='' GOWORK=off CGO_ENABLED=0 GOBIN=$scratch go install -trimpath -ldflags "-s -w" "$package")
  fi
  mkdir -p "$(dirname "$dir")" && rm -rf "$dir" && mv "$scratch" "$dir"
}

tool() {
  local name=$1 package dir started=$SECONDS
  package=$(package "$name")
  dir=$cache/tools/$name-${package##*@}-$(go env GOVERSION)
  if [[ ! -x $dir/$name ]]; then
    echo "tools: installing $name ${package##*@}" >&2
    compile "$package" "$dir" >&2
    echo "tools: installed $name in $((SECONDS - started)) s" >&2
  fi
  echo "$dir/$name"
}

case ${1:-} in
'') sed -n '2,/^set/p' "${BASH_SOURCE[0]}" | sed '/^set/d; s/^# \{0,1\}//' >&2; exit 2 ;;
all) for name in "${names[@]}"; do tool "$name"; done ;;
*) tool "$1" ;;
esac
