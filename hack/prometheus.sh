#!/usr/bin/env bash
# Prints the folder with prometheus and promtool: the machine's own, else
# Debian's package, taken apart in the cache. Nobody has to be root.
set -euo pipefail

cache=${KONG_JWT_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kong-jwt-operator}/prometheus

if found=$(command -v promtool) && command -v prometheus >/dev/null; then
  dirname "$found"
  exit
fi
if [[ ! -x $cache/usr/bin/promtool ]]; then
  echo "prometheus: getting Debian's package" >&2
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  cd "$scratch"
  # Lists of packages of our own, where the machine's are not there.
  own=(-o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache")
  mkdir -p lists/partial cache/archives/partial
  apt-get download prometheus >&2 || { apt-get "${own[@]}" update >&2 && apt-get "${own[@]}" download prometheus >&2; } || {
    echo "prometheus: install prometheus and promtool 2.42 or newer: there is no Debian package to be had" >&2
    exit 1
  }
  dpkg -x prometheus_*.deb root
  rm -rf "$cache" && mkdir -p "$(dirname "$cache")" && mv root "$cache"
fi
echo "$cache/usr/bin"
