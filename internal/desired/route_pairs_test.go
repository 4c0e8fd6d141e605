package desired

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// withPairs makes a service with routes of so many hosts and paths.
func withPairs(routes, hosts, paths int) *v1alpha1.JwtProtectedService {
	return testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Routes = nil
		for r := range routes {
			route := v1alpha1.Route{Name: fmt.Sprint("r", r)}
			for h := range hosts {
				route.Hosts = append(route.Hosts, fmt.Sprintf("h%d.r%d.example.com", h, r))
			}
			for p := range paths {
				route.Paths = append(route.Paths, fmt.Sprintf("/r%d/p%d", r, p))
			}
			s.Routes = append(s.Routes, route)
		}
	})
}

func TestPairsOfHostsAndPathsAreCounted(t *testing.T) {
	for _, c := range []struct {
		routes, hosts, paths int
		pairs                string
	}{
		{1, 16, 32, ""}, {16, 1, 32, ""}, {16, 32, 0, ""}, {16, 0, 32, ""}, {16, 0, 0, ""}, {0, 0, 0, ""}, {2, 16, 16, ""},
		{1, 32, 17, "544"}, {16, 32, 32, "16384"}, {11, 7, 7, "539"},
	} {
		service := withPairs(c.routes, c.hosts, c.paths)
		err := CheckService(testPolicy(), service)
		for what, keys := range map[string][]UniqueKey{
			"unique keys": ServiceUniqueKeys(testPolicy(), service), "claims": ServiceClaims(testPolicy(), service), "buckets": ServiceBuckets(service),
		} {
			if len(keys) == 0 && c.pairs == "" || len(keys) > 0 && c.pairs != "" {
				t.Errorf("%+v: %d %s", c, len(keys), what)
			}
		}
		if c.pairs == "" && err != nil || c.pairs != "" && (err == nil || !strings.HasPrefix(err.Error(), "spec.routes: they have "+c.pairs+" pairs")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Under each policy every unique key of a service is in one of its buckets, and keys that overlap are in the same.
func TestEveryUniqueKeyIsInABucket(t *testing.T) {
	shared := testPolicy()
	shared.Routes = []v1alpha1.RouteClaimPolicy{{}}
	trusted := testPolicy()
	trusted.Identities = v1alpha1.IdentitiesAny
	hosts := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a.example.com", "A.Example.com:8443", "*.example.com", "example.com.", "api.*", "*.co.uk", "10.0.0.1", "[::1]:80", "localhost",
	}), 0, 4)
	paths := rapid.SliceOfN(rapid.SampledFrom([]string{
		"/", "/pay", "/pay/", "/pay/in", "/with a blank", "~/pay/\\d+", "~/pay$", "~/(a|b)", "/a.b", "/a+b/c", "~/a\\.b/c",
	}), 0, 4)
	service := rapid.Custom(func(t *rapid.T) *v1alpha1.JwtProtectedService {
		return testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Routes = []v1alpha1.Route{{Name: "api", Hosts: hosts.Draw(t, "hosts"), Paths: paths.Draw(t, "paths"), SNIs: hosts.Draw(t, "snis")}}
		})
	})
	rapid.Check(t, func(t *rapid.T) {
		one, other := service.Draw(t, "one"), service.Draw(t, "other")
		other.Namespace = "team-b"
		for _, policy := range []Policy{testPolicy(), shared, trusted} {
			keys := ServiceUniqueKeys(policy, one)
			buckets := ServiceBuckets(one)
			for _, key := range keys {
				in := func(b UniqueKey) bool { return b.Kind == key.Kind && b.Bucket() == key.Bucket() }
				if !slices.ContainsFunc(buckets, in) {
					t.Fatalf("%+v is in none of %+v", key, buckets)
				}
				for _, rival := range ServiceUniqueKeys(policy, other) {
					if key.Overlaps(rival) && key.RivalBucket() != rival.Bucket() {
						t.Fatalf("%+v and %+v overlap in two buckets", key, rival)
					}
				}
			}
		}
	})
}
