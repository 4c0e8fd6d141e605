package engine

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Whom a service no longer lets in is shut out, whatever is wrong with the rest of it: nobody is let in, and nothing
// else of it is changed.
func TestAccessIsNarrowedAndNothingElse(t *testing.T) {
	r := newRig(t)
	service := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "orders"}}
	service.Spec = v1alpha1.JwtProtectedServiceSpec{
		Upstream: &v1alpha1.Upstream{URL: "http://a.example.com"}, Access: &v1alpha1.Access{Groups: []string{"a", "b"}},
		Routes: []v1alpha1.Route{{Name: "r", Paths: []string{"/orders"}}},
	}
	policy := desired.NewPolicy(&v1alpha1.KongGateway{}, "cluster.local")
	in := desired.ServiceInput{Service: service}
	set, err := desired.BuildService(r.scope, policy, in)
	if err != nil {
		t.Fatal(err)
	}
	r.opened(set)
	narrow := func(groups ...string) (writes int) {
		t.Helper()
		service.Spec.Access = &v1alpha1.Access{Groups: groups}
		result, err := r.gateway.NarrowAccess(t.Context(), desired.BuildAccess(r.scope, policy, in))
		if err != nil {
			t.Fatal(err)
		}
		return result.Writes
	}
	admitted := func() []string {
		t.Helper()
		access := desired.BuildAccess(r.scope, policy, in).Entities[0]
		for _, e := range set.Entities {
			if !r.there(e.Kind, e.ID) {
				t.Errorf("%s is gone", e.ID)
			}
		}
		for e, err := range r.gateway.link.current().List(t.Context(), kong.KindPlugin, kong.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.ID == access.ID {
				return kong.Fields(e.Fields["config"].(map[string]any)).Strings("allow")
			}
		}
		return nil
	}
	for _, step := range []struct {
		wanted, left []string
		writes       int
	}{
		{[]string{"a", "b", "c"}, []string{"a", "b"}, 0},
		{[]string{"b", "c"}, []string{"b"}, 1},
		{[]string{"b", "c"}, []string{"b"}, 0},
		{[]string{"c"}, []string{desired.Nobody}, 1},
	} {
		if writes := narrow(step.wanted...); writes != step.writes || !slices.Equal(admitted(), step.left) {
			t.Errorf("%v: %d writes, %v", step.wanted, writes, fmt.Sprint(admitted()))
		}
	}
}
