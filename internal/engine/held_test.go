package engine

import (
	"net/http"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

func TestWhatKongIsKnownToHold(t *testing.T) {
	r := newRig(t)
	if !r.gateway.Filled() {
		t.Fatal("a connected engine does not know what Kong holds")
	}
	john := r.consumer("john", "team.john", "k1", "k2")
	if _, found := r.gateway.CredentialPart(john.Owner, "k2"); found || r.gateway.HasCredentials(john) {
		t.Fatal("it is held before it was written")
	}
	r.mustSync(john)
	if part, found := r.gateway.CredentialPart(john.Owner, "k2"); !found || part != "credential:b" {
		t.Errorf("got part %q, %t", part, found)
	}
	if _, found := r.gateway.CredentialPart(desired.Owner{Kind: john.Owner.Kind, Namespace: "team", Name: "jane"}, "k2"); found {
		t.Error("it is held for somebody else")
	}
	if !r.gateway.HasCredentials(john) {
		t.Error("what was written is not held")
	}
	ids := r.gateway.CredentialIDs(john.Owner, func(part string) bool { return part == "credential:b" })
	if len(ids) != 1 || ids[0] != john.Entities[2].ID {
		t.Errorf("the ids of one credential are %v", ids)
	}
	if ids = r.gateway.CredentialIDs(john.Owner, func(string) bool { return true }); len(ids) != 2 {
		t.Errorf("the ids of all credentials are %v", ids)
	}
	changed := r.consumer("john", "team.john", "k1", "k2")
	for _, e := range changed.Entities {
		if e.Fields.Text("key") == "k2" {
			e.Fields["secret"] = canary + "2"
		}
	}
	if r.gateway.HasCredentials(changed) {
		t.Error("another secret under the same key is held")
	}
}

func TestWhoHoldsAPublicKey(t *testing.T) {
	r := newRig(t)
	const pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\nq9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n"
	john := r.consumer("john", "team.john", "k1", "k2")
	for _, e := range john.Entities {
		if e.Fields.Text("key") == "k2" {
			e.Fields["algorithm"], e.Fields["rsa_public_key"] = "ES256", pem
		}
	}
	r.mustSync(john)
	for _, c := range []struct {
		what, key, pem string
		held           bool
	}{
		{"the key", "k2", pem, true}, {"it with a line more", "k2", pem + "\n", true},
		{"another public key", "k2", "another", false}, {"another kid", "k1", pem, false}, {"none of it", "k1", "", false},
	} {
		if owner, part, held := r.gateway.PublicKeyHolder(t.Context(), c.key, c.pem); held != c.held || held && (owner != john.Owner || part != "credential:b") {
			t.Errorf("%s: %v of %s, %t", c.what, part, owner, held)
		}
	}
}

func TestWhatIsOnItsWayIntoAConfigurationIsNotHeld(t *testing.T) {
	r := newDeclaredRig(t)
	john := r.consumer("john", "john", "k1")
	r.eventually("it is held", func() bool {
		result, err := r.sync(john)
		held := r.gateway.HasCredentials(john)
		if (held || result.Applied) && !r.there(kong.KindJWT, "k1") {
			t.Fatal("it is held, and Kong does not run it")
		}
		return held && result.Applied && err == nil
	})
}

// What is asked of Kong itself is what it holds at that moment, and no answer is not a no.
func TestWhatKongIsAskedFor(t *testing.T) {
	r := newRig(t)
	john := r.consumer("john", "john", "k1")
	r.mustSync(john)
	credential := id(john, kong.KindJWT)
	const theirs = "3f2c0000-0000-4000-8000-000000000002"
	r.hold(kong.Entity{Kind: kong.KindConsumer, ID: foreignID, Fields: kong.Fields{"username": "jane"}})
	r.hold(kong.Entity{Kind: kong.KindJWT, ID: theirs, ConsumerID: foreignID, Fields: kong.Fields{"key": "k2", "secret": canary}})
	reads := func(id string) (secret string, found bool, err error) {
		e, found, err := r.gateway.Credential(t.Context(), id)
		return e.Fields.Text("secret"), found, err
	}
	if secret, found, err := reads(credential); err != nil || !found || secret != canary {
		t.Errorf("its own credential: %t, %v", found, err)
	}
	r.sim.ResetRequests()
	if secret, found, err := reads(theirs); err != nil || found || secret != "" || len(r.requests()) > 0 {
		t.Errorf("somebody else's credential: %t, %v, requests %v", found, err, r.requests())
	}
	for name, want := range map[string]bool{"john": true, "jane": true, foreignID: true, "nobody": false} {
		if has, err := r.gateway.HasConsumer(t.Context(), name); err != nil || has != want {
			t.Errorf("consumer %s: %t, %v", name, has, err)
		}
	}
	for key, want := range map[string]bool{"k1": true, "k2": true, "k3": false} {
		if holds, err := r.gateway.HoldsKey(t.Context(), key); err != nil || holds != want {
			t.Errorf("key %s: %t, %v", key, holds, err)
		}
	}

	r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodGet}, PathPrefix: "/consumers", Status: http.StatusBadGateway},
		kongsim.Fault{Methods: []string{http.MethodGet}, PathPrefix: "/jwts", Status: http.StatusBadGateway})
	_, found, err := reads(credential)
	has, errHas := r.gateway.HasConsumer(t.Context(), "john")
	holds, errHolds := r.gateway.HoldsKey(t.Context(), "k2")
	if found || has || holds || err == nil || errHas == nil || errHolds == nil {
		t.Errorf("Kong fails: %t, %t, %t; %v, %v, %v", found, has, holds, err, errHas, errHolds)
	}
	r.sim.Faults.Set(1)
	r.drop(kong.KindJWT, john.Entities[0].ID, credential)
	if _, found, err := reads(credential); err != nil || found {
		t.Errorf("a credential that somebody deleted: %t, %v", found, err)
	}
}

