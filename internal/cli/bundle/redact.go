package bundle

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

const redacted = "[redacted]"

// redact takes out of a resource of ours what people put secrets into although it is no place for them: annotations
// of others, the configuration of plugins, claims, values of headers, the query of a URL.
func redact(object map[string]any) {
	redactMetadata(object)
	spec, _ := object["spec"].(map[string]any)
	plugins, _ := spec["plugins"].([]any)
	for _, plugin := range plugins {
		if fields, ok := plugin.(map[string]any); ok && fields["config"] != nil {
			fields["config"] = leaves(fields["config"])
		}
	}
	if spec["claims"] != nil {
		spec["claims"] = leaves(spec["claims"])
	}
	routes, _ := spec["routes"].([]any)
	for _, route := range routes {
		if fields, ok := route.(map[string]any); ok && fields["headers"] != nil {
			fields["headers"] = leaves(fields["headers"])
		}
	}
	credentials, _ := spec["credentials"].([]any)
	for _, credential := range credentials {
		if text, found, _ := unstructured.NestedString(asMap(credential), "jwks", "url"); found {
			_ = unstructured.SetNestedField(asMap(credential), withoutQuery(text), "jwks", "url")
		}
	}
}

// redactMetadata keeps of annotations the names, and the values of our own. The last applied configuration is the
// whole object once more.
func redactMetadata(object map[string]any) {
	metadata := asMap(object["metadata"])
	delete(metadata, "managedFields")
	annotations := asMap(metadata["annotations"])
	for name := range annotations {
		if !strings.HasPrefix(name, v1alpha1.GroupVersion.Group+"/") {
			annotations[name] = redacted
		}
	}
}

func asMap(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

// leaves keeps the shape of a value: names, numbers and booleans stay, and of text its length.
func leaves(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = leaves(inner)
		}
		return v
	case []any:
		for i, inner := range v {
			v[i] = leaves(inner)
		}
		return v
	case string:
		return fmt.Sprintf("[redacted, %d bytes]", len(v))
	default:
		return v
	}
}

func withoutQuery(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return redacted
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.String()
}

// redactPod takes the values of environment variables out of a pod, or of a workload's template.
func redactPod(object map[string]any) {
	redactMetadata(object)
	for _, path := range [][]string{{"spec"}, {"spec", "template", "spec"}} {
		spec, _, _ := unstructured.NestedFieldNoCopy(object, path...)
		for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
			containers, _ := asMap(spec)[list].([]any)
			for _, container := range containers {
				variables, _ := asMap(container)["env"].([]any)
				for _, variable := range variables {
					if fields := asMap(variable); fields["value"] != nil {
						fields["value"] = leaves(fields["value"])
					}
				}
			}
		}
	}
	if template := asMap(asMap(object["spec"])["template"]); template != nil {
		redactMetadata(template)
	}
}

// shapes are what is a secret by its looks: the signature of a token, a private key, credentials in a URL.
var shapes = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+`), "${1}." + redacted},
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`), redacted},
	{regexp.MustCompile(`(://)[^/\s"'@]+@`), "${1}" + redacted + "@"},
}

// shortest is the length, in bytes, from which on a value is searched for: shorter ones are words that stand
// everywhere.
const shortest = 6

// scrubber is the last guard: it takes the values of all Secrets that were read out of every file, whichever way they
// came there.
type scrubber struct{ values []string }

// learn takes up the content of a Secret: each value as it is, line by line, and in base64, and each text inside a
// value that is JSON or YAML. ours says that the operator wrote the Secret: some of it is published then.
func (s *scrubber) learn(data map[string][]byte, ours bool) {
	for name, value := range data {
		if ours && slices.Contains(public, name) {
			continue
		}
		texts := append(strings.Split(string(value), "\n"), string(value))
		var content any
		if yaml.Unmarshal(value, &content) == nil {
			texts = append(texts, textsIn(content, ours)...)
		}
		for _, text := range texts {
			text = strings.TrimSpace(text)
			if len(text) < shortest || strings.HasPrefix(text, "-----") {
				continue
			}
			s.values = append(s.values, text, base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)))
		}
		s.values = append(s.values, base64.StdEncoding.EncodeToString(value))
	}
	s.values = slices.DeleteFunc(s.values, func(v string) bool { return len(v) < shortest })
	// The longest first: a part of it must not go alone.
	slices.SortFunc(s.values, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	s.values = slices.Compact(s.values)
}

// textsIn lists the texts in an object or a list, but for what the operator publishes.
func textsIn(content any, ours bool) (texts []string) {
	switch v := content.(type) {
	case string:
		return []string{v}
	case []any:
		for _, element := range v {
			texts = append(texts, textsIn(element, ours)...)
		}
	case map[string]any:
		for name, element := range v {
			if !ours || !slices.Contains(public, name) {
				texts = append(texts, textsIn(element, ours)...)
			}
		}
	}
	return texts
}

// public are what the operator publishes and everyone may read: a credential's key is in its status.
var public = []string{"key", "algorithm", "public.pem"}

// clean gives the content without any of them.
func (s *scrubber) clean(content string) string {
	for _, value := range s.values {
		content = strings.ReplaceAll(content, value, redacted)
	}
	for _, shape := range shapes {
		content = shape.pattern.ReplaceAllString(content, shape.instead)
	}
	return content
}
