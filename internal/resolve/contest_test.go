package resolve

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

// many makes a service with as many pairs of a host and a path as it may have, the same in each namespace.
func many(namespace string, age time.Duration) *v1alpha1.JwtProtectedService {
	service := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "api", UID: types.UID(namespace), CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age)),
	}}
	service.Spec.GatewayRef.Name = "default"
	service.Spec.Upstream = &v1alpha1.Upstream{URL: "https://backend.example.net"}
	route := v1alpha1.Route{Name: "all"}
	for i := range 16 {
		route.Hosts = append(route.Hosts, fmt.Sprintf("h%d.example.com", i))
	}
	for i := range desired.MaxRoutePairs / 16 {
		route.Paths = append(route.Paths, fmt.Sprintf("/p%d", i))
	}
	service.Spec.Routes = []v1alpha1.Route{route}
	return service
}

// A service is asked about once in a sync, however many keys it and the others want, and not at all where its answer
// does not matter.
func TestTheKeysOfARivalAreMadeOnce(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	own, older, suspended := many("team-b", time.Hour), many("team-a", 2*time.Hour), many("team-c", 3*time.Hour)
	suspended.Spec.Suspend = true
	lists := 0
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(own, older, suspended, many("team-d", time.Minute)).
		WithInterceptorFuncs(interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			lists++
			return c.List(ctx, list, o...)
		}})
	if err := index.Each(func(object client.Object, name string, values client.IndexerFunc) error {
		builder.WithIndex(object, name, values)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	find := OlderWith(t.Context(), builder.Build(), own, func(other *v1alpha1.JwtProtectedService) []desired.UniqueKey {
		asked[other.Namespace]++
		return desired.ServiceUniqueKeys(desired.Policy{}, other)
	})
	found, keys := 0, desired.ServiceUniqueKeys(desired.Policy{}, own)
	for _, key := range keys {
		switch owner, taken := find(key); {
		case taken && owner.Namespace == "team-a":
			found++
		case taken:
			t.Fatalf("%s is left to %s", key, owner)
		}
	}
	if found != 2*desired.MaxRoutePairs {
		t.Errorf("of %d keys the older one has %d", len(keys), found)
	}
	if len(asked) != 1 || asked["team-a"] != 1 {
		t.Errorf("asked for all keys: %v", asked)
	}
	if lists > 3+len(own.Spec.Routes[0].Hosts)+1 {
		t.Errorf("%d keys are looked up %d times", len(keys), lists)
	}
}
