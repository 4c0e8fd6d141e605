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
