{{- /* CEL rules are left out: what they refuse, the refusal says in words. */ -}}
{{- define "bounds" -}}
{{- range . }}
{{- if not (or (contains "XValidation" .) (hasPrefix "Optional:" .) (hasPrefix "Type:" .)) }}
{{- if hasPrefix "Required:" . }}required{{ else }}{{ markdownRenderFieldDoc . }}{{ end }}<br />
{{- end }}
{{- end }}
{{- end -}}
