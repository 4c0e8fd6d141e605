package objects

import (
	"slices"
	"strings"
)

// Surplus gives the merge patch that takes out of an object what somebody else added to it and the controller reads;
// nil where that is nothing. Server-side apply leaves what another manager wrote beside what is applied: a plugin that
// an Ingress names, or an anonymous consumer in the configuration of a jwt plugin. What was taken over keeps what it
// had, but for credentials.
func Surplus(o Object, is map[string]any) map[string]any {
	want, patch := o.Content, map[string]any{}
	if o.StandsFor != "" {
		want = map[string]any{"credentials": want["credentials"]}
		if is = map[string]any{"credentials": is["credentials"]}; o.Kind != KindConsumer {
			return nil
		}
	}
	for _, field := range []string{"annotations", "labels"} {
		wanted, there := metadataOf(want, field), metadataOf(is, field)
		for name := range there {
			if _, ours := wanted[name]; !ours && (strings.HasPrefix(name, annotationPrefix) || name == AnnotationClass) {
				metadata, _ := patch["metadata"].(map[string]any)
				if metadata == nil {
					metadata = map[string]any{"annotations": map[string]any{}, "labels": map[string]any{}}
					patch["metadata"] = metadata
				}
				metadata[field].(map[string]any)[name] = nil //nolint:forcetypeassert // made above
			}
		}
	}
	// The API server itself adds to Services and Secrets, and a certificate keeps nobody out.
	if slices.Contains([]string{kindIngress, KindConsumer, KindClusterPlugin}, o.Kind) {
		for name, value := range surplus(want, is) {
			if spec, _ := value.(map[string]any); name == "spec" {
				if delete(spec, "tls"); len(spec) == 0 {
					continue
				}
			}
			if !slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, name) {
				patch[name] = value
			}
		}
	}
	if len(patch) == 0 {
		return nil
	}
	return patch
}

// surplus compares two values field by field. A list is compared by its length: what is applied is in it.
func surplus(want, is map[string]any) map[string]any {
	patch := map[string]any{}
	for name, there := range is {
		switch wanted := want[name].(type) {
		case nil:
			if there != nil {
				patch[name] = nil
			}
		case map[string]any:
			if object, same := there.(map[string]any); same {
				if inner := surplus(wanted, object); len(inner) > 0 {
					patch[name] = inner
				}
			}
		case []any:
			if list, same := there.([]any); same && len(list) > len(wanted) {
				patch[name] = wanted
			}
		}
	}
	return patch
}

func metadataOf(o map[string]any, field string) map[string]any {
	metadata, _ := o["metadata"].(map[string]any)
	all, _ := metadata[field].(map[string]any)
	return all
}
