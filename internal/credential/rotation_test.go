package credential_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// rotating is a credential that rotates each 100 h, with an overlap of 10 h.
func rotating(change ...func(*credential.Want)) credential.Want {
	want := credential.Want{
		Name: "primary", Username: "team.john", Numbered: true, Seed: "team/john",
		Recipe:   credential.Recipe{Algorithm: "HS256", Length: 48},
		Interval: 100 * time.Hour, Overlap: 10 * time.Hour,
	}
	for _, f := range change {
		f(&want)
	}
	return want
}

// counted makes material that tells how often it was called.
func counted() credential.Generator {
	n := 0
	return func(recipe credential.Recipe, key string) (credential.Material, error) {
		n++
		return credential.Material{Key: key, Algorithm: recipe.Algorithm, Secret: credential.Conceal(fmt.Sprintf("%0*d", recipe.Length*4/3, n))}, nil
	}
}

// life is one credential and what is seen of it.
type life struct {
	t        *testing.T
	state    credential.State
	seen     credential.Seen
	generate credential.Generator
	// rotate and revokePrevious are the values of the annotations.
	rotate, revokePrevious string
}

func began(t *testing.T, want credential.Want, now time.Time) *life {
	t.Helper()
	l := &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
	if kinds := l.steps(want, now); !slices.Equal(kinds, []credential.StepKind{credential.StepBegin}) {
		t.Fatalf("steps of a first revision: %v", kinds)
	}
	l.seen.Verdicts[1] = credential.Verdict{Standing: credential.Held}
	l.publish(want, 1)
	return l
}

// input is what a decision rests on now.
func (l *life) input(wants ...credential.Want) credential.Input {
	in := credential.Input{
		State: l.state, Wants: wants, Seen: map[string]credential.Seen{},
		Rotate:         request.Parse(v1alpha1.AnnotationRotate, l.rotate),
		RevokePrevious: request.Parse(v1alpha1.AnnotationRevokePrevious, l.revokePrevious),
	}
	for _, want := range wants {
		in.Seen[want.Name] = l.seen
	}
	for name := range l.state.Credentials {
		in.Seen[name] = l.seen
	}
	return in
}

// publish puts a revision into the Secret for clients; zero takes it out.
func (l *life) publish(want credential.Want, number int64) {
	l.t.Helper()
	l.seen.Clients = nil
	for _, r := range l.state.Credentials[want.Name].Revisions {
		if r.Number == number {
			l.seen.Clients = &r.Material
		}
	}
	if l.seen.Clients == nil && number != 0 {
		l.t.Fatalf("there is no revision %d to publish", number)
	}
}

// steps takes all steps that are due, and lists them.
func (l *life) steps(want credential.Want, now time.Time) []credential.StepKind {
	l.t.Helper()
	var kinds []credential.StepKind
	for range 20 {
		decision := credential.Decide(l.input(want), now)
		if len(decision.Steps) == 0 {
			return kinds
		}
		next, err := l.state.Apply(decision, l.generate)
		if err != nil {
			l.t.Fatal(err)
		}
		l.state = next
		for _, step := range decision.Steps {
			if step.Kind != credential.StepRecord {
				kinds = append(kinds, step.Kind)
			}
		}
	}
	l.t.Fatalf("the steps come to no end: %v", kinds)
	return nil
}

func (l *life) expect(want credential.Want, now time.Time, kinds ...credential.StepKind) {
	l.t.Helper()
	if got := l.steps(want, now); !slices.Equal(got, kinds) {
		l.t.Fatalf("at %s: steps %v, not %v", now.Sub(noon), got, kinds)
	}
}

func (l *life) outcome(want credential.Want, now time.Time) credential.Outcome {
	return l.state.Credentials[want.Name].Outcome(want, l.seen, now)
}

func (l *life) expectKong(want credential.Want, now time.Time, numbers ...int64) {
	l.t.Helper()
	if got := numbersOf(l.outcome(want, now).Kong); !slices.Equal(got, numbers) {
		l.t.Fatalf("at %s: revisions %v belong into Kong, not %v", now.Sub(noon), got, numbers)
	}
}

func (l *life) expectPublished(want credential.Want, now time.Time, number int64) {
	l.t.Helper()
	out := l.outcome(want, now)
	if !out.Published || out.Publish.Number != number {
		l.t.Fatalf("at %s: revision %d (%v) is to be published, not %d", now.Sub(noon), out.Publish.Number, out.Published, number)
	}
}

