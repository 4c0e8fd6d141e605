{{- define "type" }}{{ if markdownShouldRenderType . }}
## {{ .Name }}

{{ .Doc }}
{{ with .SortedReferences }}
Used by {{ range $i, $type := . }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $type }}{{ end }}.
{{ end }}
{{- if .Members }}
| Field | What it says | Default | Bounds |
| --- | --- | --- | --- |
{{ range .Members }}| `{{ .Name }}` _{{ markdownRenderType .Type }}_ | {{ if eq .Name "metadata" }}See the Kubernetes API.{{ else }}{{ markdownRenderFieldDoc .Doc }}{{ end }} | {{ markdownRenderDefault .Default }} | {{ template "bounds" .Validation }} |
{{ end }}
{{- else if .EnumValues }}
| Value | Meaning |
| --- | --- |
{{ range .EnumValues }}| `{{ .Name }}` | {{ markdownRenderFieldDoc .Doc }} |
{{ end }}
{{- else if .Validation }}
{{ template "bounds" .Validation }}
{{ end }}
{{- end }}{{ end -}}
