#!/usr/bin/env bash
# Builds the Dockerfile's last stage by buildah, without a daemon and without a
# network, from bin/manager, and checks what is in the image. Where there is no
# buildah it says so and does nothing, unless REQUIRE_BUILDAH is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v buildah >/dev/null; then
  if [[ -n ${REQUIRE_BUILDAH:-} ]]; then
    echo "image-test: REQUIRE_BUILDAH is set, and there is no buildah" >&2
    exit 1
  fi
  echo "image-test: skipped: no buildah" >&2
  exit
fi
# To look into an image takes root: in a user namespace, that of anyone.
if [[ $EUID -ne 0 ]]; then exec buildah unshare hack/image-test.sh; fi
scratch=$(mktemp -d)
buildah=(buildah --storage-driver vfs --root "$scratch/root" --runroot "$scratch/run")
trap '"${buildah[@]}" rm --all >/dev/null 2>&1 || true; rm -rf "$scratch"' EXIT

fail() { echo "image-test: $*" >&2; exit 1; }

# What the first stage leaves.
mkdir -p "$scratch/context/out/etc/ssl/certs"
cp bin/manager "$scratch/context/out/manager"
echo '# certificate authorities' >"$scratch/context/out/etc/ssl/certs/ca-certificates.crt"
# The last stage, with the first replaced by that folder.
sed -n '/^FROM scratch/,$p' Dockerfile | sed 's|^COPY --from=build |COPY |' >"$scratch/context/Dockerfile"
grep -q '^COPY /out/ /$' "$scratch/context/Dockerfile" || fail "the last stage copies something else than /out"

"${buildah[@]}" bud --quiet --isolation chroot --build-arg VERSION=v1.2.3 -t kong-jwt-operator "$scratch/context" >/dev/null
config() { "${buildah[@]}" inspect --type image --format "$1" kong-jwt-operator; }
[[ $(config '{{.OCIv1.Config.User}}') == 65532:65532 ]] || fail "the user is not 65532"
[[ $(config '{{.OCIv1.Config.Entrypoint}}') == '[/manager]' ]] || fail "the entrypoint is not /manager"
label() {
  local found
  found=$(config "{{index .OCIv1.Config.Labels \"org.opencontainers.image.$1\"}}")
  [[ $found == "$2" ]] || fail "the label org.opencontainers.image.$1 is '$found', not '$2'"
}
label title kong-jwt-operator
label description "JWT authentication on a self-hosted Kong Gateway, as Kubernetes resources"
label source https://github.com/kongjwt/kong-jwt-operator
label licenses Apache-2.0
label version v1.2.3

container=$("${buildah[@]}" from kong-jwt-operator)
root=$("${buildah[@]}" mount "$container")
found=$(cd "$root" && find . -type f | sort | tr '\n' ' ')
[[ $found == './etc/ssl/certs/ca-certificates.crt ./manager ' ]] || fail "the image holds something else: $found"
[[ -x $root/manager ]] || fail "/manager cannot be executed"
if ldd "$root/manager" >/dev/null 2>&1; then fail "/manager is not static"; fi
"${buildah[@]}" umount "$container" >/dev/null
# It starts where nothing else is, as the image's user.
said=$("${buildah[@]}" run --isolation chroot "$container" -- /manager --help 2>&1) || fail "/manager does not start: $said"
[[ $said == *leader-elect* ]] || fail "/manager does not say what its flags are: $said"
echo "image-test: user, entrypoint, labels and content are as they should be"
