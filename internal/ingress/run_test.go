package ingress

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/refusals"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/targets"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// neverTaken are rooms of a gateway whose controller takes nothing. written are the names that were applied, and
// deleted those that were deleted, in order.
func neverTaken() (r *rooms, written, deleted *[]string) {
	written, deleted = &[]string{}, &[]string{}
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, a runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			var asks client.ApplyOptions
			asks.ApplyOptions(options)
			raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
			if err != nil || len(asks.DryRun) > 0 {
				return err
			}
			*written = append(*written, (&unstructured.Unstructured{Object: raw}).GetName())
			return nil
		},
		Delete: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
			*deleted = append(*deleted, o.GetName())
			return nil
		},
	})
	a := about{cluster: cluster{kube}, start: engine.Start{Now: time.Now}}
	r = &rooms{
		about: a, link: newLink(nil), held: held.New(), targets: targets.New(), refusals: refusals.New(time.Hour, time.Now),
		arbiter: arbiter.New(func(desired.Owner) {}, time.Hour),
	}
	r.barrier = barrier.New(&barrierObject{about: a}, barrier.Pace{Settle: time.Hour, Late: time.Hour}, time.Now)
	return r, written, deleted
}

func TestWhomAServiceNoLongerAdmitsIsKeptOutThoughAnotherPluginWaits(t *testing.T) {
	r, written, _ := neverTaken()
	owner := desired.ServiceOwner("team", "api")
	of := func(sum string) []objects.Object {
		secret, limit, acl := plugin("secret-"+sum, sum), plugin("limit", sum), plugin("acl", sum)
		secret.Entity, secret.Kind, secret.APIVersion = "", "Secret", "v1"
		limit.Content["configFrom"] = map[string]any{"secretKeyRef": map[string]any{"name": secret.Name}}
		all := []objects.Object{secret, limit, acl}
		for i := range all {
			all[i].Owner = owner
			all[i].Content["metadata"] = map[string]any{"name": all[i].Name, "labels": map[string]any{"sum": sum}}
		}
		return all
	}
	var wait *status.WaitError
	for _, step := range []struct {
		sum  string
		want []string
	}{
		{"1", []string{"secret-1", "limit", "acl"}}, {"2", []string{"secret-2", "acl"}},
	} {
		*written = nil
		_, err := r.program(t.Context(), owner, aim{}, of(step.sum))
		if !errors.As(err, &wait) || !slices.Equal(*written, step.want) {
			t.Errorf("%v: written %v, want %v", err, *written, step.want)
		}
	}
}

func TestNarrowAccessKeepsOutWhomAPluginNoLongerAdmitsThoughAnotherIsGone(t *testing.T) {
	strs := func(texts ...any) []any { return texts }
	for name, test := range map[string]struct {
		list       string
		live, want []any
		is         []string
	}{
		"a group leaves":     {"allow", strs("a", "b"), strs("b", "c"), []string{"b"}},
		"all groups leave":   {"allow", strs("a"), strs("c"), []string{desired.Nobody}},
		"a group is denied":  {"deny", strs("a"), strs("b"), []string{"a", "b"}},
		"groups come":        {"allow", strs("a"), strs("a", "b"), []string{"a"}},
		"no group is denied": {"deny", strs("a", "b"), strs("a"), []string{"a", "b"}},
	} {
		r, _, _ := neverTaken()
		kube := fake.NewClientBuilder().Build()
		r.cluster, r.objects = cluster{kube}, objects.Settings{Scope: desired.Scope{Gateway: "g"}, Key: []byte("k")}
		r.link.fill()
		access := desired.Set{Owner: desired.ServiceOwner("team", "api")}
		for _, part := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			access.Entities = append(access.Entities, kong.Entity{Kind: kong.KindPlugin, ID: part, Fields: kong.Fields{
				"name": "acl", "tags": r.objects.Scope.Tags(access.Owner, part),
				"config": map[string]any{test.list: test.want},
			}})
		}
		all, err := r.objects.Of(access, nil, nil)
		if err != nil || len(all) != len(access.Entities) {
			t.Fatal(all, err)
		}
		for _, o := range all { // all of them but the last are gone
			o.Sum = "former"
			r.held.Put(held.Object{Object: o})
		}
		live := &unstructured.Unstructured{Object: all[len(all)-1].Content}
		live = live.DeepCopy()
		_ = unstructured.SetNestedSlice(live.Object, test.live, "config", test.list)
		if err := kube.Create(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		if _, err := (&Engine{r}).NarrowAccess(t.Context(), access); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		now, err := r.cluster.get(t.Context(), all[len(all)-1].Reference)
		if err != nil {
			t.Fatal(err)
		}
		if is, _, _ := unstructured.NestedStringSlice(now.Object, "config", test.list); !slices.Equal(is, test.is) {
			t.Errorf("%s: %v, want %v", name, is, test.is)
		}
	}
}
