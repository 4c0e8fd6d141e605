#!/usr/bin/env bash
# Runs tests again and again while other processes keep the processors busy, and prints a table of what failed.
#   hack/flakes.sh [-n RUNS] [-l LOAD] PACKAGE... [-- FLAGS]
# RUNS of each package, 10 unless said; LOAD busy processes beside them, one a processor unless said, 0 for none.
# FLAGS go to the test binaries. Those that need a control plane find it as make test-controllers does. It ends with 1
# where anything failed; the output of runs that failed stays in the folder that it names.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=10 load=$(nproc)
while getopts n:l: option; do
  case $option in
    n) runs=$OPTARG ;;
    l) load=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
packages=()
while [[ $# -gt 0 && $1 != -- ]]; do
  packages+=("${1#./}")
  shift
done
[[ $# -eq 0 ]] || shift
if [[ ${#packages[@]} -eq 0 ]]; then
  sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/flakes.XXXXXX")
busy=()
end_load() { [[ ${#busy[@]} -eq 0 ]] || kill "${busy[@]}" 2>/dev/null; }
trap end_load EXIT
trap 'exit 130' INT TERM
for package in "${packages[@]}"; do
  go test -c -o "$dir/${package//\//_}.test" "./$package" || exit 1
done
if go list -f '{{.TestImports}} {{.XTestImports}}' "${packages[@]/#/./}" | grep -q test/testenv; then
  KUBEBUILDER_ASSETS=$(hack/control-plane.sh assets) && KJO_CONTROLPLANE=$(hack/control-plane.sh controlplane) || exit 1
  export KUBEBUILDER_ASSETS KJO_CONTROLPLANE
fi
for ((i = 0; i < load; i++)); do
  (while :; do :; done) &
  busy+=($!)
done

# failures FILE...: the names of the tests and specs that failed, each with how often.
failures() {
  sed -nE 's/^[[:space:]]*--- FAIL: ([^ ]+).*/`\1`/p; s/^[[:space:]]*\[FAIL\] (.*)/\1/p' "$@" |
    sort | uniq -c | awk '{ count = $1; $1 = ""; printf "%s%s, %d times", sep, substr($0, 2), count; sep = "; " }'
}

total=0
printf '| Package | Runs | Failed | Slowest | What failed |\n|---|---|---|---|---|\n'
for package in "${packages[@]}"; do
  binary=$dir/${package//\//_}.test failed=0 slowest=0
  [[ -x $binary ]] || continue # it has no tests
  for ((run = 1; run <= runs; run++)); do
    began=$SECONDS
    log=$binary.$run.log
    if (cd "$package" && "$binary" -test.timeout 30m "$@") >"$log" 2>&1; then
      rm "$log"
    else
      failed=$((failed + 1))
    fi
    took=$((SECONDS - began))
    ((took <= slowest)) || slowest=$took
  done
  what=
  [[ $failed -eq 0 ]] || what=$(failures "$binary".*.log)
  printf '| %s | %d | %d | %d s | %s |\n' "$package" "$runs" "$failed" "$slowest" "$what"
  total=$((total + failed))
done
printf '\n%d runs of each, beside %d busy processes on %d processors.\n' "$runs" "$load" "$(nproc)"
if [[ $total -gt 0 ]]; then
  echo "What the failed runs printed is in $dir." >&2
  exit 1
fi
rm -r "$dir"
