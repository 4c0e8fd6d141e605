#!/usr/bin/env bash
# Gets what the tests and the demo run on, into a cache outside the checkout,
# and prints where it is. Progress goes to standard error.
#
#   control-plane.sh assets              the folder with etcd and kube-apiserver
#   control-plane.sh controlplane        the all-in-one binary (hack/controlplane)
#   control-plane.sh where <one of them> only print the path, get nothing
#
# etcd and kube-apiserver come from KUBEBUILDER_ASSETS, else from setup-envtest's
# download, else they are compiled from their Go modules. Where they were
# downloaded, the all-in-one binary runs them, and only its controllers are compiled. KJO_CONTROLPLANE names
# an all-in-one binary that is there already. KUBERNETES=oldest takes the oldest
# Kubernetes that is supported upstream (oldest.mod) instead of the newest (go.mod).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
module=$root/hack/controlplane
cache=${KONG_JWT_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kong-jwt-operator}
platform=$(go env GOOS)-$(go env GOARCH)
case ${KUBERNETES:-newest} in
newest) modfile=$module/go.mod ;;
oldest) modfile=$module/oldest.mod ;;
*) echo "control-plane: KUBERNETES=$KUBERNETES is neither newest nor oldest" >&2; exit 2 ;;
esac
kube=$(sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\)$|\1|p' "$modfile")
# Releases of envtest follow the minor versions of Kubernetes.
envtest_release=$(cut -d. -f1,2 <<<"${kube#v}").0

assets_dir=$cache/kubebuilder-assets/$kube-$platform
source_hash=$(cat "$module"/*.go "$modfile" "${modfile%.mod}.sum" | git hash-object --stdin | cut -c1-12)
controlplane_bin=$cache/controlplane/$kube-$source_hash-$platform/controlplane

say() { echo "control-plane: $*" >&2; }

has_assets() { [[ -x $1/etcd && -x $1/kube-apiserver ]]; }

# at_most SECONDS COMMAND...: a network that swallows packets must not hold us up.
at_most() {
  if command -v timeout >/dev/null; then timeout "$@"; else "${@:2}"; fi
}

# Only one process at a time fills the cache, where the machine has flock.
lock() {
  mkdir -p "$cache"
  if command -v flock >/dev/null; then
    exec 9>"$cache/.lock"
    flock -n 9 || { say "waiting for another process that fills $cache"; flock 9; }
  fi
}

# compile PACKAGE OUTPUT [TAGS]: appears under its name only when it is whole.
compile() {
  local version=k8s.io/component-base/version started=$SECONDS
  mkdir -p "$(dirname "$2")"
  (cd "$module" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off go build -modfile="$modfile" -trimpath -buildvcs=false -tags="${3:-}" -o "$2.$$" \
    -ldflags "-s -w -X main.assets=$assets_dir -X $version.gitVersion=$kube -X $version.gitMajor=$(cut -d. -f1 <<<"${kube#v}") -X $version.gitMinor=$(cut -d. -f2 <<<"$kube")" \
    "$1" 9>&- >&2)
  mv "$2.$$" "$2"
  say "compiled $2 in $((SECONDS - started)) s"
}

# download asks for the index first: where downloads are blocked this ends in
# seconds, where they work the archives may take their time.
download() {
  local tool found
  tool=$("$root/hack/tools.sh" setup-envtest) || return 1
  at_most 15 "$tool" list --bin-dir "$cache/envtest" "$envtest_release" >/dev/null 2>&1 9>&- || return 1
  found=$(at_most 300 "$tool" use --bin-dir "$cache/envtest" -p path "$envtest_release" 9>&-) || return 1
  has_assets "$found" || return 1
  mkdir -p "$assets_dir" && cp "$found"/* "$assets_dir/" && touch "$assets_dir/.downloaded"
  say "etcd and kube-apiserver $envtest_release downloaded by setup-envtest"
}

assets() {
  has_assets "$assets_dir" && return
  lock
  has_assets "$assets_dir" && return
  download && return
  say "no download of etcd and kube-apiserver; compiling them from their Go modules (five minutes on two cores, once)"
  compile go.etcd.io/etcd/server/v3 "$assets_dir/etcd"
  compile k8s.io/kubernetes/cmd/kube-apiserver "$assets_dir/kube-apiserver"
}

controlplane() {
  [[ -x $controlplane_bin ]] && return
  lock
  [[ -x $controlplane_bin ]] && return
  if [[ -e $assets_dir/.downloaded ]] || { ! has_assets "$assets_dir" && download; }; then
    say "compiling the control plane's controllers (two minutes on two cores, once)"
    compile . "$controlplane_bin" controllers
    return
  fi
  say "no download of etcd and kube-apiserver; compiling all of the control plane (five minutes on two cores, once)"
  compile . "$controlplane_bin"
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  assets_dir=$KUBEBUILDER_ASSETS
  has_assets "$assets_dir" || { say "KUBEBUILDER_ASSETS=$assets_dir lacks etcd or kube-apiserver"; exit 1; }
fi
if [[ -n ${KJO_CONTROLPLANE:-} ]]; then
  controlplane_bin=$KJO_CONTROLPLANE
  [[ -x $controlplane_bin ]] || { say "KJO_CONTROLPLANE=$controlplane_bin is no executable file"; exit 1; }
fi

case "$*" in
assets) assets; echo "$assets_dir" ;;
controlplane) controlplane; echo "$controlplane_bin" ;;
"where assets") echo "$assets_dir" ;;
"where controlplane") echo "$controlplane_bin" ;;
*) sed -n '2,/^set/p' "${BASH_SOURCE[0]}" | sed '/^set/d; s/^# \{0,1\}//' >&2; exit 2 ;;
esac
