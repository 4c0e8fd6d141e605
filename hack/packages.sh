#!/usr/bin/env bash
# Prints the packages of one or more groups of tests, by what they need:
#
#   race         no API server, and goroutines that meet
#   unit         all others without an API server
#   crds         those of api/, config/ and test/crds that test on an API server
#   controllers  all others that test on an API server
#
# A package does so if its tests import test/testenv. ./controllers, test/e2e,
# test/contract and test/chart are run by commands of their own.
set -euo pipefail

format='{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}'
list=$(go list -f "$format" ./... | grep -vE '^[^ ]*(/test/(e2e|contract|chart)[/ ]|/kong-jwt-operator/controllers )')
needs='/test/testenv( |$)'
schemas='^[^ ]*/(api|config|test/crds?)[/ ]'
concurrent='^[^ ]*/internal/(engine|backend|jwks|probe)[/ ]'

for group in "$@"; do
  case $group in
  race) packages=$(grep -vE "$needs" <<<"$list" | grep -E "$concurrent" || true) ;;
  unit) packages=$(grep -vE "$needs" <<<"$list" | grep -vE "$concurrent" || true) ;;
  crds) packages=$(grep -E "$needs" <<<"$list" | grep -E "$schemas" || true) ;;
  controllers) packages=$(grep -E "$needs" <<<"$list" | grep -vE "$schemas" || true) ;;
  *) echo "packages: unknown group $group" >&2; exit 2 ;;
  esac
  [[ -n $packages ]] || { echo "packages: no package in group $group" >&2; exit 1; }
  cut -d' ' -f1 <<<"$packages"
done
