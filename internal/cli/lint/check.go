package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Annotation lists rules, with commas between, that are not for a resource.
const Annotation = "kongjwt.dev/lint-disable"

// linter judges objects.
type linter struct {
	policy   *policy
	disabled []string
}

// judge gives the findings of one object, the worst first. What is none of our kinds has none.
func (l linter) judge(object map[string]any) ([]Finding, error) {
	kind, ours, err := kindOf(object)
	if err != nil {
		return []Finding{{ruleInvalid, Error, err.Error()}}, nil
	}
	if !ours {
		return nil, nil
	}
	typed, err := decode(kind, object)
	if err != nil {
		return []Finding{{ruleInvalid, Error, err.Error()}}, nil
	}
	found, err := l.policy.findings(kind, object)
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		for _, message := range r.check(typed) {
			found = append(found, Finding{r.id, r.severity, message})
		}
	}
	disabled := append(slices.Clone(l.disabled), exceptions(object)...)
	found = slices.DeleteFunc(found, func(f Finding) bool { return slices.Contains(disabled, f.Rule) })
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	return found, nil
}

func exceptions(object map[string]any) []string {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	text, _ := annotations[Annotation].(string)
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	return names
}

// kindOf says whether an object is one of ours.
func kindOf(object map[string]any) (kind string, ours bool, err error) {
	version, _ := object["apiVersion"].(string)
	kind, _ = object["kind"].(string)
	group, _, _ := strings.Cut(version, "/")
	if group != v1alpha1.GroupVersion.Group {
		return kind, false, nil
	}
	if version != v1alpha1.GroupVersion.String() {
		return kind, true, fmt.Errorf("apiVersion: there is no %s; write %s", version, v1alpha1.GroupVersion)
	}
	return kind, true, nil
}

// decode reads an object as its kind, and refuses fields that the kind does not have.
func decode(kind string, object map[string]any) (any, error) {
	var typed any
	switch kind {
	case v1alpha1.KindKongGateway:
		typed = &v1alpha1.KongGateway{}
	case v1alpha1.KindJwtConsumer:
		typed = &v1alpha1.JwtConsumer{}
	case v1alpha1.KindJwtProtectedService:
		typed = &v1alpha1.JwtProtectedService{}
	case v1alpha1.KindJwtToken:
		typed = &v1alpha1.JwtToken{}
	default:
		return nil, fmt.Errorf("kind: there is no %q in %s", kind, v1alpha1.GroupVersion)
	}
	// As the API server reads: the case of a field's name counts.
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, typed, true); err != nil {
		return nil, fmt.Errorf("it cannot be read as a %s: %w", kind, err)
	}
	return typed, nil
}