func (l *life) stands(number int64, standing credential.Standing) {
	l.seen.Verdicts[number] = credential.Verdict{Standing: standing, Message: "waiting", After: time.Second}
}

func numbersOf(revisions []credential.Revision) []int64 {
	var numbers []int64
	for _, g := range revisions {
		numbers = append(numbers, g.Number)
	}
	return numbers
}

func TestRotationByInterval(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.expectKong(want, noon, 1)
	l.expectPublished(want, noon, 1)
	if key := l.outcome(want, noon).Publish.Material.Key; key != "team.john.primary.1" {
		t.Errorf("key %q", key)
	}
	next := l.outcome(want, noon).Next
	if after := next.Sub(noon); after > 100*time.Hour || after < 90*time.Hour {
		t.Fatalf("the next rotation is due after %s", after)
	}
	l.expect(want, next.Add(-time.Second))
	l.expect(want, next, credential.StepGenerate)
	l.expectKong(want, next, 1, 2)
	l.expectPublished(want, next, 1)

	l.stands(2, credential.Waiting)
	l.expect(want, next)
	l.expectPublished(want, next, 1)
	if out := l.outcome(want, next); !out.AwaitsDataPlane || out.Wait == "" || !out.Next.Equal(next.Add(time.Second)) {
		t.Errorf("waiting: %+v", out)
	}

	l.stands(2, credential.Held)
	l.expect(want, next)
	l.expectPublished(want, next, 2)
	l.expectKong(want, next, 1, 2)
	l.publish(want, 2)
	l.expect(want, next, credential.StepPromote)
	l.expectKong(want, next.Add(10*time.Hour-1), 1, 2)
	l.expect(want, next.Add(10*time.Hour-1))
	over := next.Add(10 * time.Hour)
	l.expectKong(want, over, 2)
	l.expect(want, over)
	l.stands(1, credential.Absent)
	l.expect(want, over, credential.StepRemove)
	if key := l.outcome(want, over).Publish.Material.Key; key != "team.john.primary.2" {
		t.Errorf("key %q", key)
	}
}

func TestOneRotationAfterALongSleep(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	late := noon.Add(1000 * time.Hour)
	l.expect(want, late, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, late, credential.StepPromote)
	l.expect(want, late.Add(time.Hour))
}

func TestRotationOnDemand(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.expect(want, noon)
	l.rotate = "2"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.expect(want, noon)
	// Asked for again while it is on its way: nobody has seen the new material yet.
	l.rotate = "3"
	l.expect(want, noon, credential.StepAsk)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	for _, replayed := range []string{"", "2", "3", ""} {
		l.rotate = replayed
		l.expect(want, noon)
	}
	l.rotate = "4"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
}

// Clients may have it: somebody who asks after that means it.
func TestRotationThatIsAskedForBeforeThePublishedOneIsPromoted(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.rotate = "2"
	l.expect(want, noon, credential.StepAsk, credential.StepPromote, credential.StepGenerate)
}

func TestRevokePrevious(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate, l.revokePrevious = "leaked", "leaked"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.expectKong(want, noon, 1, 2)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	l.expectKong(want, noon, 2)
	l.stands(1, credential.Absent)
	l.expect(want, noon, credential.StepRemove)
	// One that was handled counts for nothing later.
	l.rotate = "once more"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(3, credential.Held)
	l.publish(want, 3)
	l.expect(want, noon, credential.StepPromote)
	l.expectKong(want, noon.Add(time.Hour), 2, 3)
}

// Taking an annotation off asks nothing, whoever does it: not the one that ended an overlap long ago, nor both after
// an emergency.
func TestAnnotationThatIsTakenOff(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.revokePrevious = "incident-42"
	l.expect(want, noon, credential.StepAsk)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	for _, value := range []string{"", "incident-42", ""} {
		l.revokePrevious = value
		l.expect(want, noon)
		l.expectKong(want, noon.Add(time.Hour), 1, 2)
	}
	l.rotate = ""
	l.expect(want, noon)
}

