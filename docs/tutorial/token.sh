#!/usr/bin/env bash
# Prints a token signed with HS256, its key in the header's kid.
#
#   token.sh KEY SECRET [SECONDS]
#
# SECONDS is how long it is valid: 600 unless set, below zero for one that has
# expired.
set -euo pipefail

key=$1 secret=$2 seconds=${3:-600}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

header=$(printf '{"alg":"HS256","typ":"JWT","kid":"%s"}' "$key" | base64url)
claims=$(printf '{"sub":"1234567890","name":"John Doe","exp":%d}' $(($(date +%s) + seconds)) | base64url)
signature=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha256 -hmac "$secret" -binary | base64url)
printf '%s.%s.%s\n' "$header" "$claims" "$signature"
