package ingress

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// pusher is the barrier's object of a controller that takes everything at once.
type pusher struct{ generation int64 }

func (p *pusher) Write(context.Context) (int64, error) {
	p.generation++
	return p.generation, nil
}

func (p *pusher) Read(context.Context) (barrier.Answer, error) {
	return barrier.Answer{Taken: true, Generation: p.generation, Programmed: p.generation}, nil
}

func (*pusher) Behind(string, uint64) string { return "" }
func (*pusher) Remove(context.Context) error { return nil }

// pushing are rooms of a gateway, push has the controller push what is written, and live are the objects that there
// are, by their kinds: one of each.
func pushing(t *testing.T) (r *rooms, push func(), live map[string]*unstructured.Unstructured) {
	t.Helper()
	live = map[string]*unstructured.Unstructured{}
	r, _, _ = neverTaken()
	r.cluster = cluster{interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, a runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			var asks client.ApplyOptions
			asks.ApplyOptions(options)
			raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
			if o := (&unstructured.Unstructured{Object: raw}); err == nil && len(asks.DryRun) == 0 {
				live[o.GetKind()] = o.DeepCopy()
			}
			return err
		},
		Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			is, there := live[o.GetObjectKind().GroupVersionKind().Kind]
			if !there {
				return apierrors.NewNotFound(schema.GroupResource{}, o.GetName())
			}
			is.DeepCopyInto(o.(*unstructured.Unstructured)) //nolint:forcetypeassert // nothing else is read
			return nil
		},
		Patch: func(_ context.Context, _ client.WithWatch, o client.Object, patch client.Patch, _ ...client.PatchOption) error {
			raw, err := patch.Data(o)
			var change struct{ Config map[string]any }
			if err == nil {
				err = json.Unmarshal(raw, &change)
			}
			// There is one list.
			live[o.GetObjectKind().GroupVersionKind().Kind].Object["config"] = change.Config
			return err
		},
		Delete: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
			delete(live, o.GetObjectKind().GroupVersionKind().Kind)
			return nil
		},
	})}
	r.objects = objects.Settings{Scope: desired.Scope{Gateway: "g"}, Class: "kong", Namespace: "system", Key: []byte("k")}
	r.barrier = barrier.New(&pusher{}, barrier.Pace{Late: time.Hour}, time.Now)
	return r, func() {
		for range 2 {
			if _, err := r.barrier.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}, live
}