// A leaked secret leaves though the next one waits for a data plane that is dead.
func TestRevokePreviousActsOnWhatRetiresAtOnce(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	l.rotate = "2"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(3, credential.Waiting)
	l.expectKong(want, noon, 1, 2, 3)
	l.revokePrevious = "1"
	l.expect(want, noon, credential.StepAsk)
	l.expectKong(want, noon, 2, 3)
	// What is in use goes when it is replaced: it was there when the request came.
	l.stands(3, credential.Held)
	l.publish(want, 3)
	l.stands(1, credential.Absent)
	l.expect(want, noon, credential.StepPromote, credential.StepRemove)
	l.expectKong(want, noon, 3)
}

func TestRequestsOfOneCredentialAreNobodyElses(t *testing.T) {
	primary, other := rotating(), rotating(func(w *credential.Want) { w.Name = "other" })
	l := &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
	apply := func(wants ...credential.Want) (last map[string]int64) {
		for d := credential.Decide(l.input(wants...), noon); len(d.Steps) > 0; d = credential.Decide(l.input(wants...), noon) {
			var err error
			if l.state, err = l.state.Apply(d, l.generate); err != nil {
				t.Fatal(err)
			}
		}
		last = map[string]int64{}
		for name, h := range l.state.Credentials {
			last[name] = h.Last
		}
		return last
	}
	apply(primary, other)
	for _, c := range []struct {
		value          string
		primary, other int64
	}{{"primary=1", 2, 1}, {"primry=1", 2, 1}, {"other=1", 2, 2}, {"primary=1", 2, 2}} {
		l.rotate = c.value
		last := apply(primary, other)
		if last["primary"] != c.primary || last["other"] != c.other {
			t.Errorf("%s: revisions %v", c.value, last)
		}
	}
	// A credential that goes does not widen what was asked of it.
	l.rotate = "primary=1"
	if last := apply(other); last["other"] != 2 {
		t.Errorf("other is rotated: %v", last)
	}
}

// Somebody else holds the key that is easily guessed: the next has one that is not, and nothing that is asked for is
// swallowed.
func TestPendingThatKongRefuses(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Absent)
	l.expect(want, noon, credential.StepGenerate, credential.StepRemove)
	pending, _ := l.state.Credentials["primary"].Pending()
	if pending.Number != 3 || !strings.HasPrefix(pending.Material.Key, "team.john.primary.3-") || len(pending.Material.Key) != len("team.john.primary.3-")+8 {
		t.Fatalf("revision %d has the key %s", pending.Number, pending.Material.Key)
	}
	// Refused for another reason: it is not tried without end.
	l.stands(3, credential.Absent)
	l.expect(want, noon)
	l.stands(3, credential.Held)
	l.publish(want, 3)
	l.expect(want, noon, credential.StepPromote)
	l.expect(want, noon)
	l.rotate = "2"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	if pending, _ := l.state.Credentials["primary"].Pending(); pending.Material.Key != "team.john.primary.4" {
		t.Errorf("key %s", pending.Material.Key)
	}
}

// A credential that the spec no longer has stays in the state until no data plane holds it.
func TestRemovedCredentialIsForgottenWhenItIsGoneEverywhere(t *testing.T) {
	want, other := rotating(), rotating(func(w *credential.Want) { w.Name = "other" })
	l := began(t, want, noon)
	l.stands(1, credential.Waiting)
	decide := func(wants ...credential.Want) (kinds []credential.StepKind) {
		d := credential.Decide(l.input(wants...), noon)
		for _, step := range d.Steps {
			if step.Credential == want.Name {
				kinds = append(kinds, step.Kind)
			}
		}
		var err error
		if l.state, err = l.state.Apply(d, l.generate); err != nil {
			t.Fatal(err)
		}
		return kinds
	}
	for _, c := range []struct {
		standing credential.Standing
		kinds    []credential.StepKind
	}{
		{credential.Held, []credential.StepKind{credential.StepEnd}}, {credential.Waiting, nil},
		{credential.Absent, []credential.StepKind{credential.StepRemove}}, {credential.Absent, []credential.StepKind{credential.StepForget}},
	} {
		l.stands(1, c.standing)
		if kinds := decide(other); !slices.Equal(kinds, c.kinds) {
			t.Fatalf("steps %v, not %v", kinds, c.kinds)
		}
		if kong := l.state.Credentials[want.Name].Outcome(credential.Want{}, l.seen, noon).Kong; len(kong) > 0 {
			t.Error("it is wanted in Kong")
		}
	}
	if _, there := l.state.Credentials[want.Name]; there {
		t.Error("it is not forgotten")
	}
}

