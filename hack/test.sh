#!/usr/bin/env bash
# Runs every check, also after one has failed, and ends with a summary.
# Arguments, if any, are the steps to run instead of all.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Every step is a make target. Cheap ones first; the control plane is compiled
# before what waits for it, so that its minutes are seen for what they are.
steps=(tools verify build lint unit control-plane test-crds test-controllers test-chart test-image contract e2e bench-quick chaos-quick)
[[ $# -eq 0 ]] || steps=("$@")

trap 'exit 130' INT
results=() passed=0 failed=0
for step in "${steps[@]}"; do
  printf '\n==> make %s\n' "$step"
  started=$SECONDS
  if make --no-print-directory "$step"; then
    result=pass passed=$((passed + 1))
  else
    result=FAIL failed=$((failed + 1))
  fi
  results+=("$(printf '%-18s %-6s %8d' "$step" "$result" $((SECONDS - started)))")
done

printf '\n%-18s %-6s %8s\n' step result seconds
printf '%s\n' "${results[@]}"
printf '%-18s %-6s %8d\n' total '' "$SECONDS"
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
