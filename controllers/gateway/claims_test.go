package gateway

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
)

// Of two processes that share a gateway, one has no service with claims in its cache. What the other asked for stays.
func TestClaimsAreAskedAboutForOtherProcessesToo(t *testing.T) {
	scheme := fake.NewClientBuilder().Build().Scheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cache := fake.NewClientBuilder().WithScheme(scheme).
		WithIndex(&v1alpha1.JwtProtectedService{}, index.Gateway, func(client.Object) []string { return []string{"main"} }).Build()
	asked := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "main"}}
	asked.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionClaimsChecked, Status: metav1.ConditionUnknown}}
	unasked := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "main"}}
	for name, c := range map[string]struct {
		object *v1alpha1.KongGateway
		others client.Reader
		want   bool
	}{
		"another process asked": {asked, cache, true},
		"nobody asked":          {unasked, cache, false},
		"there is no other":     {asked, nil, false},
	} {
		r := &Reconciler{Lifecycle: &lifecycle.Lifecycle{Client: cache}, Options: Options{Live: c.others}}
		if wants, err := r.wantsClaims(t.Context(), c.object); err != nil || wants != c.want {
			t.Errorf("%s: %v, %v", name, wants, err)
		}
	}
}