// Of an owner that leaves Kong as it is, nothing is waited for and looked for any more.
func TestWhatIsKnownOfAnOwnerThatLetsGo(t *testing.T) {
	r := newCachingRig(t, time.Hour)
	const bob = "5f2c0000-0000-4000-8000-000000000013"
	r.hold(kong.Entity{Kind: kong.KindConsumer, ID: bob, Fields: kong.Fields{"username": "bob"}})
	r.caching(kong.Fields{"consumer": on(bob)})
	set, _ := r.checkingOwn()
	r.opened(set)
	if r.gateway.State().ClaimsBypassed == "" {
		t.Fatal("nothing is said of the plugin that answers before claims are checked")
	}
	if err := r.gateway.Orphan(t.Context(), set.Owner); err != nil {
		t.Fatal(err)
	}
	if said := r.gateway.State().ClaimsBypassed; said != "" {
		t.Errorf("nobody has claims, and it says %s", said)
	}
	if woken := r.gateway.memory.differing(r.gateway.observed); len(woken) > 0 {
		t.Errorf("woken: %v", woken)
	}
}

// Of another Kong nothing is known, and nothing is done for what the former one held.
func TestWhatIsKnownOfAnotherKong(t *testing.T) {
	r := newRig(t)
	g := r.gateway
	john := r.consumer("john", "john", "k1")
	r.mustSync(john)
	r.theirs(theirService, theirRoute)
	r.mustSync(r.checking(kong.KindService))
	r.opened(r.service("api", "one")) // all routes are listed for it
	held, _ := g.observed.Get(id(john, kong.KindJWT))
	g.drifts.Note(observed.Finding{Verdict: observed.Deleted, Change: observed.Change{Before: &held}})
	gone := func(owner desired.Owner) (bool, error) { return owner == john.Owner, nil }
	if orphans, err := g.Orphans(gone, 100); err != nil || len(orphans.Confirmed) > 0 {
		t.Fatalf("%v, %v", orphans, err)
	}

	g.reset()
	if g.Filled() || g.Holds(john.Owner) || len(g.memory.differing(g.observed)) > 0 || g.rivals.Wanted() || len(g.attachments.ids()) > 0 {
		t.Error("something of the former Kong is known")
	}
	if _, noted := g.drifts.Get(held.ID); noted {
		t.Error("a drift of the former Kong is remembered")
	}
	if g.foreign.routes != nil {
		t.Error("the routes of the former Kong are taken for those of this one")
	}
	// Two listings of this Kong have to find a resource gone, and not one of each.
	_, before := g.orphans.Suspects(nil)
	g.relist()
	r.eventually("Kong is listed", func() bool { _, now := g.orphans.Suspects(nil); return now > before })
	if orphans, err := g.Orphans(gone, 100); err != nil || len(orphans.Confirmed) > 0 {
		t.Errorf("gone at one listing of this Kong, and to be pruned: %v, %v", orphans.Confirmed, err)
	}
}

// Of an owner that is gone nothing is kept that would count for one of the same name.
func TestNothingIsKeptOfAnOwnerThatIsGone(t *testing.T) {
	r := newRig(t)
	john := r.consumer("john", "john", "k1")
	r.mustSync(john)
	jane := r.consumer("jane", "john")
	pause := func() time.Duration {
		_, err := r.sync(jane)
		return r.stalls(err, v1alpha1.ReasonConflict).RetryAfter
	}
	first := pause()
	if again := pause(); again <= first {
		t.Errorf("pauses of %s, and then of %s", first, again)
	}
	if err := r.gateway.Orphan(t.Context(), jane.Owner); err != nil {
		t.Fatal(err)
	}
	if again := pause(); again != first {
		t.Errorf("deleted and made again, it pauses for %s, and not %s", again, first)
	}

	r.theirs(theirService, theirRoute)
	guard := r.attached(kong.KindService)
	r.mustSync(guard)
	r.drop(kong.KindJWT, id(john, kong.KindConsumer), id(john, kong.KindJWT))
	r.gateway.relist()
	r.expect(EventDrift, &john.Owner)
	for _, owner := range []desired.Owner{guard.Owner, john.Owner} {
		if err := r.gateway.Orphan(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	if ids := r.gateway.attachments.ids(); len(ids) > 0 {
		t.Errorf("each listing would ask for %v", ids)
	}
	if _, noted := r.gateway.drifts.Get(id(john, kong.KindJWT)); noted {
		t.Error("a drift of it is remembered")
	}
}

// A credential of a consumer that was adopted is known by the id that it has in Kong.
func TestACredentialThatWasAdoptedIsHeld(t *testing.T) {
	r := newRig(t)
	john := r.consumer("john", "john", "k1")
	r.byHand(john)
	r.adopting()
	r.mustSync(john)
	if !r.gateway.HasCredentials(john) {
		t.Error("Kong has it, and it is not known")
	}
}
