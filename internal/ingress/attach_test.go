package ingress

import (
	"errors"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAConflictNamesItsFieldManagersOnce(t *testing.T) {
	cause := func(message string) metav1.StatusCause {
		return metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: message}
	}
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{
		cause(`conflict with "helm" using v1`), cause(`conflict with "gitops"`), cause(`conflict with "helm"`),
	}, "Apply failed")
	if names := managersOf(conflict); !slices.Equal(names, []string{`"gitops"`, `"helm"`}) {
		t.Error(names)
	}
	for _, other := range []error{nil, errors.New("conflict"), apierrors.NewServiceUnavailable("busy")} {
		if names := managersOf(other); len(names) != 0 {
			t.Errorf("%v: %v", other, names)
		}
	}
}

func TestGatewaysThatServeARouteAreThoseThatAcceptedIt(t *testing.T) {
	parent := func(ref map[string]any, status string) any {
		return map[string]any{"parentRef": ref, "conditions": []any{map[string]any{"type": "Accepted", "status": status}}}
	}
	route := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "shop"},
		"status": map[string]any{"parents": []any{
			parent(map[string]any{"name": "own"}, "True"),
			parent(map[string]any{"name": "edge", "namespace": "infra", "kind": "Gateway"}, "True"),
			parent(map[string]any{"name": "edge", "namespace": "infra", "sectionName": "tls"}, "True"),
			parent(map[string]any{"name": "refused"}, "False"),
			parent(map[string]any{"name": "mesh", "kind": "Service"}, "True"),
			map[string]any{"parentRef": map[string]any{"name": "silent"}},
		}},
	}}
	if names := servedBy(route); !slices.Equal(names, []string{"infra/edge", "shop/own"}) {
		t.Error(names)
	}
	if names := servedBy(&unstructured.Unstructured{Object: map[string]any{}}); len(names) != 0 {
		t.Error(names)
	}
}