// Called otherwise, a credential keeps its entities in Kong: the new key comes beside them.
func TestRenamedCredentialTakesItsHistoryAlong(t *testing.T) {
	want := rotating(func(w *credential.Want) { w.SecretName = "clients" })
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	renamed := rotating(func(w *credential.Want) { w.Name, w.SecretName = "main", "clients" })
	l.expect(renamed, noon, credential.StepMove, credential.StepGenerate)
	l.expectKong(renamed, noon, 1, 2, 3)
	slots := []credential.Slot{}
	for _, r := range l.outcome(renamed, noon).Kong {
		slots = append(slots, r.Slot)
	}
	if expected := []credential.Slot{{Credential: "primary"}, {Credential: "primary", Number: 2}, {Credential: "main", Number: 3}}; !slices.Equal(slots, expected) {
		t.Errorf("slots %v", slots)
	}
	// The old name is free for another credential, which gets entities of its own.
	again := rotating(func(w *credential.Want) { w.SecretName = "others" })
	in := l.input(renamed, again)
	in.Seen[again.Name] = credential.Seen{}
	next, err := l.state.Apply(credential.Decide(in, noon), l.generate)
	if err != nil {
		t.Fatal(err)
	}
	if r := next.Credentials["primary"].Revisions[0]; r.Slot != (credential.Slot{Credential: "primary", Number: 1}) {
		t.Errorf("slot %v", r.Slot)
	}
}

// Another source has taken its place: the former material goes after the overlap, and not before.
func TestSupersededByAnotherSource(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	superseded := rotating(func(w *credential.Want) { w.Superseded = true })
	l.expect(superseded, noon, credential.StepSupersede)
	l.expectKong(superseded, noon.Add(9*time.Hour), 1)
	l.expectKong(superseded, noon.Add(10*time.Hour))
	l.stands(1, credential.Absent)
	l.expect(superseded, noon.Add(10*time.Hour), credential.StepRemove, credential.StepForget)
}

func TestSpecChanges(t *testing.T) {
	longer := func(w *credential.Want) { w.Recipe.Length = 64 }
	for name, c := range map[string]struct {
		change func(*credential.Want)
		after  time.Duration
		steps  []credential.StepKind
		keys   []string
	}{
		"algorithm":            {func(w *credential.Want) { w.Recipe.Algorithm = "HS512" }, 0, []credential.StepKind{credential.StepGenerate}, []string{"team.john.primary.1", "team.john.primary.2"}},
		"length":               {longer, 0, []credential.StepKind{credential.StepGenerate}, []string{"team.john.primary.1", "team.john.primary.2"}},
		"username":             {func(w *credential.Want) { w.Username = "jim" }, 0, []credential.StepKind{credential.StepGenerate}, []string{"team.john.primary.1", "jim.primary.2"}},
		"pinned":               {func(w *credential.Want) { w.Key = "k" }, 0, []credential.StepKind{credential.StepGenerate}, []string{"team.john.primary.1", "k"}},
		"no rotation any more": {func(w *credential.Want) { w.Interval, w.Numbered = 0, false }, 1000 * time.Hour, nil, []string{"team.john.primary.1"}},
		"shorter interval":     {func(w *credential.Want) { w.Interval = time.Hour }, 2 * time.Hour, []credential.StepKind{credential.StepGenerate}, []string{"team.john.primary.1", "team.john.primary.2"}},
		"longer interval":      {func(w *credential.Want) { w.Interval = 1000 * time.Hour }, 200 * time.Hour, nil, []string{"team.john.primary.1"}},
		"overlap alone":        {func(w *credential.Want) { w.Overlap = time.Hour }, 0, nil, []string{"team.john.primary.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := began(t, rotating(), noon)
			want, now := rotating(c.change), noon.Add(c.after)
			l.expect(want, now, c.steps...)
			var keys []string
			for _, g := range l.outcome(want, now).Kong {
				keys = append(keys, g.Material.Key)
			}
			if !slices.Equal(keys, c.keys) {
				t.Errorf("keys %v, not %v", keys, c.keys)
			}
		})
	}
}

