package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

// Annotation lists rules, with commas between, that are not for a resource.
const Annotation = "kongjwt.dev/lint-disable"

// linter judges objects.
type linter struct {
	policy   *policy
	disabled []string
	set      *set
	// kongVersion is what the manifests are for; empty for the newest.
	kongVersion string
}

// judge gives the findings of one object, the worst first. What is none of our kinds has none.
func (l linter) judge(ctx context.Context, object map[string]any) ([]Finding, error) {
	kind, ours, err := kindOf(object)
	if err != nil {
		return []Finding{{ruleInvalid, Error, err.Error()}}, nil
	}
	if !ours {
		return nil, nil
	}
	faults, err := schema.Check(ctx, kind, object)
	if errors.Is(err, schema.ErrKind) {
		return []Finding{{ruleInvalid, Error, fmt.Sprintf("kind: there is no %q in %s", kind, v1alpha1.GroupVersion)}}, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, fault := range faults {
		found = append(found, Finding{ruleInvalid, Error, fault.String()})
	}
	admitted, err := schema.Admitted(kind, object)
	if err != nil {
		return nil, err
	}
	warned, failed := l.policy.findings(kind, admitted)
	found = append(found, warned...)
	if len(faults) == 0 { // a rule may rely on what is wrong
		found = append(found, failed...)
	}
	typed := l.typed(object)
	found = append(found, l.set.findings(typed)...)
	found = append(found, unsupported(typed, l.kongVersion)...)
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

// typed is an object as its kind, as far as it can be read; nil for what is none of ours.
func (l linter) typed(object map[string]any) any {
	name, ours, err := kindOf(object)
	kind, known := v1alpha1.KindNamed(name)
	if !ours || err != nil || !known {
		return nil
	}
	typed := kind.New()
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object, typed) != nil {
		return nil // the schema says what is wrong
	}
	return typed
}
