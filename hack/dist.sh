#!/usr/bin/env bash
# Writes into dist/ what a release holds besides the image: the chart, packed,
# install.yaml, and the kubectl plugin, an archive for each platform, with its
# krew manifest.
#
#   dist.sh VERSION [PLATFORM...]    such as v0.1.0 linux/amd64
#
# DIST is another folder to write into.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=${1:?usage: dist.sh VERSION [PLATFORM...]}
platforms=("${@:2}")
[[ ${#platforms[@]} -gt 0 ]] || platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64)
dist=${DIST:-dist}
helm=$(hack/tools.sh helm) kustomize=$(hack/tools.sh kustomize)
rm -rf "$dist" && mkdir -p "$dist"

"$helm" package charts/kong-jwt-operator --version "${version#v}" --app-version "${version#v}" --destination "$dist" >&2
"$kustomize" build config/default | sed "s|\(image: ghcr.io/kongjwt/kong-jwt-operator:\).*|\1$version|" >"$dist/install.yaml"

release=https://github.com/kongjwt/kong-jwt-operator/releases/download/$version
manifest=$dist/kongjwt.yaml
cat >"$manifest" <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: kongjwt
spec:
  version: $version
  homepage: https://github.com/kongjwt/kong-jwt-operator
  shortDescription: JWT authentication on Kong, explained and checked
  description: |
    Works with the resources of kong-jwt-operator: why a token is accepted or
    refused, what an apply would change in Kong, rotating and revoking
    credentials, manifests for what a Kong has already.
  platforms:
EOF
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for platform in "${platforms[@]}"; do
  os=${platform%/*} arch=${platform#*/}
  binary=kubectl-kongjwt
  [[ $os != windows ]] || binary=kubectl-kongjwt.exe
  rm -rf "${scratch:?}"/*
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$scratch/$binary" ./cmd/kubectl-kongjwt
  cp LICENSE "$scratch/"
  archive=kubectl-kongjwt_${os}_$arch.tar.gz
  # The same bytes for the same source, whoever packs them.
  tar -C "$scratch" --sort=name --mtime='2000-01-01 00:00Z' --owner=0 --group=0 --numeric-owner -cf - "$binary" LICENSE | gzip -n >"$dist/$archive"
  cat >>"$manifest" <<EOF
  - selector:
      matchLabels:
        os: $os
        arch: $arch
    uri: $release/$archive
    sha256: $(sha256sum "$dist/$archive" | cut -d' ' -f1)
    bin: $binary
EOF
done
