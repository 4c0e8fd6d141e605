package credential

import (
	"reflect"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	pending  = v1alpha1.CredentialPending
	active   = v1alpha1.CredentialActive
	retiring = v1alpha1.CredentialRetiring
)

func named(number int64) Material {
	return Material{Key: DefaultKey("team.john", "primary", number), Algorithm: "HS256", Secret: Conceal("secret of " + string(rune('0'+number)))}
}

// revision is one of generated material, in a slot of its own.
func revision(number int64, state v1alpha1.CredentialState, change ...func(*Revision)) Revision {
	r := Revision{
		Number: number, State: state, Slot: Slot{Credential: "primary", Number: number}, Material: named(number), IssueTime: noon,
		Recipe: Recipe{Algorithm: "HS256", Length: 48},
	}
	if state == retiring {
		r.RetiredAt = noon
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func history(revisions ...Revision) History {
	h := History{Revisions: revisions}
	for _, r := range revisions {
		h.Last = max(h.Last, r.Number)
	}
	return h
}

func primary(change ...func(*Want)) Want {
	want := Want{Name: "primary", Username: "team.john", Numbered: true, Recipe: Recipe{Algorithm: "HS256", Length: 48}, Overlap: 10 * time.Hour}
	for _, f := range change {
		f(&want)
	}
	return want
}

func apply(t *testing.T, h History, step Step) History {
	t.Helper()
	step.Credential, step.Time = "primary", noon.Add(time.Hour)
	s := State{Credentials: map[string]History{"primary": h}}
	next, err := s.Apply(Decision{Steps: []Step{step}}, func(_ Recipe, key string) (Material, error) {
		return Material{Key: key, Algorithm: "HS256", Secret: Conceal("made")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return next.Credentials["primary"]
}

func numbers(h History) []int64 {
	var found []int64
	for _, r := range h.Revisions {
		found = append(found, r.Number)
	}
	return found
}

// A state is a value: no step changes the one that it was applied to.
func TestStepsLeaveTheFormerStateAsItIs(t *testing.T) {
	make := func() History {
		h := history(revision(1, retiring), revision(2, active), revision(3, pending))
		h.SecretName, h.FormerSecrets = "clients", FormerSecrets{{Name: "former", Since: noon}}
		return h
	}
	for _, kind := range []StepKind{
		StepAsk, StepGenerate, StepPromote, StepAbandon, StepReplace, StepRelocate, StepRestamp, StepSupersede, StepEnd, StepExpire,
		StepRemove, StepForgetSecret,
	} {
		h := make()
		apply(t, h, Step{
			Kind: kind, Revision: 3, Want: primary(func(w *Want) { w.SecretName = "other" }), RevokePrevious: true, Drop: true, Secret: "former",
		})
		if !reflect.DeepEqual(h, make()) {
			t.Errorf("%s changes it: %+v", kind, h)
		}
	}
}

// Where clients read is noted with any step, but for one of a spec that says nothing of it.
func TestStepsThatNoteWhereClientsRead(t *testing.T) {
	for what, c := range map[string]struct {
		want  Want
		moves bool
	}{
		"the spec":          {primary(func(w *Want) { w.SecretName = "other" }), true},
		"a missing Secret":  {primary(func(w *Want) { w.SecretName, w.Missing = "other", true }), false},
		"another source":    {primary(func(w *Want) { w.SecretName, w.Superseded = "other", true }), false},
		"none: it is taken": {Want{}, false},
	} {
		h := history(revision(1, active))
		h.SecretName = "clients"
		if got := apply(t, h, Step{Kind: StepExpire, Want: c.want}); (got.SecretName == "other") != c.moves || (got.SecretName == "clients") == c.moves {
			t.Errorf("%s: clients read %q", what, got.SecretName)
		}
	}
}

// What is pending gives way to what is in use: that is no longer one to go, and keeps the slot of a pinned key.
func TestThePendingRevisionIsAbandoned(t *testing.T) {
	shared := func(r *Revision) { r.Slot = Slot{Credential: "primary"} }
	ended := func(r *Revision) { r.Ended = true }
	got := apply(t, history(revision(1, retiring, ended), revision(2, active, ended, shared), revision(3, pending, shared)), Step{Kind: StepAbandon, Want: primary()})
	if len(got.Revisions) != 2 || !got.Revisions[0].Ended || got.Revisions[1].Ended || got.Revisions[1].State != active {
		t.Errorf("%+v", got.Revisions)
	}
	got = apply(t, history(revision(2, active), revision(3, pending)), Step{Kind: StepAbandon, Want: primary()})
	if len(got.Revisions) != 2 || got.Revisions[1].State != retiring {
		t.Errorf("in a slot of its own: %+v", got.Revisions)
	}
}

func TestReplacingWhileNothingIsInKong(t *testing.T) {
	var full []Revision
	for number := range int64(maxRevisions) {
		full = append(full, revision(number+1, retiring))
	}
	full[maxRevisions-1].State = active
	got := apply(t, history(full...), Step{Kind: StepReplace, Revision: maxRevisions + 1, Want: primary()})
	if found := numbers(got); len(found) != maxRevisions || found[0] != 2 || found[maxRevisions-1] != maxRevisions+1 {
		t.Errorf("revisions %v", found)
	}
	for _, r := range got.Revisions {
		if r.Ended != (r.State == retiring) {
			t.Errorf("revision %d is %s, ended: %v", r.Number, r.State, r.Ended)
		}
	}
	pinned := primary(func(w *Want) { w.Key = "pinned" })
	h := history(revision(1, active, func(r *Revision) { r.Material.Key = "pinned" }))
	if found := numbers(apply(t, h, Step{Kind: StepReplace, Revision: 2, Want: pinned})); len(found) != 1 || found[0] != 2 {
		t.Errorf("a pinned key has one revision: %v", found)
	}
}

// The first of all has slot zero. One that begins after others that are forgotten has not: they may be in Kong.
func TestSlotsOfFirstRevisions(t *testing.T) {
	for number, want := range map[int64]Slot{1: {Credential: "primary"}, 6: {Credential: "primary", Number: 6}} {
		if got := apply(t, History{}, Step{Kind: StepBegin, Revision: number, Want: primary()}); got.Revisions[0].Slot != want {
			t.Errorf("revision %d: slot %+v", number, got.Revisions[0].Slot)
		}
	}
	other := State{Credentials: map[string]History{"former": history(revision(3, active))}}
	if !other.Known(Slot{Credential: "primary", Number: 3}) || other.Known(Slot{Credential: "primary", Number: 2}) || other.Known(Slot{Credential: "former", Number: 3}) {
		t.Error("a slot is known by its credential and its number")
	}
}

// TestWhatARequestIsBoundTo: the newest that somebody may have had when it was asked.
func TestWhatARequestIsBoundTo(t *testing.T) {
	on, of := revision(2, pending), revision(1, active)
	published := func(number int64) Seen { m := named(number); return Seen{Clients: &m} }
	for what, c := range map[string]struct {
		h       History
		revoked bool
		seen    Seen
		want    int64
	}{
		"in use":                    {history(of), false, published(1), 1},
		"in use, not published":     {history(of), false, Seen{}, 1},
		"on its way":                {history(of, on), false, published(1), 1},
		"on its way, published":     {history(of, on), false, published(2), 2},
		"on its way, and revoked":   {history(of, on), true, published(1), 2},
		"on its way, nothing other": {history(on), false, Seen{}, 2},
	} {
		if got := c.h.bound(primary(func(w *Want) { w.Revoked = c.revoked }), c.seen); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

func TestTimesThatAreMended(t *testing.T) {
	m := named(1)
	seen := Seen{Clients: &m}
	for what, c := range map[string]struct {
		overlap, since time.Duration
		mended         bool
	}{
		"a former Secret is back":    {10 * time.Hour, time.Hour + 1, true},
		"it is still there":          {10 * time.Hour, time.Hour, false},
		"there is no overlap at all": {0, time.Hour, false},
	} {
		want := primary(func(w *Want) { w.Overlap = c.overlap })
		if _, mended := restamp(history(revision(1, retiring), revision(2, active)), want, seen, noon.Add(c.since)); mended != c.mended {
			t.Errorf("%s: %v", what, mended)
		}
	}
}

func TestWhenTheNextRevisionBegins(t *testing.T) {
	absent := func(number int64) Seen { return Seen{Verdicts: map[int64]Verdict{number: {Standing: Absent}}} }
	other := func(r *Revision) { r.Recipe.Length = 32 }
	filled := func(count int64) History {
		h := history(revision(1, active))
		for number := range count - 2 {
			h.Revisions = append(h.Revisions, revision(number+2, retiring))
		}
		h.Revisions = append(h.Revisions, revision(count, pending))
		h.Last = count
		return h
	}
	for what, c := range map[string]struct {
		h      History
		want   Want
		seen   Seen
		kind   StepKind
		salted bool
	}{
		"the key of the pending one is taken":        {filled(maxRevisions - 1), primary(), absent(maxRevisions - 1), StepGenerate, true},
		"there is no room":                           {filled(maxRevisions), primary(), absent(maxRevisions), "", false},
		"what is in use is not in Kong":              {history(revision(1, active)), primary(), absent(1), "", false},
		"the pending one is not what the spec wants": {history(revision(1, active, other), revision(2, pending, other)), primary(), absent(2), StepGenerate, false},
		"it has a random end already": {
			history(revision(1, active), revision(2, pending, func(r *Revision) {
				r.Salt, r.Material.Key = "abc", primary().numberedKey(2, "abc")
			})), primary(), absent(2), "", false,
		},
	} {
		step, due := renew(c.h, c.want, c.seen, noon)
		if !due {
			step = Step{}
		}
		if step.Kind != c.kind || step.Salted != c.salted {
			t.Errorf("%s: %q, salted %v", what, step.Kind, step.Salted)
		}
	}
	for what, want := range map[string]Want{
		"pinned": primary(func(w *Want) { w.Key = "pinned" }), "given": primary(func(w *Want) { w.Given = &Material{} }),
	} {
		if want.takenFrom(revision(2, pending), absent(2)) {
			t.Errorf("a key that is %s gets a random end", what)
		}
	}
}

// A history moves to a new name with the same Secret, or the same material, and only one that the spec has not.
func TestHistoriesThatMove(t *testing.T) {
	one, two := named(1), named(2)
	given := func(m Material) History {
		return history(revision(1, active, func(r *Revision) { r.Given, r.Material = true, m }))
	}
	publishes := func(state v1alpha1.CredentialState) History {
		h := history(revision(1, state))
		h.SecretName = "clients"
		return h
	}
	toClients := primary(func(w *Want) { w.SecretName = "clients" })
	for what, c := range map[string]struct {
		former History
		want   Want
		moves  bool
	}{
		"the same Secret for clients": {publishes(active), toClients, true},
		"another":                     {publishes(active), primary(func(w *Want) { w.SecretName = "others" }), false},
		"nothing of it lives":         {publishes(retiring), toClients, false},
		"the same material":           {given(one), primary(func(w *Want) { w.Given = &one }), true},
		"under another key":           {given(one), primary(func(w *Want) { m := one; m.Key = "k"; w.Given = &m }), true},
		"other material":              {given(one), primary(func(w *Want) { w.Given = &two }), false},
		"it was made by the operator": {history(revision(1, active)), primary(func(w *Want) { w.Given = &one }), false},
		"it was given, and is made":   {given(one), toClients, false},
	} {
		in := Input{State: State{Credentials: map[string]History{"former": c.former}}}
		step, moves := in.move(c.want, map[string]bool{"primary": true}, map[string]bool{})
		if moves != c.moves || moves && step.From != "former" {
			t.Errorf("%s: moves %v %+v", what, moves, step)
		}
		if _, moves := in.move(c.want, map[string]bool{"former": true}, map[string]bool{}); moves {
			t.Errorf("%s: it moves though the spec has it", what)
		}
		if _, moves := in.move(c.want, map[string]bool{}, map[string]bool{"former": true}); moves {
			t.Errorf("%s: it moves twice", what)
		}
	}
}

// A request to a credential that has nothing yet is seen, and asks nothing.
func TestARequestBeforeThereIsAnything(t *testing.T) {
	in := Input{Wants: []Want{primary(func(w *Want) { w.Missing = true })}, Rotate: request.Parse(v1alpha1.AnnotationRotate, "1")}
	for _, step := range Decide(in, noon).Steps {
		if step.Kind != StepRecord {
			t.Errorf("%s", step.Kind)
		}
	}
}

func TestWhatIsDueNext(t *testing.T) {
	want := primary()
	h := history(revision(1, retiring), revision(2, active))
	held := map[int64]Verdict{1: {Standing: Held}, 2: {Standing: Held}}
	if out := h.Outcome(want, Seen{Verdicts: held}, noon); !out.Next.Equal(noon.Add(10 * time.Hour)) {
		t.Errorf("the end of an overlap: next at %s", out.Next)
	}
	h = history(revision(1, active), revision(2, pending))
	for after, want := range map[time.Duration]time.Time{0: {}, time.Second: noon.Add(time.Second)} {
		held[2] = Verdict{Standing: Waiting, After: after}
		if out := h.Outcome(primary(), Seen{Verdicts: held}, noon); !out.Next.Equal(want) {
			t.Errorf("asked again after %s: next at %s", after, out.Next)
		}
	}
	for standing, published := range map[Standing]bool{Unknown: false, Absent: false, Waiting: true, Held: true} {
		out := history(revision(1, active)).Outcome(want, Seen{Verdicts: map[int64]Verdict{1: {Standing: standing}}}, noon)
		if out.Published != published {
			t.Errorf("what is in use, standing %d: published %v", standing, out.Published)
		}
	}
}

// What the spec no longer has ends at once, an overlap that runs too.
func TestCredentialsThatTheSpecNoLongerHas(t *testing.T) {
	ended := func(r *Revision) { r.Ended = true }
	for what, c := range map[string]struct {
		h    History
		seen Seen
		kind StepKind
	}{
		"in use":                    {history(revision(1, active)), Seen{}, StepEnd},
		"in use, and one to go":     {history(revision(1, active, ended)), Seen{}, StepEnd},
		"an overlap runs":           {history(revision(1, retiring)), Seen{}, StepEnd},
		"ended, maybe in Kong":      {history(revision(1, retiring, ended)), Seen{}, ""},
		"ended, and gone from Kong": {history(revision(1, retiring, ended)), Seen{Verdicts: map[int64]Verdict{1: {Standing: Absent}}}, StepRemove},
		"nothing is left":           {History{Last: 1}, Seen{}, StepForget},
	} {
		step, due := leave(c.h, c.seen)
		if due != (c.kind != "") || due && step.Kind != c.kind {
			t.Errorf("%s: %v %s", what, due, step.Kind)
		}
	}
}
