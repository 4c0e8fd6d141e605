package observed

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/propagation"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var (
	scope = desired.Scope{Installation: "here", Gateway: "default"}
	john  = desired.ConsumerOwner("team", "john")
	jane  = desired.ConsumerOwner("team", "jane")
)

func newStore() *Store {
	return New(scope, propagation.New(time.Now), time.Now)
}

func consumer(owner desired.Owner, content byte) plan.Entry {
	return plan.Entry{
		Kind: kong.KindConsumer, ID: scope.ID(kong.KindConsumer, owner, "consumer"), Owner: owner, Part: "consumer",
		Hash: plan.Hash{content},
	}
}

func credential(owner desired.Owner, name string) plan.Entry {
	part := "credential:" + name
	return plan.Entry{
		Kind: kong.KindJWT, ID: scope.ID(kong.KindJWT, owner, part), Owner: owner, Part: part,
		ConsumerID: consumer(owner, 0).ID, Hash: plan.Hash{1},
		Keys: []desired.UniqueKey{{Kind: desired.UniqueCredentialKey, Value: owner.Name + "." + name}},
	}
}

func wrote(s *Store, entries ...plan.Entry) {
	for _, e := range entries {
		s.RecordWrite(e, e.Hash)
	}
}

func verdicts(findings []Finding) map[string]Verdict {
	found := map[string]Verdict{}
	for _, f := range findings {
		found[f.Entry().ID] = f.Verdict
	}
	return found
}

// What is written or deleted while a listing runs, or is being written, is not judged by it.
func TestAListingDoesNotJudgeWhatIsNewer(t *testing.T) {
	s := newStore()
	old, written := consumer(john, 1), consumer(jane, 1)
	deleted, sending := credential(john, "deleted"), credential(john, "sending")
	wrote(s, old, sending)
	mark := s.Mark()
	wrote(s, written, deleted)
	s.RecordGone(deleted)
	defer s.Sending(sending.ID)()

	changedOld, changedWritten, changedSending := old, written, sending
	changedOld.Hash, changedWritten.Hash, changedSending.Hash = plan.Hash{9}, plan.Hash{9}, plan.Hash{9}
	findings := verdicts(s.Judge([]plan.Entry{changedOld, changedWritten, deleted, changedSending}, mark, false))
	if len(findings) != 1 || findings[old.ID] != Changed {
		t.Errorf("judged %v", findings)
	}
	for _, want := range []plan.Entry{changedOld, written, sending} {
		if got, _ := s.Get(want.ID); got.Hash != want.Hash {
			t.Errorf("%s has hash %d, want %d", want.Part, got.Hash[0], want.Hash[0])
		}
	}
	if _, there := s.Get(deleted.ID); there {
		t.Error("what was deleted came back")
	}
}

// What Kong takes along with an entity is gone before its answer is there, and nobody else did it.
func TestAListingDoesNotJudgeWhatGoesAlong(t *testing.T) {
	s := newStore()
	parent, child := consumer(john, 1), credential(john, "child")
	wrote(s, parent, child)
	answered := s.Deleting(parent)
	if findings := s.Judge(nil, s.Mark(), false); len(findings) > 0 {
		t.Errorf("judged %v", verdicts(findings))
	}
	answered()
	if findings := verdicts(s.Judge(nil, s.Mark(), false)); findings[parent.ID] != Deleted || findings[child.ID] != Deleted {
		t.Errorf("judged %v once the request is answered", findings)
	}
}

func TestJudge(t *testing.T) {
	held, changed := consumer(john, 1), consumer(john, 2)
	taken := held
	taken.Owner, taken.Part = jane, "consumer"
	taken.Hash = plan.Hash{3}
	for name, c := range map[string]struct {
		uncertain bool
		listing   []plan.Entry
		rehash    bool
		want      map[string]Verdict
		owner     desired.Owner
	}{
		"as it was":      {listing: []plan.Entry{held}, want: map[string]Verdict{}, owner: john},
		"changed":        {listing: []plan.Entry{changed}, want: map[string]Verdict{held.ID: Changed}, owner: john},
		"other schemas":  {listing: []plan.Entry{changed}, rehash: true, want: map[string]Verdict{held.ID: Rehashed}, owner: john},
		"deleted":        {want: map[string]Verdict{held.ID: Deleted}},
		"an answer lost": {uncertain: true, listing: []plan.Entry{held}, want: map[string]Verdict{held.ID: Settled}, owner: john},
		// That is this process's own deletion, most likely, and nobody else's.
		"an answer to a deletion lost": {uncertain: true, want: map[string]Verdict{held.ID: Settled}},
		// The id says whose an entity is: a tag can be edited.
		"a tag names another owner": {listing: []plan.Entry{taken}, want: map[string]Verdict{held.ID: Changed}, owner: john},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			wrote(s, held)
			if c.uncertain {
				s.RecordUncertain(plan.Put, held)
			}
			findings := s.Judge(c.listing, s.Mark(), c.rehash)
			if got := verdicts(findings); len(got) != len(c.want) || got[held.ID] != c.want[held.ID] {
				t.Errorf("verdicts %v, want %v", got, c.want)
			}
			if got, there := s.Get(held.ID); there != (len(c.listing) > 0) || got.Owner != c.owner || got.Uncertain {
				t.Errorf("held afterwards: %+v", got)
			}
		})
	}
}

func TestAppeared(t *testing.T) {
	s := newStore()
	findings := s.Judge([]plan.Entry{consumer(john, 1)}, s.Mark(), false)
	if len(findings) != 1 || findings[0].Verdict != Appeared || !knows(s, john) {
		t.Errorf("findings %v", findings)
	}
}

func knows(s *Store, owner desired.Owner) bool { return len(s.Of(owner)) > 0 }

// A deletion whose answer was lost may have taken the children along; a put took nothing.
func TestUncertainDeletionsMakeChildrenUncertain(t *testing.T) {
	for verb, want := range map[plan.Verb]bool{plan.Delete: true, plan.Put: false} {
		s := newStore()
		parent, child := consumer(john, 1), credential(john, "a")
		wrote(s, parent, child)
		s.RecordUncertain(verb, parent)
		if got, _ := s.Get(child.ID); got.Uncertain != want {
			t.Errorf("after a %s of the parent: uncertain %v, want %v", verb, got.Uncertain, want)
		}
	}
}
