{{/*
What the operator may do. A test compares the sum with config/rbac/role.yaml, which is generated from the controllers' markers.
*/}}

{{/* On objects that have no namespace. */}}
{{- define "kjo.rules.cluster" -}}
# Gateways: read; set the finalizer that keeps one in use.
- apiGroups: [kongjwt.dev]
  resources: [konggateways]
  verbs: [get, list, watch, patch]
# Say how each fares.
- apiGroups: [kongjwt.dev]
  resources: [konggateways/status]
  verbs: [patch]
# Who still uses a gateway that is to be deleted, in whichever namespace.
- apiGroups: [kongjwt.dev]
  resources: [jwtconsumers, jwtprotectedservices]
  verbs: [list]
# Which namespaces a gateway admits, by their labels. kube-system's UID is the installation's id.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
# The Services of upstreams and of gateways: a gateway's is in a namespace that need not be watched.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
# The nodes of a Kong, by their addresses: each is pushed to, or asked what it knows.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# The keys of ServiceAccounts' tokens, for consumers with jwks.cluster.
- nonResourceURLs: [/openid/v1/jwks]
  verbs: [get]
# The metrics endpoint asks the API server who a reader is,
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
# and whether they may read.
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{/* In every namespace that is watched. */}}
{{- define "kjo.rules.namespaced" -}}
# Read what teams declare; set finalizers. No spec is ever written.
- apiGroups: [kongjwt.dev]
  resources: [jwtconsumers, jwtprotectedservices]
  verbs: [get, list, watch, patch]
# A token needs no finalizer: its Secret goes with it.
- apiGroups: [kongjwt.dev]
  resources: [jwttokens]
  verbs: [get, list, watch]
# Say how each fares.
- apiGroups: [kongjwt.dev]
  resources: [jwtconsumers/status, jwtprotectedservices/status, jwttokens/status]
  verbs: [patch]
# Read the material that resources name; write what is generated, and signed tokens; delete one of these whose resource names another Secret now. Those of a
# resource that goes are left to the garbage collector. (Where the API server enforces who may set owners, as on OpenShift, that takes this right too.)
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
# Tell what happened.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* In the operator's own namespace. */}}
{{- define "kjo.rules.own" -}}
# The lease by which one of several replicas leads.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
# The election tells of itself by events of the old kind.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# Make, once, the Secret that the routes are derived from by which data planes are asked.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end -}}

{{/* Where the Secrets of gateways are. */}}
{{- define "kjo.rules.gatewaySecrets" -}}
# Tokens and certificates for the Admin API and the data planes, and, in the operator's own namespace, what the routes of probes are derived from.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end -}}
