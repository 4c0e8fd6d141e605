package desired

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestRoutesThatMatchTheSameRequestsOverlap(t *testing.T) {
	base := kong.Fields{"name": "a", "paths": []string{"/x", "/y"}, "methods": []string{"GET", "POST"}, "hosts": []string{"A.example.com"}}
	with := func(changes kong.Fields) kong.Fields {
		fields := kong.Fields{}
		for name, value := range base {
			fields[name] = value
		}
		fields["name"] = "b"
		for name, value := range changes {
			fields[name] = value
		}
		return fields
	}
	for what, c := range map[string]struct {
		fields kong.Fields
		want   bool
	}{
		"the same":              {with(nil), true},
		"one path of two":       {with(kong.Fields{"paths": []string{"/y", "/z"}}), true},
		"another path":          {with(kong.Fields{"paths": []string{"/z"}}), false},
		"a longer path":         {with(kong.Fields{"paths": []string{"/x/y"}}), false},
		"one method of two":     {with(kong.Fields{"methods": []string{"POST", "PUT"}}), true},
		"other methods":         {with(kong.Fields{"methods": []string{"PUT"}}), false},
		"all methods":           {with(kong.Fields{"methods": nil}), true},
		"a host in other case":  {with(kong.Fields{"hosts": []string{"a.EXAMPLE.com"}}), true},
		"another host":          {with(kong.Fields{"hosts": []string{"b.example.com"}}), false},
		"no host":               {with(kong.Fields{"hosts": nil}), false},
		"a header besides":      {with(kong.Fields{"headers": map[string]any{"x-version": []string{"2"}}}), false},
		"an SNI besides":        {with(kong.Fields{"snis": []string{"a.example.com"}}), false},
		"another name, nothing": {with(kong.Fields{"paths": []string{"/z"}, "methods": nil}), false},
	} {
		t.Run(what, func(t *testing.T) {
			a := Claims(kong.Entity{Kind: kong.KindRoute, Fields: base})
			b := Claims(kong.Entity{Kind: kong.KindRoute, Fields: c.fields})
			if got := anyOverlap(a, b); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}

func anyOverlap(a, b []Claim) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Overlaps(y) {
				return true
			}
		}
	}
	return false
}

func TestOverlapIsMutual(t *testing.T) {
	claim := rapid.Custom(func(t *rapid.T) Claim {
		return Claim{
			Kind:    rapid.SampledFrom([]ClaimKind{ClaimKey, ClaimRoute}).Draw(t, "kind"),
			Value:   rapid.SampledFrom([]string{"a", "b"}).Draw(t, "value"),
			Methods: rapid.SampledFrom([]string{"", "GET", "GET,POST", "PUT"}).Draw(t, "methods"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := claim.Draw(t, "a"), claim.Draw(t, "b")
		if a.Overlaps(b) != b.Overlaps(a) {
			t.Fatalf("%+v and %+v overlap one way only", a, b)
		}
		if !a.Overlaps(a) {
			t.Fatalf("%+v does not overlap itself", a)
		}
	})
}

// What a spec claims before it is built has to be what its entities claim, or the older of two would not be found.
func TestSpecsClaimWhatTheirEntitiesClaim(t *testing.T) {
	service := testService()
	claimed := map[Claim]bool{}
	for _, e := range buildService(t, ServiceInput{Service: service}).Entities {
		for _, claim := range Claims(e) {
			claimed[claim] = true
		}
	}
	for _, claim := range ServiceClaims(service) {
		if !claimed[claim] {
			t.Errorf("the spec claims %s, its entities do not", claim)
		}
		delete(claimed, claim)
	}
	if len(claimed) > 0 {
		t.Errorf("the spec does not claim %v", claimed)
	}
}
