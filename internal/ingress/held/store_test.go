package held_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

var (
	app = desired.ConsumerOwner("team", "app")
	api = desired.ServiceOwner("team", "api")
)

func reference(kind, namespace, name string) objects.Reference {
	return objects.Reference{APIVersion: "v1", Kind: kind, Namespace: namespace, Name: name}
}

func object(owner desired.Owner, kind kong.Kind, name string) held.Object {
	return held.Object{Print: "1", Object: objects.Object{
		Reference: reference("Secret", "team", name), Owner: owner, Entity: kind, ID: "id-" + name, Sum: "sum",
		Unique: []desired.UniqueKey{{Kind: desired.UniqueCredentialKey, Value: "key-" + name}},
	}}
}

func TestAListingTellsWhoseObjectsSomebodyChanged(t *testing.T) {
	for name, test := range map[string]struct {
		now     func(held.Object) []held.Object
		changed bool
		stale   bool
	}{
		"as it was": {func(o held.Object) []held.Object { return []held.Object{o} }, false, false},
		"edited":    {func(o held.Object) []held.Object { o.Print = "2"; return []held.Object{o} }, true, true},
		"deleted":   {func(held.Object) []held.Object { return nil }, true, false},
		"one more": {func(o held.Object) []held.Object {
			return []held.Object{o, object(app, kong.KindJWT, "other")}
		}, true, false},
	} {
		s := held.New()
		o := object(app, kong.KindJWT, "one")
		o.Epoch = 7
		s.Put(o)
		changed := s.Replace(test.now(o), 7, func() uint64 { return 9 })
		if changed[app] != test.changed {
			t.Errorf("%s: changed %v", name, changed)
		}
		is, there := s.Get(o.Reference)
		if is.Stale != test.stale || there && (is.Epoch != 7 || (is.Print == "") != test.stale) {
			t.Errorf("%s: %+v", name, is)
		}
		if other, found := s.Get(reference("Secret", "team", "other")); found && (other.Epoch != 9 || !other.Stale) {
			t.Errorf("%s: what nobody knew is taken for confirmed: %+v", name, other)
		}
	}
}

func TestAListingForgetsNothingThatWasWrittenSinceItBegan(t *testing.T) {
	s := held.New()
	changed, created := object(app, kong.KindConsumer, "changed"), object(app, kong.KindJWT, "created")
	before := changed
	s.Put(before)
	changed.Epoch, changed.Print, changed.Sum, created.Epoch = 6, "2", "another", 7
	s.Put(changed)
	s.Put(created)
	if owners := s.Replace([]held.Object{before}, 5, func() uint64 { return 8 }); len(owners) > 0 {
		t.Errorf("%v are woken for what they wrote", owners)
	}
	for _, want := range []held.Object{changed, created} {
		if is, found := s.Get(want.Reference); !found || is.Print != want.Print || is.Sum != want.Sum || is.Stale {
			t.Errorf("%+v", is)
		}
	}
	if owners := s.Replace([]held.Object{changed}, 7, func() uint64 { return 8 }); !owners[app] {
		t.Error("its owner is not told that the next listing does not find it")
	}
}

func TestAfterAStartEverythingIsAppliedOnceMoreAndNobodyIsWoken(t *testing.T) {
	s := held.New()
	changed := s.Replace([]held.Object{object(app, kong.KindJWT, "one")}, 0, func() uint64 { return 1 })
	is, _ := s.Find("id-one")
	if len(changed) != 0 || !is.Stale || is.Sum != "sum" || is.Epoch != 1 {
		t.Errorf("%v %+v", changed, is)
	}
}

func TestAKeyIsFreeWhenNoObjectHasIt(t *testing.T) {
	s := held.New()
	one := object(app, kong.KindJWT, "one")
	key := one.Unique[0]
	s.Put(one)
	if by, found := s.Holder(key, desired.Owner{}); !found || by != app {
		t.Errorf("%v holds it", by)
	}
	if _, found := s.Holder(key, app); found {
		t.Error("an owner is in its own way")
	}
	other := one
	other.Unique = []desired.UniqueKey{{Kind: desired.UniqueCredentialKey, Value: "another"}}
	if freed := s.Put(other); !slices.Equal(freed, []desired.UniqueKey{key}) {
		t.Errorf("freed %v", freed)
	}
	if _, found := s.Holder(key, desired.Owner{}); found {
		t.Error("it is held still")
	}
}

func TestWhatWasTakenAwayHasAnEpochUntilItsOwnerIsForgotten(t *testing.T) {
	s := held.New()
	consumer := object(app, kong.KindConsumer, "app")
	consumer.Kind = objects.KindConsumer
	secret := object(app, kong.KindJWT, "one")
	s.Put(consumer)
	s.Put(secret)
	s.Drop(secret, 3)
	if s.LastRemoved(app) != 0 || s.LastAccess(app) != 0 {
		t.Error("a Secret that nothing names means nothing to Kong")
	}
	s.Drop(consumer, 4)
	if s.LastRemoved(app) != 4 || s.LastAccess(app) != 4 || s.LastWrite(app) != 4 {
		t.Error("a consumer that was deleted is access that was taken away")
	}
	s.Withdrew(app, 6)
	if s.LastAccess(app) != 6 || s.LastWrite(app) != 6 {
		t.Error("access that was withdrawn has no epoch")
	}
	if s.Forget(app); s.LastWrite(app) != 0 {
		t.Error("not forgotten")
	}
}

