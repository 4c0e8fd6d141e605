{{/*
What the operator may do. A test compares the sum with config/rbac/role.yaml, which is generated from the controllers' markers.
*/}}

{{/* On objects that have no namespace. */}}
{{- define "kjo.rules.cluster" -}}
# Gateways: read; set the finalizer that keeps one in use.
- apiGroups: [kongjwt.dev]
  resources: [konggateways]
  verbs: [get, list, watch, patch]
- apiGroups: [kongjwt.dev]
  resources: [konggateways/status]
  verbs: [patch]
- apiGroups: [kongjwt.dev]
  resources: [konggateways/finalizers]
  verbs: [update]
# Who still uses a gateway that is to be deleted, in whichever namespace.
- apiGroups: [kongjwt.dev]
  resources: [jwtconsumers, jwtprotectedservices]
  verbs: [list]
# Which namespaces a gateway admits, by their labels. kube-system's UID is the installation's id.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
# The Services of upstreams and of gateways, and the nodes of a Kong by their addresses: a gateway's are in a namespace that need not be watched.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# The metrics endpoint asks the API server who a reader is, and whether they may read.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
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
- apiGroups: [kongjwt.dev]
  resources: [jwtconsumers/status, jwtprotectedservices/status, jwttokens/status]
  verbs: [patch]
# Own Secrets in a way that blocks the owner's deletion, where the API server asks for this right.
- apiGroups: [kongjwt.dev]
  resources: [jwtconsumers/finalizers, jwtprotectedservices/finalizers, jwttokens/finalizers]
  verbs: [update]
# Read the material that resources name; write what is generated, and signed tokens. None is ever deleted: the garbage collector does.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch]
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
{{- end -}}

{{/* Where the Secrets of gateways are: tokens and certificates for the Admin API. */}}
{{- define "kjo.rules.gatewaySecrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end -}}
