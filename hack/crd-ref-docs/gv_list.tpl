{{- define "gvList" -}}
<!-- Written by `make docs` from api/. -->
# API reference
{{ range . }}
{{ .Doc }}

{{ range $kind := .SortedKinds }}- [{{ $kind }}](#{{ lower $kind }})
{{ end }}
{{- $gv := . }}
{{- range .SortedKinds }}{{ template "type" ($gv.TypeForKind .) }}{{ end }}

{{- range .SortedTypes }}{{ if not .GVK }}{{ template "type" . }}{{ end }}{{ end }}
{{- end }}
{{- end -}}
