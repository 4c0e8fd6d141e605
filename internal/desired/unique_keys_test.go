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
			a := UniqueKeys(kong.Entity{Kind: kong.KindRoute, Fields: base})
			b := UniqueKeys(kong.Entity{Kind: kong.KindRoute, Fields: c.fields})
			if got := anyOverlap(a, b); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}

func anyOverlap(a, b []UniqueKey) bool {
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
	key := rapid.Custom(func(t *rapid.T) UniqueKey {
		return UniqueKey{
			Kind:    rapid.SampledFrom([]UniqueKind{UniqueCredentialKey, UniqueRoute}).Draw(t, "kind"),
			Value:   rapid.SampledFrom([]string{"a", "b"}).Draw(t, "value"),
			Methods: rapid.SampledFrom([]string{"", "GET", "GET,POST", "PUT"}).Draw(t, "methods"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		if a.Overlaps(b) != b.Overlaps(a) {
			t.Fatalf("%+v and %+v overlap one way only", a, b)
		}
		if !a.Overlaps(a) {
			t.Fatalf("%+v does not overlap itself", a)
		}
	})
}

// The unique keys of a spec have to be those of its entities, or the older of two would not be found.
func TestSpecsHaveTheUniqueKeysOfTheirEntities(t *testing.T) {
	service := testService()
	held := map[UniqueKey]bool{}
	for _, e := range buildService(t, ServiceInput{Service: service}).Entities {
		for _, key := range UniqueKeys(e) {
			held[key] = true
		}
	}
	for _, key := range ServiceUniqueKeys(testPolicy(), service) {
		if !held[key] {
			t.Errorf("the spec has %s, its entities do not", key)
		}
		delete(held, key)
	}
	if len(held) > 0 {
		t.Errorf("the spec does not have %v", held)
	}
}
