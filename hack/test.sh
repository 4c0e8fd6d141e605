#!/usr/bin/env bash
# Runs every check, also after one has failed, and ends with a summary.
# Arguments, if any, are the steps to run instead of all.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Every step is a make target. Cheap ones first; the control plane is compiled
# before what waits for it, so that its minutes are seen for what they are.
steps=(tools verify build lint unit fuzz-quick control-plane test-crds test-controllers test-chart test-image contract bench-quick chaos-quick)
# Mostly waits for Kong's timers: runs beside the steps that come after the
# control plane, and is shown when it ends.
beside=e2e
if [[ $# -gt 0 ]]; then
  steps=("$@") beside=
fi

scratch=$(mktemp -d)
beside_pid=
# A step beside has a process group of its own: it does not see the terminal's interrupt.
clean_up() {
  if [[ -n $beside_pid ]]; then kill -INT -- "-$beside_pid" && wait; fi
  rm -rf "$scratch"
} 2>/dev/null
trap clean_up EXIT
trap 'exit 130' INT TERM
results=() passed=0 failed=0

# record STEP EXIT_CODE SECONDS
record() {
  local result=pass
  if [[ $2 -eq 0 ]]; then
    passed=$((passed + 1))
  else
    result=FAIL failed=$((failed + 1))
  fi
  results+=("$(printf '%-18s %-6s %8d' "$1" "$result" "$3")")
}

start_beside() {
  printf '\n==> make %s begins, beside what follows\n' "$beside"
  set -m
  {
    make --no-print-directory "$beside"
    echo "$? $SECONDS" >"$scratch/ended"
  } >"$scratch/output" 2>&1 &
  beside_pid=$! beside_started=$SECONDS
  set +m
}

end_beside() {
  local code='' ended=$SECONDS
  wait "$beside_pid"
  beside_pid=
  printf '\n==> make %s\n' "$beside"
  cat "$scratch/output"
  [[ ! -s $scratch/ended ]] || read -r code ended <"$scratch/ended"
  record "$beside" "${code:-1}" $((ended - beside_started))
}

for step in "${steps[@]}"; do
  printf '\n==> make %s\n' "$step"
  started=$SECONDS
  make --no-print-directory "$step"
  record "$step" $? $((SECONDS - started))
  if [[ -n $beside && $step == control-plane ]]; then start_beside; fi
done
if [[ -n $beside ]]; then end_beside; fi

printf '\n%-18s %-6s %8s\n' step result seconds
printf '%s\n' "${results[@]}"
printf '%-18s %-6s %8d\n' total '' "$SECONDS"
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
