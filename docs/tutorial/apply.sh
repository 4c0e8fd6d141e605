#!/usr/bin/env bash
# Applies samples of the tutorial with the addresses of your cluster in them,
# instead of those of the demo.
#
#   apply.sh FILE...
#
# KONG_ADMIN is Kong's Admin API as the operator reaches it, UPSTREAM what is
# protected as Kong reaches it.
set -euo pipefail

for file in "$@"; do
  sed -e "s|http://127.0.0.1:8001|${KONG_ADMIN:-http://kong-admin.kong.svc:8001}|" \
    -e "s|http://127.0.0.1:9000|${UPSTREAM:-http://echo.kong.svc}|" "$file" |
    kubectl apply -f -
done
