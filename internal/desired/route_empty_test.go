package desired

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// What a template leaves empty makes the same route in Kong, and claims as much of it, as what is not there.
func TestARouteWithEmptyListsIsThatWithoutThem(t *testing.T) {
	g := NewWithT(t)
	without := v1alpha1.Route{Name: "api", Paths: []string{"/a"}}
	empty := without
	empty.Hosts, empty.Methods, empty.SNIs = []string{}, []string{}, []string{}
	empty.Protocols, empty.Headers = []v1alpha1.Protocol{}, map[string]v1alpha1.HeaderValues{}
	g.Expect(routeFields(empty)).To(Equal(routeFields(without)))
	g.Expect(Policy{}.routeFields(empty)).To(Equal(Policy{}.routeFields(without)))
	g.Expect(routeUniqueKeys(routeFields(empty))).To(Equal(routeUniqueKeys(routeFields(without))))
}
