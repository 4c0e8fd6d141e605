#!/usr/bin/env bash
# Writes into dist/ what a release holds besides image and chart: archives of
# the kubectl plugin for each platform and its krew manifest, where there is a
# plugin, and install.yaml.
#
#   dist.sh VERSION     such as v0.1.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=${1:?usage: dist.sh VERSION}
mkdir -p dist
kustomize=$(hack/tools.sh kustomize)
"$kustomize" build config/default | sed "s|\(image: ghcr.io/kongjwt/kong-jwt-operator:\).*|\1$version|" >dist/install.yaml

[[ -d cmd/kubectl-kongjwt ]] || exit 0

release=https://github.com/kongjwt/kong-jwt-operator/releases/download/$version
manifest=dist/kongjwt.yaml
cat >"$manifest" <<EOF
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: kongjwt
spec:
  version: $version
  homepage: https://github.com/kongjwt/kong-jwt-operator
  shortDescription: JWT authentication on Kong, explained and checked
  description: Works with the resources of kong-jwt-operator.
  platforms:
EOF
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
  os=${platform%/*} arch=${platform#*/}
  binary=kubectl-kongjwt
  [[ $os != windows ]] || binary=kubectl-kongjwt.exe
  scratch=$(mktemp -d)
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$scratch/$binary" ./cmd/kubectl-kongjwt
  cp LICENSE "$scratch/"
  archive=kubectl-kongjwt_${os}_$arch.tar.gz
  tar -C "$scratch" -czf "dist/$archive" "$binary" LICENSE
  rm -rf "$scratch"
  cat >>"$manifest" <<EOF
  - selector:
      matchLabels: {os: $os, arch: $arch}
    uri: $release/$archive
    sha256: $(sha256sum "dist/$archive" | cut -d' ' -f1)
    bin: $binary
EOF
done
