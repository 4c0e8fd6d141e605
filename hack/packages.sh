#!/usr/bin/env bash
# Prints the packages of one or more groups of tests, by what they need:
#
#   unit         no API server
#   crds         those of api/, config/ and test/crds that test on an API server
#   controllers  all others that test on an API server
#
# A package does so if its tests import test/testenv. test/e2e,
# test/contract and test/chart have targets of their own.
set -euo pipefail

format='{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}'
list=$(go list -f "$format" ./... | grep -vE '^[^ ]*/test/(e2e|contract|chart)[/ ]')
needs='/test/testenv( |$)'
schemas='^[^ ]*/(api|config|test/crds?)[/ ]'

for group in "$@"; do
  case $group in
  unit) packages=$(grep -vE "$needs" <<<"$list" || true) ;;
  crds) packages=$(grep -E "$needs" <<<"$list" | grep -E "$schemas" || true) ;;
  controllers) packages=$(grep -E "$needs" <<<"$list" | grep -vE "$schemas" || true) ;;
  *) echo "packages: unknown group $group" >&2; exit 2 ;;
  esac
  [[ -n $packages ]] || { echo "packages: no package in group $group" >&2; exit 1; }
  cut -d' ' -f1 <<<"$packages"
done
