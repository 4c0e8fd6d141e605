{{- define "kjo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
One name for all objects; the release's alone where it holds the chart's. Objects of which there are several of a kind have a suffix: of the 63 characters
that a Service's name may have, 48 leave room for the longest, -metrics-reader.
*/}}
{{- define "kjo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains (include "kjo.name" .) .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "kjo.name" .) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kjo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kjo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kjo.labels" -}}
{{ include "kjo.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Annotations of an object: of every object, and its own (own). In one Application with resources of the operator, Argo CD deletes the last
wave first: the operator is alive until the resources are gone. CustomResourceDefinitions and the gateway have no wave for that (kept).
*/}}
{{- define "kjo.annotations" -}}
{{- $wave := ternary dict (dict "argocd.argoproj.io/sync-wave" "-1") (hasKey . "kept") -}}
{{- $annotations := mergeOverwrite $wave .root.Values.commonAnnotations (.own | default dict) -}}
{{- if .kept -}}
{{- /* Helm keeps it when the release goes; Argo CD's prune reads only its own annotation. */ -}}
{{- $_ := set $annotations "helm.sh/resource-policy" "keep" -}}
{{- $options := without (splitList "," (get $annotations "argocd.argoproj.io/sync-options")) "" -}}
{{- $_ := set $annotations "argocd.argoproj.io/sync-options" (append $options "Prune=false" | uniq | join ",") -}}
{{- end -}}
{{- toYaml $annotations -}}
{{- end -}}

{{- define "kjo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kjo.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kjo.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* The image; a parent chart's global.imageRegistry stands in place of its registry, which is its first part where that is a host. */}}
{{- define "kjo.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with (.Values.global | default dict).imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default (printf "v%s" .Chart.AppVersion) .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* Secrets for registries, as a list of {name: ...}; a parent chart's may be names alone. */}}
{{- define "kjo.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global | default dict).imagePullSecrets | default list) .Values.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- if $secrets -}}
{{- uniq $secrets | toYaml -}}
{{- end -}}
{{- end -}}

{{/* Namespaces in which the operator reads Secrets of gateways only: its own, and gatewaySecretNamespaces; not those it watches anyway. */}}
{{- define "kjo.secretNamespaces" -}}
{{- $names := list -}}
{{- range prepend .Values.gatewaySecretNamespaces (include "kjo.namespace" .) -}}
{{- if not (has . $.Values.watchNamespaces) -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $names) -}}
{{- end -}}

{{/* The Secret with the certificate of the metrics endpoint, where there is one to mount. */}}
{{- define "kjo.metricsCertificate" -}}
{{- if .Values.metrics.enabled -}}
{{- .Values.metrics.certificateSecretName -}}
{{- end -}}
{{- end -}}

{{- define "kjo.subjects" -}}
- kind: ServiceAccount
  name: {{ include "kjo.serviceAccountName" . }}
  namespace: {{ include "kjo.namespace" . }}
{{- end -}}

{{/* 90% of the memory limit, in bytes: what is not Go's heap needs room too. Empty where there is no limit, or extraEnv sets another target. */}}
{{- define "kjo.memoryTarget" -}}
{{- $limit := ((.Values.resources | default dict).limits | default dict).memory -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "GOMEMLIMIT" -}}
{{- $limit = "" -}}
{{- end -}}
{{- end -}}
{{- with $limit -}}
{{- $limit := kindIs "string" . | ternary . (int64 . | toString) -}}
{{- $unit := regexFind "[A-Za-z]*$" $limit -}}
{{- $bytes := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (and (hasKey $bytes $unit) (regexMatch "^[0-9]+([.][0-9]+)?[A-Za-z]*$" $limit)) -}}
{{- printf "resources.limits.memory: %q is not understood; write a number of bytes, or one with k, M, G, T, Ki, Mi, Gi or Ti" $limit | fail -}}
{{- end -}}
{{- mulf (trimSuffix $unit $limit) (get $bytes $unit) 0.9 | int64 -}}
{{- end -}}
{{- end -}}

{{/*
What every pod of the chart has: who it is, and where and how it runs.
*/}}
{{- define "kjo.pod" -}}
serviceAccountName: {{ include "kjo.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.automountServiceAccountToken }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with include "kjo.imagePullSecrets" . }}
imagePullSecrets: {{- . | nindent 0 }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $chosen := ternary (omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup") .Values.podSecurityContext .Values.openshift }}
securityContext: {{- toYaml $chosen | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
