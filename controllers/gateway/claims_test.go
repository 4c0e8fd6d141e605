package gateway

import (
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
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

// A plugin that answers before claims are checked is said of a gateway that is Ready, until it is gone.
func TestAPluginThatBypassesClaimsIsNamed(t *testing.T) {
	object := &v1alpha1.KongGateway{}
	said := func(state engine.State) *metav1.Condition {
		t.Helper()
		if err := observe(object, state); err != nil {
			t.Fatal(err)
		}
		return apimeta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionClaimsBypassed)
	}
	bypassed := said(engine.State{Ready: true, ClaimsBypassed: "consumer bob has plugin proxy-cache"})
	if bypassed == nil || bypassed.Status != metav1.ConditionTrue || bypassed.Reason != v1alpha1.ReasonAnsweredBeforeClaims ||
		!strings.Contains(bypassed.Message, "consumer bob has plugin proxy-cache, which answers") {
		t.Errorf("%+v", bypassed)
	}
	if still := said(engine.State{Ready: true}); still != nil {
		t.Errorf("it is gone, and the gateway says %+v", still)
	}
}
