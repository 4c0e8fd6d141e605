package ingress

import (
	"context"
	"errors"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
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

func TestNothingIsAttachedWhileAKongPluginThatCameMeanwhileHidesIt(t *testing.T) {
	r, _, live := pushing(t)
	owner, woken := desired.ServiceOwner("team", "api"), 0
	r.start.Notify = func(engine.Event) { woken++ }
	target := desired.Target{Kind: kong.KindService, Name: "orders", Object: "Service"}
	want, err := r.objects.Of(desired.Set{Owner: owner, Attach: &target, Entities: []kong.Entity{{
		Kind: kong.KindPlugin, ID: "jwt", Fields: kong.Fields{
			"name": "jwt", "service": map[string]any{"id": desired.AttachedID}, "tags": r.objects.Scope.Tags(owner, "jwt"),
		},
	}}}, nil, nil)
	if err != nil || len(want) != 2 {
		t.Fatal(want, err)
	}
	live["Service"] = empty(want[1].Reference)
	there := true // a KongPlugin came after it was asked for, and before the plugin that it hides
	r.cluster = cluster{interceptor.NewClient(r.cluster.kube, interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			if all, is := list.(*metav1.PartialObjectMetadataList); is && there {
				all.Items = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: want[0].Name}}}
			}
			return nil
		},
	})}
	attached := func() bool { return live["Service"].GetAnnotations()[objects.AnnotationPlugins] != "" }
	_, err = r.program(t.Context(), owner, aim{target: target}, want)
	var wait *status.WaitError
	if hiding := r.held.HiddenBy(owner); !errors.As(err, &wait) || attached() || woken != 1 || len(hiding) != 1 {
		t.Errorf("attached %v, woken %d times, hidden by %v: %v", attached(), woken, hiding, err)
	}
	there = false
	for range 2 { // the first one finds that it is gone
		_, _ = r.program(t.Context(), owner, aim{target: target}, want)
	}
	if !attached() {
		t.Error("not attached though nothing hides it")
	}
}

func TestSomebodyIsLetInThoughAnAnnotationIsTakenOffAllTheTime(t *testing.T) {
	r, push, live := pushing(t)
	r.cluster = cluster{interceptor.NewClient(r.cluster.kube, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
	})}
	owner := desired.ServiceOwner("team", "api")
	target := desired.Target{Kind: kong.KindService, Name: "orders", Object: "Service"}
	of := func(plugins ...kong.Fields) []objects.Object {
		set := desired.Set{Owner: owner, Attach: &target}
		for _, plugin := range plugins {
			name := plugin.Text("name")
			plugin["service"], plugin["tags"] = map[string]any{"id": desired.AttachedID}, r.objects.Scope.Tags(owner, name)
			set.Entities = append(set.Entities, kong.Entity{Kind: kong.KindPlugin, ID: name, Fields: plugin})
		}
		all, err := r.objects.Of(set, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	live["Service"] = empty(objects.Target(owner, target))
	// Managed fields are not kept here: the annotation is put on again each time.
	program := func(want []objects.Object) { _, _ = r.program(t.Context(), owner, aim{target: target}, want) }
	for range 3 {
		program(of(checking("jwt", nil)))
		push()
	}
	want := of(checking("jwt", map[string]any{"anonymous": "guest"}), addressed("10.0.0.0/8"))
	for passes := 0; guardsOf(t, live)["jwt"].Config.Text("anonymous") == ""; passes++ {
		program(want)
		if early := guardsOf(t, live)["jwt"].Config.Text("anonymous") != ""; early && passes < 4 {
			t.Errorf("let in after %d passes", passes)
		}
		// What is pushed is what was written one pass before.
		if _, err := r.barrier.Look(t.Context()); err != nil || passes > 20 {
			t.Fatal("kept out for ever", err)
		}
	}
}
