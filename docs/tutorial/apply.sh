#!/usr/bin/env bash
# Applies samples of the tutorial with the addresses of your cluster in them,
# instead of those of the demo.
#
#   apply.sh FILE...
#
# KONG_ADMIN is Kong's Admin API as the operator reaches it, UPSTREAM what is
# protected as Kong reaches it.
set -euo pipefail

upstream=${UPSTREAM:-http://echo.kong.svc}
host=${upstream#*://}
host=${host%%[:/]*}
open="hosts: [$host]"
[[ $host =~ [a-z] ]] || open="cidrs: [$host/32]"

for file in "$@"; do
  sed -e "s|http://127.0.0.1:8001|${KONG_ADMIN:-http://kong-admin.kong.svc:8001}|" \
    -e "s|http://127.0.0.1:9000|$upstream|" \
    -e "s|cidrs: \[127.0.0.1/32\]|$open|" "$file" |
    kubectl apply -f -
done
