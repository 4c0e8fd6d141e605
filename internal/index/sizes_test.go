package index

import (
	"encoding/json"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// What a service takes in the index grows with its text: hosts are not multiplied with paths, neither of one that the
// CRD takes, nor of one from before its bound.
func TestTheIndexOfAServiceIsSmall(t *testing.T) {
	uniqueKeys := named(v1alpha1.KindJwtProtectedService, UniqueKey)
	for _, c := range []struct{ routes, hosts, paths int }{{1, 16, 32}, {16, 1, 32}, {16, 32, 1}, {16, 0, 32}, {16, 32, 32}} {
		service := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "large"}}
		service.Spec.Upstream = &v1alpha1.Upstream{URL: "http://example.com"}
		for r := range c.routes {
			route := v1alpha1.Route{Name: fmt.Sprint("r", r)}
			for h := range c.hosts {
				route.Hosts = append(route.Hosts, fmt.Sprintf("h%d.r%d.example.com", h, r))
			}
			for p := range c.paths {
				route.Paths = append(route.Paths, fmt.Sprintf("/r%d/p%d", r, p))
			}
			service.Spec.Routes = append(service.Spec.Routes, route)
		}
		text, err := json.Marshal(service)
		if err != nil {
			t.Fatal(err)
		}
		bytes := 0
		values := uniqueKeys.valuesOf(service)
		for _, value := range values {
			bytes += len(value)
		}
		if limit := 2 * len(text); bytes > limit {
			t.Errorf("%+v: %d bytes of JSON are looked up by %d bytes", c, len(text), bytes)
		}
		if stored := len(uniqueKeys.stored(service)); stored > buckets || stored > 2+c.routes*(2+2*max(c.hosts, c.paths)) {
			t.Errorf("%+v: it is in %d sets", c, stored)
		}
	}
}
