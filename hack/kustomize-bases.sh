#!/usr/bin/env bash
# Writes what config/ has in common with the chart: the chart, rendered. Each
# file is a resource of the kustomization beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chart=charts/kong-jwt-operator
helm=$(hack/tools.sh helm)

# render FILE ARGUMENTS...: without what only Helm's releases have.
render() {
  local file=$1
  mkdir -p "$(dirname "$file")"
  {
    echo '# Written by `make chart` from the chart; change that.'
    "$helm" template kong-jwt-operator "$chart" --skip-tests --namespace kong-jwt-system --set crds.enabled=false "${@:2}" |
      sed -e '/^# Source: /d' -e '/helm\.sh\/chart:/d' -e 's|managed-by: Helm|managed-by: kustomize|'
  } >"$file"
}

render config/operator/operator.yaml
render config/namespaced/operator.yaml --set 'watchNamespaces={default}'
render config/prometheus/monitoring.yaml \
  --set metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true \
  --show-only templates/monitors.yaml --show-only templates/prometheusrule.yaml --show-only templates/dashboard.yaml
render config/ingress-controller/rights.yaml --set ingressController.enabled=true --show-only templates/ingresscontroller.yaml
