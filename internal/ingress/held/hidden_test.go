package held_test

import (
	"slices"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func kongPlugin(namespace, name string) objects.Reference {
	return objects.Reference{APIVersion: objects.GroupKong, Kind: objects.KindPlugin, Namespace: namespace, Name: name}
}

func TestAKongPluginHidesAKongClusterPluginOfItsNameInItsNamespace(t *testing.T) {
	s, gateway := held.New(), desired.GatewayOwner("g")
	for name, owner := range map[string]desired.Owner{"api-1": api, "g-1": gateway} {
		s.Put(held.Object{Object: objects.Object{Reference: reference(objects.KindClusterPlugin, "", name), Owner: owner}})
	}
	others := map[objects.Reference]bool{
		kongPlugin("team", "api-2"): true, kongPlugin("elsewhere", "api-1"): true, kongPlugin("team", "g-1"): true,
	}
	if changed := s.Hide(s.BeginListing(), others, "system"); len(changed) != 0 {
		t.Errorf("%v are hidden", changed)
	}
	others[kongPlugin("team", "api-1")], others[kongPlugin("system", "g-1")] = true, true
	if changed := s.Hide(s.BeginListing(), others, "system"); !changed[api] || !changed[gateway] {
		t.Errorf("its owner is not told: %v", changed)
	}
	if changed := s.Hide(s.BeginListing(), others, "system"); len(changed) != 0 {
		t.Error("its owner is told again")
	}
	if by := s.HiddenBy(api); !slices.Equal(by, []objects.Reference{kongPlugin("team", "api-1")}) {
		t.Errorf("%v hides it", by)
	}
	if changed := s.Hide(s.BeginListing(), nil, "system"); !changed[api] || len(s.HiddenBy(api)) > 0 {
		t.Error("its owner is not told that it is hidden no more")
	}
}

func TestAKongPluginIsSeenWhenItComesAndWhenItGoes(t *testing.T) {
	s := held.New()
	for _, name := range []string{"api-1", "api-2"} {
		s.Put(held.Object{Object: objects.Object{Owner: api, Reference: objects.Reference{
			APIVersion: objects.GroupKong, Kind: objects.KindClusterPlugin, Name: name,
		}}})
	}
	see := func(namespace, name string, there, want bool) {
		t.Helper()
		if owner, changed := s.HideOne(kongPlugin(namespace, name), there, "system"); changed != want || changed && owner != api {
			t.Errorf("%s/%s, there %v: %v is woken: %v", namespace, name, there, owner, changed)
		}
	}
	see("elsewhere", "api-1", true, false)
	see("team", "api-3", true, false)
	see("team", "api-1", true, true)
	see("team", "api-1", true, false)
	see("team", "api-2", true, true)
	see("team", "api-1", false, true)
	see("team", "api-1", false, false)
	if by := s.HiddenBy(api); len(by) != 1 || by[0].Name != "api-2" {
		t.Errorf("%v", by)
	}
	wanted := kongPlugin("team", "api-9") // and not there yet
	s.HideOwn(s.BeginListing(), api, []objects.Reference{wanted}, map[objects.Reference]bool{wanted: true})
	if by := s.HiddenBy(api); len(by) != 1 || by[0].Name != "api-9" {
		t.Errorf("%v", by)
	}
	see("team", "api-9", false, true)
	if by := s.HiddenBy(api); len(by) != 0 {
		t.Errorf("%v", by)
	}
}

func TestWhatAWatchSaysOfAKongPluginIsNewerThanAListingThatIsUnderWay(t *testing.T) {
	by := kongPlugin("team", "api-1")
	for name, ends := range map[string]func(*held.Store, *held.Listing, map[objects.Reference]bool){
		"of all": func(s *held.Store, l *held.Listing, found map[objects.Reference]bool) { s.Hide(l, found, "system") },
		"of an owner's": func(s *held.Store, l *held.Listing, found map[objects.Reference]bool) {
			s.HideOwn(l, api, []objects.Reference{by}, found)
		},
	} {
		for _, there := range []bool{true, false} {
			s := held.New()
			s.Put(held.Object{Object: objects.Object{Owner: api, Reference: objects.Reference{
				APIVersion: objects.GroupKong, Kind: objects.KindClusterPlugin, Name: by.Name,
			}}})
			listing := s.BeginListing()
			found := map[objects.Reference]bool{by: !there}
			s.HideOne(by, there, "system")
			ends(s, listing, found)
			if hidden := len(s.HiddenBy(api)) > 0; hidden != there {
				t.Errorf("a listing %s that found it %v: hidden %v, and it is there %v", name, !there, hidden, there)
			}
			s.EndListing(listing)
			ends(s, s.BeginListing(), found)
			if hidden := len(s.HiddenBy(api)) > 0; hidden == there {
				t.Errorf("a listing %s that began later: hidden %v, and it is there %v", name, hidden, !there)
			}
		}
	}
}