func TestSpecThatIsTakenBack(t *testing.T) {
	want := rotating()
	other := rotating(func(w *credential.Want) { w.Recipe.Length = 64 })
	l := began(t, want, noon)
	l.expect(other, noon, credential.StepGenerate)
	l.stands(2, credential.Waiting)
	l.expect(want, noon, credential.StepAbandon)
	l.expectKong(want, noon, 1, 2)
	l.expectPublished(want, noon, 1)
	l.expectKong(want, noon.Add(10*time.Hour), 1)
}

func TestOverlapThatChangesCountsForWhatRetires(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	shorter := want
	shorter.Overlap = time.Hour
	l.expectKong(want, noon.Add(2*time.Hour), 1, 2)
	l.expectKong(shorter, noon.Add(2*time.Hour), 2)
}

func TestPinnedKeyIsReplacedInPlace(t *testing.T) {
	want := rotating(func(w *credential.Want) { w.Key, w.Overlap = "k", 0 })
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.expectKong(want, noon, 2)
	l.expectPublished(want, noon, 1)
	l.stands(2, credential.Waiting)
	l.expectPublished(want, noon, 2)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	if n := len(l.state.Credentials["primary"].Revisions); n != 1 {
		t.Errorf("%d revisions are left", n)
	}
}

func TestKeyThatKongRefuses(t *testing.T) {
	first := rotating(func(w *credential.Want) { w.Key = "taken" })
	second := rotating(func(w *credential.Want) { w.Key = "free" })
	l := began(t, first, noon)
	l.publish(first, 0)
	l.stands(1, credential.Absent)
	if l.outcome(first, noon).Published {
		t.Error("a key that Kong does not hold is published")
	}
	l.expect(second, noon, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.expectPublished(second, noon, 2)
	l.publish(second, 2)
	l.expect(second, noon, credential.StepPromote)
	l.expectKong(second, noon, 2)
}

// A credential that had no revisions, of a Secret that somebody else owns, gets some: what Kong holds of it stays for
// the overlap.
func TestFormerSourceOverlaps(t *testing.T) {
	former := credential.Material{Key: "theirs", Algorithm: "RS256", PublicKeyPEM: "public"}
	held := []credential.Holding{{Slot: credential.Slot{Credential: "primary"}, Material: former, InPlace: true}}
	given := credential.Material{Key: "given", Algorithm: "HS256", Secret: credential.Conceal("given")}
	fresh := func() *life {
		return &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}, InKong: held}}
	}
	for name, c := range map[string]struct {
		change func(*credential.Want)
		key    string
	}{
		"generated": {func(*credential.Want) {}, "team.john.primary.2"},
		"given":     {func(w *credential.Want) { w.Given = &given }, "given"},
	} {
		t.Run(name, func(t *testing.T) {
			want := rotating(c.change)
			l := fresh()
			l.expect(want, noon, credential.StepRecover, credential.StepGenerate)
			l.expectKong(want, noon, 1, 2)
			var keys []string
			for _, r := range l.outcome(want, noon).Kong {
				keys = append(keys, r.Material.Key)
			}
			if !slices.Equal(keys, []string{"theirs", c.key}) || l.outcome(want, noon).Kong[0].Slot.Number != 0 {
				t.Errorf("keys %v in Kong, not the former beside %s", keys, c.key)
			}
			l.stands(2, credential.Held)
			l.publish(want, 2)
			l.expect(want, noon, credential.StepPromote)
			l.expectKong(want, noon.Add(10*time.Hour-1), 1, 2)
			l.expectKong(want, noon.Add(10*time.Hour), 2)
		})
	}
	pinned := rotating(func(w *credential.Want) { w.Key, w.Overlap = "theirs", 0 })
	l := fresh()
	l.expect(pinned, noon, credential.StepRecover, credential.StepGenerate)
	if kong := l.outcome(pinned, noon).Kong; len(kong) != 1 || kong[0].Number != 2 || kong[0].Slot.Number != 0 {
		t.Errorf("the key is the same, and Kong holds it once: %+v", kong)
	}
	revoked := rotating(func(w *credential.Want) { w.Revoked = true })
	l = fresh()
	l.expect(revoked, noon, credential.StepBegin)
	if key := l.state.Credentials["primary"].Revisions[0].Material.Key; key != "team.john.primary.1" {
		t.Errorf("key %s: what was revoked is taken up", key)
	}
}
