package ingress

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
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
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/guards"
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
// are, by their kinds, the last of each, and by their kinds and names.
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
				copied := o.DeepCopy()
				live[o.GetKind()], live[o.GetKind()+"/"+o.GetName()] = copied, copied
			}
			return err
		},
		Get: func(_ context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			kind := o.GetObjectKind().GroupVersionKind().Kind
			is, there := live[kind+"/"+key.Name]
			if !there {
				is, there = live[kind], live[kind] != nil && live[kind].GetName() == key.Name
			}
			if !there {
				return apierrors.NewNotFound(schema.GroupResource{}, o.GetName())
			}
			u, _ := o.(*unstructured.Unstructured) // nothing else is read
			is.DeepCopyInto(u)
			data := map[string]string{}
			for name, text := range kong.Fields(is.Object).Object("stringData") {
				data[name] = base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(text)))
			}
			return unstructured.SetNestedStringMap(u.Object, data, "data")
		},
		Delete: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
			delete(live, o.GetObjectKind().GroupVersionKind().Kind)
			delete(live, o.GetObjectKind().GroupVersionKind().Kind+"/"+o.GetName())
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
	if len(groups) == 0 {
		return exposed(t, r, path)
	}
	return exposed(t, r, path, kong.Fields{"name": "acl", "config": map[string]any{"allow": groups}})
}

// exposed are the objects of a service with a route on a path, and with plugins.
func exposed(t *testing.T, r *rooms, path string, plugins ...kong.Fields) []objects.Object {
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
	for _, plugin := range plugins {
		fields := maps.Clone(plugin)
		fields["service"] = on
		set.Entities = append(set.Entities, of(kong.KindPlugin, fields.Text("name"), fields))
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

// addressed is the configuration of an ip-restriction plugin.
func addressed(allow ...any) kong.Fields {
	return kong.Fields{"name": "ip-restriction", "config": map[string]any{"allow": allow}}
}

// checking is the jwt plugin, or that of claims, with a configuration.
func checking(plugin string, config map[string]any) kong.Fields {
	return kong.Fields{"name": plugin, "config": config}
}

func TestALooserGuardWaitsForTheRouteThatReliedOnItAndARouteForAStricterOne(t *testing.T) {
	jwt := func(config map[string]any) kong.Fields { return checking("jwt", config) }
	claims := func(programs ...any) kong.Fields {
		return checking(desired.PluginClaims, map[string]any{"access": programs})
	}
	for name, c := range map[string]struct{ former, now []kong.Fields }{
		"anybody may call":              {[]kong.Fields{jwt(nil)}, []kong.Fields{jwt(map[string]any{"anonymous": "guest"})}},
		"nobody may call without token": {[]kong.Fields{jwt(map[string]any{"anonymous": "guest"})}, []kong.Fields{jwt(nil)}},
		"other claims":                  {[]kong.Fields{claims("a")}, []kong.Fields{claims("b")}},
		"more addresses":                {[]kong.Fields{addressed("10.1.0.0/16")}, []kong.Fields{addressed("10.0.0.0/8")}},
		"other addresses":               {[]kong.Fields{addressed("10.1.0.0/16")}, []kong.Fields{addressed("10.2.0.0/16")}},
		"addresses in place of tokens": {
			[]kong.Fields{jwt(nil), addressed("10.0.0.0/8")},
			[]kong.Fields{jwt(map[string]any{"anonymous": "guest"}), addressed("10.2.0.0/16")},
		},
	} {
		for path, moves := range map[string]bool{"/public": true, "/admin": false} {
			if !moves && len(c.now) == 1 {
				continue // nothing else changes
			}
			r, push, live := pushing(t)
			owner := desired.ServiceOwner("team", "api")
			program := func(want []objects.Object) bool {
				result, _ := r.program(t.Context(), owner, aim{}, want)
				return result.Applied
			}
			former := exposed(t, r, "/admin", c.former...)
			for !program(former) {
				push()
			}
			state := func() (path string, is map[string]guards.Guard) {
				return pathOf(t, live), guardsOf(t, live)
			}
			_, before := state()
			want := exposed(t, r, path, c.now...)
			kongPath, inKong := state()
			for i := 0; !program(want); i++ {
				nowPath, now := state()
				// What is written may be in Kong with all, or nothing, of what else was written since
				// the last push.
				for plugin, guard := range now {
					widens := guards.Compare(plugin, before[plugin], guard).Widens
					if widens && moves && kongPath != path {
						t.Errorf("%s: %s lets somebody in who gets to /admin", name, plugin)
					}
					for other, was := range inKong {
						if widens && other != plugin && guards.Compare(other, was, guardOfWant(t, r, want, other)).Narrows {
							t.Errorf("%s: %s lets somebody in before %s shuts them out", name, plugin, other)
						}
					}
				}
				for plugin, guard := range inKong {
					if moves && nowPath == path && guards.Compare(plugin, guard, guardOfWant(t, r, want, plugin)).Narrows {
						t.Errorf("%s: whom %s shuts out gets to %s", name, plugin, path)
					}
				}
				push()
				if kongPath, inKong = state(); i > 12 {
					t.Fatalf("%s: never done", name)
				}
			}
			for plugin, guard := range guardsOf(t, live) {
				if got := guards.Compare(plugin, guard, guardOfWant(t, r, want, plugin)); got.Narrows || got.Widens {
					t.Errorf("%s: %s is %v at the end", name, plugin, map[string]any(guard.Config))
				}
			}
			if got := pathOf(t, live); got != path {
				t.Errorf("%s: at the end on %s", name, got)
			}
		}
	}
}

// pathOf is the path of the one Ingress.
func pathOf(t *testing.T, live map[string]*unstructured.Unstructured) string {
	t.Helper()
	spec, _, _ := unstructured.NestedSlice(live["Ingress"].Object, "spec", "rules")
	rule, _ := spec[0].(map[string]any)
	paths, _, _ := unstructured.NestedSlice(rule, "http", "paths")
	first, _ := paths[0].(map[string]any)
	text, _ := first["path"].(string)
	return text
}

// guardsOf are the plugins that are there, by their names in Kong.
func guardsOf(t *testing.T, live map[string]*unstructured.Unstructured) map[string]guards.Guard {
	t.Helper()
	all := map[string]guards.Guard{}
	for key, o := range live {
		if plugin, _ := o.Object["plugin"].(string); strings.Contains(key, "/") && plugin != "" {
			config, err := configOf(o.Object, func(secret objects.Reference) (kong.Fields, error) {
				raw, _, err := unstructured.NestedString(live["Secret/"+secret.Name].Object, "stringData", "config")
				return parseConfig(raw), err
			})
			if err != nil {
				t.Fatal(err)
			}
			all[plugin] = guardOf(o.Object, config)
		}
	}
	return all
}

// guardOfWant is a plugin as it is wanted.
func guardOfWant(t *testing.T, r *rooms, want []objects.Object, plugin string) guards.Guard {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for _, o := range want {
		all[o.Kind+"/"+o.Name] = &unstructured.Unstructured{Object: o.Content}
	}
	return guardsOf(t, all)[plugin]
}
