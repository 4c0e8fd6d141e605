package observed

import (
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/propagation"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// uncertain lists which of some entries are in doubt.
func uncertain(s *Store, entries ...plan.Entry) (parts []string) {
	for _, e := range entries {
		if held, found := s.Get(e.ID); found && held.Uncertain {
			parts = append(parts, held.Part)
		}
	}
	return parts
}

func TestWhatThisProcessDidSinceAMark(t *testing.T) {
	s := newStore()
	c, k := consumer(john, 1), credential(john, "a")
	wrote(s, c, k)
	mark := s.Mark()
	if s.WrittenSince(c.ID, mark) || s.WrittenSince(k.ID, mark) || s.WrittenSince("nobody", mark) {
		t.Error("written before, and counted as later")
	}
	wrote(s, c)
	if !s.WrittenSince(c.ID, mark) || s.WrittenSince(k.ID, mark) || s.WrittenSince(c.ID, s.Mark()) {
		t.Error("a write")
	}
	first, second := s.Sending(k.ID), s.Sending(k.ID)
	first()
	if !s.WrittenSince(k.ID, s.Mark()) {
		t.Error("one of two requests is under way")
	}
	second()
	if s.WrittenSince(k.ID, s.Mark()) {
		t.Error("no request is under way")
	}
	mark = s.Mark()
	s.RecordGone(k)
	if !s.WrittenSince(k.ID, mark) || s.WrittenSince(k.ID, s.Mark()) {
		t.Error("a deletion")
	}
	wrote(s, k)
	if mark = s.Mark(); s.WrittenSince(k.ID, mark) {
		t.Error("made again before the mark")
	}
	s.RecordUntagged(k)
	if !s.WrittenSince(k.ID, mark) {
		t.Error("given away")
	}
	s.RecordUncertain(plan.Put, k)
	if mark = s.Mark(); s.WrittenSince(k.ID, mark) {
		t.Error("in doubt before the mark")
	}
}

// A deletion that nobody answered may have taken the children of the owner along. Those of another are not its.
func TestDoubtOfADeletionIsOfTheOwnersChildren(t *testing.T) {
	s := newStore()
	c, own, other := consumer(john, 1), credential(john, "own"), credential(jane, "other")
	other.ConsumerID = c.ID
	wrote(s, c, own, other, consumer(jane, 1))
	s.RecordUncertain(plan.Put, c)
	if got := uncertain(s, c, own, other); !slices.Equal(got, []string{"consumer"}) {
		t.Errorf("after a write without an answer: %v", got)
	}
	wrote(s, c)
	mark := s.Mark()
	s.RecordUncertain(plan.Delete, c)
	if got := uncertain(s, c, own, other); !slices.Equal(got, []string{"consumer", "credential:own"}) {
		t.Errorf("after a deletion without an answer: %v", got)
	}
	if !s.WrittenSince(own.ID, mark) || s.WrittenSince(other.ID, mark) {
		t.Error("a listing that began before judges what is in doubt, or does not judge what is not")
	}
}

// Kong holds what it held, or what it was to hold: the keys of both are taken until it is known.
func TestDoubtKeepsFormerKeys(t *testing.T) {
	s := newStore()
	former := credential(john, "a")
	wrote(s, former)
	next := former
	next.Keys = []desired.UniqueKey{{Kind: desired.UniqueCredentialKey, Value: "next"}}
	s.RecordUncertain(plan.Put, next)
	for _, key := range slices.Concat(former.Keys, next.Keys) {
		if _, held := s.Holder(key, "another"); !held {
			t.Errorf("%s is taken for free", key.Value)
		}
		if _, found := s.Credential(john, key.Value); !found {
			t.Errorf("no credential has %s", key.Value)
		}
	}
	if keys := s.NewKeys(plan.Wanted{Entry: next}); !slices.Equal(keys, next.Keys) {
		t.Errorf("in doubt it asks for %v", keys)
	}
	wrote(s, next)
	if _, held := s.Holder(former.Keys[0], "another"); held {
		t.Error("the former key is taken still")
	}
	if keys := s.NewKeys(plan.Wanted{Entry: next}); len(keys) > 0 {
		t.Errorf("it asks for %v, which it has", keys)
	}
	if keys := s.NewKeys(plan.Wanted{Entry: former}); !slices.Equal(keys, former.Keys) {
		t.Errorf("it asks for %v to have its former key", keys)
	}
	if keys := s.NewKeys(plan.Wanted{Entry: credential(jane, "b")}); len(keys) != 1 {
		t.Errorf("one that Kong does not have asks for %v", keys)
	}
}

func TestAKeyIsThatOfItsHolder(t *testing.T) {
	s := newStore()
	k := credential(john, "a")
	wrote(s, k)
	if _, held := s.Holder(k.Keys[0], k.ID); held {
		t.Error("a holder is in its own way")
	}
	if holder, held := s.Holder(k.Keys[0], "another"); !held || holder.ID != k.ID {
		t.Error("the holder is not found")
	}
	if _, found := s.Credential(jane, k.Keys[0].Value); found {
		t.Error("another's credential is taken for its own")
	}
	s.RecordGone(k)
	if _, held := s.Holder(k.Keys[0], "another"); held {
		t.Error("what is gone holds a key")
	}
}

func TestWhatGoesTakesItsChildrenAlong(t *testing.T) {
	const own, other = "credential:own", "credential:other"
	for what, c := range map[string]struct {
		do    func(*Store, plan.Entry) []Change
		parts []string
		freed int
	}{
		"gone": {(*Store).RecordGone, []string{other}, 2},
		"not there": {func(s *Store, e plan.Entry) []Change {
			return s.RecordAbsent([]string{e.ID, "nobody"})
		}, []string{other}, 2},
		"not ours": {func(s *Store, e plan.Entry) []Change {
			return []Change{s.RecordUntagged(e)}
		}, []string{other, own}, 1},
		"of Replace": {func(s *Store, _ plan.Entry) []Change { return s.Replace(john, nil) }, []string{other}, 2},
	} {
		t.Run(what, func(t *testing.T) {
			s := newStore()
			parent, own, other := consumer(john, 1), credential(john, "own"), credential(jane, "other")
			other.ConsumerID = parent.ID
			wrote(s, parent, own, other)
			changes := c.do(s, parent)
			var parts []string
			for _, e := range []plan.Entry{other, own, parent} {
				if held, found := s.Get(e.ID); found {
					parts = append(parts, held.Part)
				}
			}
			if !slices.Equal(parts, c.parts) || len(changes) != c.freed {
				t.Errorf("left are %v after %d changes", parts, len(changes))
			}
			for _, change := range changes {
				if change.Before == nil || change.After != nil {
					t.Errorf("not a departure: %+v", change)
				}
			}
		})
	}
}

func TestWhatIsHeldIsCounted(t *testing.T) {
	s := newStore()
	entry := func(kind kong.Kind, id string) plan.Entry {
		return plan.Entry{Kind: kind, ID: id, Owner: john, Hash: plan.Hash{1}}
	}
	wrote(s, consumer(jane, 1))
	empty := s.Fingerprint(john)
	wrote(s, entry(kong.KindConsumer, "c"), entry(kong.KindJWT, "j"), entry(kong.KindACL, "a"),
		entry(kong.KindService, "s"), entry(kong.KindRoute, "r"), entry(kong.KindPlugin, "p"))
	want := Counts{Consumers: 2, Credentials: 1, Groups: 1, Services: 1, Routes: 1, Plugins: 1}
	if got := s.Counts(); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	if owners := s.Owners(); owners[john] != 6 || owners[jane] != 1 {
		t.Errorf("%v", owners)
	}
	before := s.Fingerprint(john)
	if empty != 0 || before == 0 || s.Fingerprints()[john] != before || s.Fingerprints()[jane] == before {
		t.Error("a fingerprint is not an owner's own")
	}
	other := entry(kong.KindPlugin, "p")
	other.Hash = plan.Hash{2}
	if wrote(s, other); s.Fingerprint(john) == before {
		t.Error("another content has the same fingerprint")
	}
	if wrote(s, entry(kong.KindPlugin, "p")); s.Fingerprint(john) != before {
		t.Error("the same content has another fingerprint")
	}
	s.RecordGone(entry(kong.KindPlugin, "p"))
	if wrote(s, entry(kong.KindPlugin, "q")); s.Fingerprint(john) == before {
		t.Error("another entity has the same fingerprint")
	}
	mark := s.Mark()
	s.RecordGone(entry(kong.KindPlugin, "q"))
	s.Reset()
	if len(s.Owners()) > 0 || s.Counts() != (Counts{}) || s.WrittenSince("q", mark) {
		t.Error("something is left of another Kong")
	}
}

// What Kong makes of a write is what it is compared with; what was sent is as good.
func TestWhatKongFillsInIsNoDifference(t *testing.T) {
	s := newStore()
	sent := consumer(john, 1)
	s.RecordWrite(sent, plan.Hash{9})
	held, _ := s.Get(sent.ID)
	if !held.Is(plan.Hash{9}) || !held.Is(plan.Hash{1}) || held.Is(plan.Hash{2}) {
		t.Errorf("held %x, sent %x", held.Hash[0], held.Sent[0])
	}
	s.RecordWrite(sent, sent.Hash)
	if held, _ = s.Get(sent.ID); held.Is(plan.Hash{9}) || !held.Is(plan.Hash{1}) {
		t.Errorf("shown as it was sent: held %x, sent %x", held.Hash[0], held.Sent[0])
	}
}

func TestAnAdoptedEntityIsFoundByBothIDs(t *testing.T) {
	s := newStore()
	adopted := consumer(john, 1)
	given := adopted.ID
	adopted.ID = "theirs"
	wrote(s, adopted)
	e, found := s.GetGiven(given)
	if !found || e.ID != "theirs" || s.Actual(given) != "theirs" || s.Given(adopted) != given {
		t.Errorf("found %v: %s is %s", found, given, s.Actual(given))
	}
	if ids := s.ActualIDs([]kong.Entity{{ID: given}, {ID: "new"}}); ids[given] != "theirs" || ids["new"] != "new" {
		t.Errorf("%v", ids)
	}
	if ids := s.GivenIDs(map[string]bool{"theirs": true, "new": true}); !ids[given] || !ids["new"] || len(ids) != 2 {
		t.Errorf("%v", ids)
	}
	if _, found := s.GetGiven("nobody"); found {
		t.Error("nobody is found")
	}
	twice := adopted
	twice.ID = "another of theirs"
	wrote(s, twice)
	if got := s.Of(john); len(got) != 2 || got[0].ID != twice.ID || got[1].ID != adopted.ID {
		t.Errorf("not in the order of ids: %v", got)
	}
	s.RecordGone(twice)
	if s.Actual(given) != "theirs" {
		t.Error("one of two goes, and neither is found")
	}
	s.RecordGone(adopted)
	if _, found := s.GetGiven(given); found || s.Actual(given) != given {
		t.Error("what is gone is found")
	}
}

func TestAChangeFreesTheKeysThatNobodyHoldsAnyMore(t *testing.T) {
	s := newStore()
	k := credential(john, "a")
	next := k
	next.Keys = []desired.UniqueKey{{Kind: desired.UniqueCredentialKey, Value: "next"}}
	for i, step := range []struct {
		change Change
		want   []desired.UniqueKey
	}{
		{s.RecordWrite(k, k.Hash), nil},
		{s.RecordWrite(k, plan.Hash{7}), nil},
		{s.RecordWrite(next, next.Hash), k.Keys},
		{s.RecordGone(next)[0], next.Keys},
	} {
		if freed := step.change.Freed(); !slices.Equal(freed, step.want) {
			t.Errorf("step %d frees %v, not %v", i, freed, step.want)
		}
	}
}

// A backend puts back what Kong refused while a listing is read: what the listing says of it is older.
func TestListingThatBeganBeforeAReplacementIsNoJudge(t *testing.T) {
	s := newStore()
	refused, former := consumer(john, 2), consumer(john, 1)
	key := credential(john, "own")
	wrote(s, refused, key)
	mark := s.Mark()
	s.Replace(john, []plan.Entry{former})
	if findings := s.Judge([]plan.Entry{refused, key}, mark, false); len(findings) != 0 {
		t.Errorf("an older listing is believed: %+v", findings)
	}
	if held, _ := s.Get(former.ID); held.Hash != former.Hash {
		t.Error("what was put back is not there")
	}
	if findings := s.Judge([]plan.Entry{former}, s.Mark(), false); len(findings) != 0 {
		t.Errorf("a later listing finds what was put back new: %+v", findings)
	}
}

// Since when Kong has something decides when every data plane has it.
func TestSinceWhenSomethingIsHeld(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s := New(scope, propagation.New(clock), clock)
	since := func(e plan.Entry) time.Duration {
		held, found := s.Get(e.ID)
		if !found {
			t.Fatalf("%s is not there", e.Part)
		}
		return now.Sub(held.Since)
	}
	c := consumer(john, 1)
	wrote(s, c)
	written := s.Mark()
	for what, step := range map[string]struct {
		do   func()
		want time.Duration
	}{
		"listed as it is":    {func() { s.Judge([]plan.Entry{c}, s.Mark(), false) }, time.Minute},
		"changed by others":  {func() { s.Judge([]plan.Entry{consumer(john, 2)}, s.Mark(), false) }, 0},
		"under a new schema": {func() { s.Judge([]plan.Entry{consumer(john, 3)}, s.Mark(), true) }, time.Minute},
		"replaced":           {func() { s.Replace(john, []plan.Entry{c}) }, 0},
		"written":            {func() { wrote(s, c) }, 0},
	} {
		wrote(s, c)
		now = now.Add(time.Minute)
		step.do()
		if got := since(c); got != step.want {
			t.Errorf("%s: for %s", what, got)
		}
	}
	s.Judge([]plan.Entry{consumer(john, 8)}, s.Mark(), false)
	if !s.WrittenSince(c.ID, written) {
		t.Error("a listing has it forgotten that this process wrote it")
	}
	now = now.Add(time.Minute)
	s.Judge([]plan.Entry{c, consumer(jane, 1)}, s.Mark(), false)
	if since(consumer(jane, 1)) != 0 {
		t.Error("what appeared is not new")
	}
}

// Of two listings that began before a deletion neither brings back what was deleted.
func TestADeletionIsRememberedForEveryListingThatBeganBefore(t *testing.T) {
	s := newStore()
	k := credential(john, "a")
	wrote(s, k)
	mark := s.Mark()
	s.RecordGone(k)
	for range 2 {
		if findings := s.Judge([]plan.Entry{k}, mark, false); len(findings) > 0 {
			t.Errorf("a listing from before has %v", verdicts(findings))
		}
	}
	if findings := s.Judge([]plan.Entry{k}, s.Mark(), false); len(findings) != 1 {
		t.Errorf("made again by somebody: %v", verdicts(findings))
	}
}