func TestNobodyKnowsWhatAFormerProcessTookAway(t *testing.T) {
	s := held.New()
	s.Began(1)
	if s.LastRemoved(app) != 1 || s.LastAccess(app) != 1 || s.LastWrite(app) != 1 {
		t.Error("an owner of whom nothing is there is taken for one of whom nothing was there")
	}
	s.Withdrew(app, 6)
	if s.LastRemoved(app) != 1 || s.LastAccess(app) != 6 || s.LastWrite(app) != 6 {
		t.Error("what is known is later than what is not")
	}
}

func TestIndexesAndCountsAreThoseOfTheObjects(t *testing.T) {
	kinds := []kong.Kind{kong.KindConsumer, kong.KindJWT, kong.KindACL, kong.KindRoute, ""}
	rapid.Check(t, func(t *rapid.T) {
		s := held.New()
		want := map[objects.Reference]held.Object{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			owner := rapid.SampledFrom([]desired.Owner{app, api}).Draw(t, "owner")
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")
			o := object(owner, rapid.SampledFrom(kinds).Draw(t, "kind"), name)
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				s.Put(o)
				want[o.Reference] = o
			case 1:
				s.Drop(o, 1)
				delete(want, o.Reference)
			default:
				s.Replace(slices.Collect(maps.Values(want)), rapid.Uint64Max(1).Draw(t, "since"), func() uint64 { return 1 })
			}
			counts := map[kong.Kind]int{}
			for reference, is := range want {
				if is.Entity != "" {
					counts[is.Entity]++
				}
				if found, ok := s.Find(is.ID); !ok || found.Reference != reference || found.Owner != is.Owner {
					t.Fatalf("%s is not found by its id: %+v", reference, found)
				}
				if by, ok := s.Holder(is.Unique[0], desired.Owner{}); !ok || by != is.Owner {
					t.Fatalf("%s is not found by its key: %v", reference, by)
				}
			}
			for _, kind := range kinds {
				if s.Counts()[kind] != counts[kind] {
					t.Fatalf("%d of %q, and there are %d", s.Counts()[kind], kind, counts[kind])
				}
			}
			if len(s.Of(app))+len(s.Of(api)) != len(want) || s.Entities()[app] != len(s.Of(app)) {
				t.Fatalf("%v %v, and there are %v", s.Of(app), s.Of(api), want)
			}
		}
	})
}

func TestAConsumerThatIsDroppedIsToldOnce(t *testing.T) {
	s := held.New()
	consumer := object(app, kong.KindConsumer, "app")
	if s.Dropped(consumer.Reference, true) {
		t.Error("of an object that is nobody's")
	}
	s.Put(consumer)
	for i, step := range []struct{ dropped, told bool }{
		{false, false}, {true, true}, {true, false}, {false, true}, {false, false}, {true, true},
	} {
		if told := s.Dropped(consumer.Reference, step.dropped); told != step.told {
			t.Errorf("step %d: told %v", i, told)
		}
	}
	s.Drop(consumer, 1)
	s.Put(consumer)
	if !s.Dropped(consumer.Reference, true) {
		t.Error("what was said of a former object of the name stays")
	}
}

func TestAnObjectThatSomebodyChangedIsToldOnceAndAppliedAgain(t *testing.T) {
	s := held.New()
	consumer := object(app, kong.KindConsumer, "app")
	if s.Changed(consumer.Reference, "2") {
		t.Error("of an object that is nobody's")
	}
	s.Put(consumer)
	for i, step := range []struct {
		print       string
		told, stale bool
	}{{"1", false, false}, {"2", true, true}, {"3", false, true}} {
		told := s.Changed(consumer.Reference, step.print)
		is, _ := s.Get(consumer.Reference)
		if told != step.told || is.Stale != step.stale || (is.Print == "") != step.stale {
			t.Errorf("step %d: told %v, %+v", i, told, is)
		}
	}
}

func TestAListingDoesNotUndoWhetherThisProcessOpenedARoute(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		s := held.New()
		route := object(api, kong.KindRoute, "main")
		route.Epoch, route.Guarded = 7, guarded
		s.Put(route)
		edited := route
		edited.Print, edited.Guarded = "2", !guarded
		s.Replace([]held.Object{edited}, 7, func() uint64 { return 9 })
		if is, _ := s.Get(route.Reference); is.Guarded != guarded || !is.Stale {
			t.Errorf("guarded %v, and now %+v", guarded, is)
		}
	}
}
