package holders_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/holders"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

var one, two = desired.ConsumerOwner("team", "one"), desired.ConsumerOwner("team", "two")

// rig is what claims look into, with a clock.
type rig struct {
	holders.Holders
	others   map[desired.UniqueKey]holders.Holder
	failed   error
	listings int
	now      time.Time
	woken    []desired.Owner
}

func newRig() *rig {
	r := &rig{others: map[desired.UniqueKey]holders.Holder{}, now: time.Unix(1000, 0)}
	r.Held = held.New()
	r.Arbiter = arbiter.New(func(owner desired.Owner) { r.woken = append(r.woken, owner) }, time.Hour)
	r.Unique = func(key desired.UniqueKey) desired.UniqueKey { key.Value = "sum of " + key.Value; return key }
	r.Others = holders.NewOthers(func(context.Context) (map[desired.UniqueKey]holders.Holder, error) {
		r.listings++
		return r.others, r.failed
	}, func() time.Time { return r.now })
	return r
}

func consumer(owner desired.Owner, username string) desired.Set {
	return desired.Set{Owner: owner, Entities: []kong.Entity{{
		Kind: kong.KindConsumer, ID: "consumer-" + owner.Name, Fields: kong.Fields{"username": username},
	}, {
		Kind: kong.KindJWT, ID: "credential-" + owner.Name,
		Fields: kong.Fields{"key": "key-" + owner.Name, "consumer": map[string]any{"id": "consumer-" + owner.Name}},
	}}}
}

func username(name string) desired.UniqueKey {
	return desired.UniqueKey{Kind: desired.UniqueUsername, Value: "sum of " + name}
}

func (r *rig) claim(t *testing.T, set desired.Set) *holders.Claim {
	t.Helper()
	claim, err := r.Claim(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return claim
}

func TestWhoHasAKeyKeepsIt(t *testing.T) {
	stranger := objects.Reference{Kind: objects.KindConsumer, Namespace: "other", Name: "app"}
	for name, test := range map[string]struct {
		prepare func(*rig)
		by      string
	}{
		"nobody": {func(*rig) {}, ""},
		"a stranger's object": {func(r *rig) {
			r.others[username("shared")] = holders.Holder{Reference: stranger}
		}, "KongConsumer other/app"},
		"another resource's object": {func(r *rig) {
			r.Held.Put(held.Object{Object: objects.Object{Owner: two, Unique: []desired.UniqueKey{username("shared")}}})
		}, two.String()},
		"another process wrote it": {func(r *rig) {
			r.others[username("shared")] = holders.Holder{Reference: stranger, Owner: two}
		}, two.String()},
		"its own object": {func(r *rig) { r.others[username("shared")] = holders.Holder{Reference: stranger, Owner: one} }, ""},
		"another is on its way": {func(r *rig) {
			r.Arbiter.Reserve("consumer-two", two, []desired.UniqueKey{username("shared")})
		}, two.String()},
		"an older resource wants it": {func(r *rig) {
			r.Older = func(key desired.UniqueKey) (desired.Owner, bool) { return two, key.Value == "shared" }
		}, two.String() + ", which is older"},
	} {
		r := newRig()
		test.prepare(r)
		claim := r.claim(t, consumer(one, "shared"))
		refusals := claim.Refusals()
		if test.by == "" {
			if len(refusals) != 0 || claim.LacksConsumer() {
				t.Errorf("%s: %+v", name, refusals)
			}
			continue
		}
		if len(refusals) != 1 || refusals[0].By != test.by || refusals[0].Key.Value != "shared" || !claim.LacksConsumer() {
			t.Errorf("%s: %+v", name, refusals)
		}
		granted := claim.Granted(consumer(one, "shared"))
		if len(granted.Entities) != 1 || !slices.Contains(granted.Keep, "consumer-one") {
			t.Errorf("%s: %+v is granted", name, granted)
		}
	}
}

func TestWhoAskedInVainIsWokenWhenTheKeyIsNotTakenAfterAll(t *testing.T) {
	r := newRig()
	first := r.claim(t, consumer(one, "shared"))
	second := r.claim(t, consumer(two, "shared"))
	if len(second.Refusals()) != 1 {
		t.Fatal("both may write the same name")
	}
	second.End()
	first.End() // without a write
	if !slices.Contains(r.woken, two) {
		t.Error("nobody is told that the name is free")
	}
	if again := r.claim(t, consumer(two, "shared")); len(again.Refusals()) != 0 {
		t.Errorf("%+v", again.Refusals())
	}
}

func TestManyClaimsAreCheckedByOneListingForAMoment(t *testing.T) {
	r := newRig()
	for range 5 {
		r.claim(t, consumer(one, "shared")).End()
	}
	if r.listings != 1 {
		t.Errorf("%d listings", r.listings)
	}
	r.now = r.now.Add(2 * time.Second)
	r.claim(t, consumer(one, "shared")).End()
	if r.listings != 2 {
		t.Errorf("%d listings", r.listings)
	}
}

func TestAListingThatFailsGrantsNothingAndReservesNothing(t *testing.T) {
	r := newRig()
	r.failed = errors.New("unavailable")
	if _, err := r.Claim(t.Context(), consumer(one, "shared")); err == nil {
		t.Fatal("granted without a look")
	}
	r.failed = nil
	if claim := r.claim(t, consumer(two, "shared")); len(claim.Refusals()) != 0 {
		t.Errorf("%+v", claim.Refusals())
	}
}
