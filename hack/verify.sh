#!/usr/bin/env bash
# Generates everything again, in a copy of the checkout, and fails on a
# difference. Committed or not makes no difference to it. Fails, too, on a
# program in the index: what is built is never committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=$(git ls-files -s | awk '$1 == "100755"' | cut -f2 |
  while IFS= read -r file; do [[ ! -e $file || $(head -c 2 "$file") == '#!' ]] || echo "$file"; done)
if [[ -n $programs ]]; then
  echo "verify: built programs are in the index; take them out: $programs" >&2
  exit 1
fi

generated=(api config charts docs/reference test/messages/testdata internal/cli/status/zz_generated.remedies.go)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
  tar --null -T - -cf - | tar -xf - -C "$copy"
make -C "$copy" --no-print-directory generate docs >/dev/null

stale=0
for path in "${generated[@]}"; do
  diff -ruN "$path" "$copy/$path" || stale=1
done
go mod tidy -diff || stale=1
if [[ $stale -ne 0 ]]; then
  echo "verify: generated files differ; run: make generate docs && go mod tidy" >&2
  exit 1
fi
echo "verify: generated files are up to date"