// reached are the objects of a service with a route on a path, and an acl plugin where there are groups.
func reached(t *testing.T, r *rooms, path string, groups ...string) []objects.Object {
	t.Helper()
	owner := desired.ServiceOwner("team", "api")
	of := func(kind kong.Kind, part string, fields kong.Fields) kong.Entity {
		fields["tags"] = r.objects.Scope.Tags(owner, part)
		return kong.Entity{Kind: kind, ID: r.objects.Scope.ID(kind, owner, part), Fields: fields}
	}
	service := of(kong.KindService, "service", kong.Fields{"host": "api.example", "port": 80})
	on := map[string]any{"id": service.ID}
	set := desired.Set{Owner: owner, Entities: []kong.Entity{
		service, of(kong.KindRoute, "route:main", kong.Fields{"service": on, "paths": []string{path}}),
	}}
	if len(groups) > 0 {
		set.Entities = append(set.Entities, of(kong.KindPlugin, "acl", kong.Fields{
			"name": "acl", "service": on, "config": map[string]any{"allow": groups},
		}))
	}
	all, err := r.objects.Of(set, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNobodyIsLetInBeforeTheRouteThatReliedOnItIsAnother(t *testing.T) {
	for name, now := range map[string][]string{
		"a group comes": {"staff", "guests"}, "a group takes a place": {"guests"}, "everybody may call": nil,
	} {
		r, push, live := pushing(t)
		owner := desired.ServiceOwner("team", "api")
		program := func(want []objects.Object) bool {
			result, _ := r.program(t.Context(), owner, aim{}, want)
			return result.Applied
		}
		former := reached(t, r, "/admin", "staff")
		for !program(former) {
			push()
		}
		// admits says whether somebody new gets to what is there.
		admits := func() bool {
			if live["Service"].GetAnnotations()[objects.AnnotationPlugins] == "" {
				return true
			}
			groups, _, _ := unstructured.NestedStringSlice(live[objects.KindClusterPlugin].Object, "config", "allow")
			return slices.Contains(groups, "guests")
		}
		onPath := func(path string) bool {
			spec, _, _ := unstructured.NestedSlice(live["Ingress"].Object, "spec", "rules")
			rule, _ := spec[0].(map[string]any)
			paths, _, _ := unstructured.NestedSlice(rule, "http", "paths")
			first, _ := paths[0].(map[string]any)
			text, _ := first["path"].(string)
			return strings.HasPrefix(text, path)
		}
		want := reached(t, r, "/public", now...)
		var pushed bool // whether Kong has the other path
		for i := 0; !program(want); i++ {
			if admits() && !pushed {
				t.Errorf("%s: somebody new gets to /admin", name)
			}
			pushed = onPath("/public")
			push()
			if i > 10 {
				t.Fatalf("%s: never done", name)
			}
		}
		if !admits() || !onPath("/public") {
			t.Errorf("%s: %v", name, live)
		}
	}
}

func TestAnACLIsWiderWhereSomebodyMayBeLetIn(t *testing.T) {
	acl := func(list string, groups ...any) map[string]any {
		return map[string]any{"config": map[string]any{list: groups}}
	}
	off := func(content map[string]any) map[string]any {
		content["disabled"] = true
		return content
	}
	for name, c := range map[string]struct {
		is, want map[string]any
		wider    bool
	}{
		"a group comes":             {acl("allow", "a"), acl("allow", "a", "b"), true},
		"a group leaves":            {acl("allow", "a", "b"), acl("allow", "a"), false},
		"a group is denied no more": {acl("deny", "a", "b"), acl("deny", "a"), true},
		"a group is denied":         {acl("deny", "a"), acl("deny", "a", "b"), false},
		"all but some":              {acl("allow", "a"), acl("deny", "b"), true},
		"some of those not denied":  {acl("deny", "b"), acl("allow", "a"), false},
		"some of those denied":      {acl("deny", "b"), acl("allow", "b"), true},
		"it is turned off":          {acl("allow", "a"), off(acl("allow", "a")), true},
		"it is turned on":           {off(acl("allow", "a")), acl("allow", "b"), false},
		"it stays off":              {off(acl("allow", "a")), off(acl("allow", "b")), false},
	} {
		if got := widens(c.is, c.want); got != c.wider {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnEditedListOfGroupsIsPutRightThoughARouteIsNotPushed(t *testing.T) {
	r, push, live := pushing(t)
	owner := desired.ServiceOwner("team", "api")
	want := reached(t, r, "/admin", "staff")
	program := func() bool {
		result, _ := r.program(t.Context(), owner, aim{}, want)
		return result.Applied
	}
	for !program() {
		push()
	}
	edits := func(kind string, fields ...string) {
		t.Helper()
		if err := unstructured.SetNestedStringSlice(live[kind].Object, []string{"edited"}, fields...); err != nil {
			t.Fatal(err)
		}
		for _, o := range want {
			if o.Kind == kind {
				r.held.Changed(o.Reference, "edited")
			}
		}
	}
	edits("Ingress", "spec", "rules")
	program() // no push follows
	edits(objects.KindClusterPlugin, "config", "allow")
	program()
	groups, _, _ := unstructured.NestedStringSlice(live[objects.KindClusterPlugin].Object, "config", "allow")
	if !slices.Equal(groups, []string{"staff"}) {
		t.Errorf("it admits %v", groups)
	}
}
