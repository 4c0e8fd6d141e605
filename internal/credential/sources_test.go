package credential_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

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

// A spec that goes back to its former source has what clients read in use again, while that is valid.
func TestWhatClientsHaveIsInUseAgainWhereTheSpecGoesBack(t *testing.T) {
	want, elsewhere := rotating(), credential.Want{Name: "primary", Missing: true, Superseded: true, Overlap: 10 * time.Hour}
	shorter := rotating(func(w *credential.Want) { w.Recipe.Length = 36 })
	for name, c := range map[string]struct {
		back   credential.Want
		after  time.Duration
		spoils func(*life)
		steps  []credential.StepKind
	}{
		"as it was":                   {back: want, steps: []credential.StepKind{credential.StepRevive}},
		"with another recipe":         {back: shorter, steps: []credential.StepKind{credential.StepRevive, credential.StepGenerate}},
		"after the overlap":           {back: want, after: 11 * time.Hour, steps: []credential.StepKind{credential.StepBegin}},
		"to a Secret that is deleted": {back: want, spoils: func(l *life) { l.seen.Clients = nil }, steps: []credential.StepKind{credential.StepBegin}},
		"after a rotation was asked for": {
			back: want, spoils: func(l *life) { l.rotate = "1"; l.steps(elsewhere, noon) },
			steps: []credential.StepKind{credential.StepRevive, credential.StepGenerate},
		},
		"with the overlap ended": {
			back: want, spoils: func(l *life) { l.revokePrevious = "1"; l.steps(elsewhere, noon) },
			steps: []credential.StepKind{credential.StepBegin},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := began(t, want, noon)
			l.expect(elsewhere, noon, credential.StepSupersede)
			if c.spoils != nil {
				c.spoils(l)
			}
			if c.after > 0 {
				l.expect(elsewhere, noon.Add(c.after), credential.StepExpire)
			}
			l.expect(c.back, noon.Add(c.after), c.steps...)
		})
	}
}
