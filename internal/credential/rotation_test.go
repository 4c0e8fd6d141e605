package credential_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
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
		return credential.Material{Key: key, Algorithm: recipe.Algorithm, Secret: credential.Conceal(fmt.Sprintf("secret %d", n))}, nil
	}
}

// life is one credential and what is seen of it.
type life struct {
	t        *testing.T
	state    credential.State
	seen     credential.Seen
	generate credential.Generator
}

func began(t *testing.T, want credential.Want, now time.Time) *life {
	t.Helper()
	l := &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
	if kinds := l.steps(want, now); !slices.Equal(kinds, []credential.StepKind{credential.StepBegin}) {
		t.Fatalf("steps of a first generation: %v", kinds)
	}
	l.seen.Verdicts[1], l.seen.Published = credential.Verdict{Standing: credential.Held}, 1
	return l
}

// steps takes all steps that are due, and lists them.
func (l *life) steps(want credential.Want, now time.Time) []credential.StepKind {
	l.t.Helper()
	var kinds []credential.StepKind
	for range 20 {
		decision := credential.Decide(credential.Input{
			State: l.state, Wants: []credential.Want{want}, Seen: map[string]credential.Seen{want.Name: l.seen},
		}, now)
		if len(decision.Steps) == 0 {
			return kinds
		}
		next, err := l.state.Apply(decision, l.generate)
		if err != nil {
			l.t.Fatal(err)
		}
		l.state = next
		for _, step := range decision.Steps {
			kinds = append(kinds, step.Kind)
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
		l.t.Fatalf("at %s: generations %v belong into Kong, not %v", now.Sub(noon), got, numbers)
	}
}

func (l *life) expectPublished(want credential.Want, now time.Time, number int64) {
	l.t.Helper()
	out := l.outcome(want, now)
	if !out.Published || out.Publish.Number != number {
		l.t.Fatalf("at %s: generation %d (%v) is to be published, not %d", now.Sub(noon), out.Publish.Number, out.Published, number)
	}
}

func (l *life) stands(number int64, standing credential.Standing) {
	l.seen.Verdicts[number] = credential.Verdict{Standing: standing, Message: "waiting", After: time.Second}
}

func numbersOf(generations []credential.Generation) []int64 {
	var numbers []int64
	for _, g := range generations {
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
	l.seen.Published = 2
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
	l.seen.Published = 2
	l.expect(want, late, credential.StepPromote)
	l.expect(want, late.Add(time.Hour))
}

func TestRotationOnDemand(t *testing.T) {
	asked := func(value string) credential.Want {
		return rotating(func(w *credential.Want) { w.Rotate = value })
	}
	l := began(t, asked("1"), noon)
	l.expect(asked("1"), noon)
	l.expect(asked("2"), noon, credential.StepGenerate)
	l.expect(asked("2"), noon)
	// Asked for again while it is on its way: nobody has seen the new material yet.
	l.expect(asked("3"), noon, credential.StepHandle)
	l.stands(2, credential.Held)
	l.seen.Published = 2
	l.expect(asked("3"), noon, credential.StepPromote)
	l.expect(asked(""), noon, credential.StepGenerate)
}

func TestRevokePrevious(t *testing.T) {
	want := rotating()
	both := rotating(func(w *credential.Want) { w.Rotate, w.RevokePrevious = "leaked", "leaked" })
	l := began(t, want, noon)
	l.expect(both, noon, credential.StepGenerate)
	l.expectKong(both, noon, 1, 2)
	l.stands(2, credential.Held)
	l.seen.Published = 2
	l.expect(both, noon, credential.StepPromote, credential.StepEnd)
	l.expectKong(both, noon, 2)
	l.stands(1, credential.Absent)
	l.expect(both, noon, credential.StepRemove)
	// One that was handled counts for nothing later.
	again := both
	again.Rotate = "once more"
	l.expect(again, noon, credential.StepGenerate)
	l.stands(3, credential.Held)
	l.seen.Published = 3
	l.expect(again, noon, credential.StepPromote)
	l.expectKong(again, noon.Add(time.Hour), 2, 3)
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
	want := rotating(func(w *credential.Want) { w.Rotate = "1" })
	l := began(t, rotating(), noon)
	l.expect(want, noon, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.seen.Published = 2
	l.expect(want, noon, credential.StepPromote)
	shorter := want
	shorter.Overlap = time.Hour
	l.expectKong(want, noon.Add(2*time.Hour), 1, 2)
	l.expectKong(shorter, noon.Add(2*time.Hour), 2)
}

func TestPinnedKeyIsReplacedInPlace(t *testing.T) {
	want := rotating(func(w *credential.Want) { w.Key, w.Overlap = "k", 0 })
	asked := want
	asked.Rotate = "1"
	l := began(t, want, noon)
	l.expect(asked, noon, credential.StepGenerate)
	l.expectKong(asked, noon, 2)
	l.expectPublished(asked, noon, 1)
	l.stands(2, credential.Waiting)
	l.expectPublished(asked, noon, 2)
	l.seen.Published = 2
	l.expect(asked, noon, credential.StepPromote)
	if n := len(l.state.Credentials["primary"].Generations); n != 1 {
		t.Errorf("%d generations are left", n)
	}
}

func TestKeyThatKongRefuses(t *testing.T) {
	first := rotating(func(w *credential.Want) { w.Key = "taken" })
	second := rotating(func(w *credential.Want) { w.Key = "free" })
	l := began(t, first, noon)
	l.seen.Published = 0
	l.stands(1, credential.Absent)
	if l.outcome(first, noon).Published {
		t.Error("a key that Kong does not hold is published")
	}
	l.expect(second, noon, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.expectPublished(second, noon, 2)
	l.seen.Published = 2
	l.expect(second, noon, credential.StepPromote)
	l.expectKong(second, noon, 2)
}

func TestFormerSourceOverlaps(t *testing.T) {
	former := credential.Material{Key: "theirs", Algorithm: "RS256", PublicKeyPEM: "public"}
	given := credential.Material{Key: "given", Algorithm: "HS256", Secret: credential.Conceal("given")}
	for name, c := range map[string]struct {
		change func(*credential.Want)
		key    string
	}{
		"generated": {func(*credential.Want) {}, "team.john.primary.2"},
		"given":     {func(w *credential.Want) { w.Given = &given }, "given"},
	} {
		t.Run(name, func(t *testing.T) {
			want := rotating(c.change, func(w *credential.Want) { w.Former = &former })
			l := &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
			l.expect(want, noon, credential.StepBegin, credential.StepGenerate)
			l.expectKong(want, noon, 1, 2)
			var keys []string
			for _, g := range l.outcome(want, noon).Kong {
				keys = append(keys, g.Material.Key)
			}
			if !slices.Equal(keys, []string{"theirs", c.key}) || l.outcome(want, noon).Kong[0].Slot != 0 {
				t.Errorf("keys %v in Kong, not the former beside %s", keys, c.key)
			}
			l.stands(2, credential.Held)
			l.seen.Published = 2
			l.expect(want, noon, credential.StepPromote)
			l.expectKong(want, noon.Add(10*time.Hour-1), 1, 2)
			l.expectKong(want, noon.Add(10*time.Hour), 2)
		})
	}
	pinned := rotating(func(w *credential.Want) { w.Former, w.Key, w.Overlap = &former, "theirs", 0 })
	l := &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
	l.expect(pinned, noon, credential.StepBegin, credential.StepGenerate)
	if kong := l.outcome(pinned, noon).Kong; len(kong) != 1 || kong[0].Number != 2 || kong[0].Slot != 0 {
		t.Errorf("the key is the same, and Kong holds it once: %+v", kong)
	}
	revoked := rotating(func(w *credential.Want) { w.Former, w.Revoked = &former, true })
	l = &life{t: t, generate: counted()}
	l.expect(revoked, noon, credential.StepBegin)
	if key := l.state.Credentials["primary"].Generations[0].Material.Key; key != "team.john.primary.1" {
		t.Errorf("key %s: what was revoked is taken up", key)
	}
}
