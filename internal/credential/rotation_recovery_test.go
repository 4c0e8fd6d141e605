package credential_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// rotated is a credential whose second revision was just promoted.
func rotated(t *testing.T, want credential.Want, from time.Time, at time.Time) *life {
	t.Helper()
	l := began(t, want, from)
	if !from.Equal(at) {
		l.expect(want, noon, credential.StepRestamp)
	}
	l.rotate = "1"
	l.expect(want, at, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, at, credential.StepPromote)
	return l
}

func TestClockThatWasSetBack(t *testing.T) {
	want := rotating()
	l := rotated(t, want, noon.Add(1000*time.Hour), noon.Add(50*time.Hour))
	l.expect(want, noon, credential.StepRestamp, credential.StepRestamp)
	l.expectKong(want, noon.Add(9*time.Hour), 1, 2)
	l.expectKong(want, noon.Add(10*time.Hour), 2)
}

func TestFormerSecretThatIsPutBack(t *testing.T) {
	want := rotating()
	l := rotated(t, want, noon, noon)
	l.publish(want, 1)
	later := noon.Add(11 * time.Hour)
	l.expectKong(want, later, 1, 2)
	l.expect(want, later, credential.StepRestamp)
	l.publish(want, 2)
	l.expectKong(want, later.Add(9*time.Hour), 1, 2)
	l.expectKong(want, later.Add(10*time.Hour), 2)
}

func TestRevoked(t *testing.T) {
	want := rotating()
	revoked := rotating(func(w *credential.Want) { w.Revoked = true })
	l := began(t, want, noon)
	l.expect(revoked, noon.Add(1000*time.Hour))
	l.expectKong(revoked, noon)
	if l.outcome(revoked, noon).Published {
		t.Error("a revoked credential is published")
	}
	l.stands(1, credential.Waiting)
	l.expect(revoked, noon)
	l.expect(want, noon)
	l.expectKong(want, noon, 1)
	// What is asked for while nothing is in Kong never lets the former material live again. It is kept until no
	// data plane holds it.
	l.rotate = "leaked"
	l.expect(revoked, noon, credential.StepAsk, credential.StepReplace)
	l.expect(revoked, noon)
	l.expectKong(want, noon, 2)
	l.stands(1, credential.Absent)
	l.expect(revoked, noon, credential.StepRemove)
	l.expectKong(want, noon, 2)
}

func TestTooManyRevisions(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	for i := range int64(20) {
		l.rotate = fmt.Sprint(i)
		l.steps(want, noon)
		if l.state.Credentials["primary"].Last < i+2 {
			continue
		}
		l.stands(i+2, credential.Held)
		l.publish(want, i+2)
		l.steps(want, noon)
	}
	if n := len(l.state.Credentials["primary"].Revisions); n != 12 {
		t.Errorf("%d revisions", n)
	}
	if l.outcome(want, noon).Wait == "" {
		t.Error("nothing says what is waited for")
	}
	l.revokePrevious = "now"
	l.expect(want, noon, credential.StepAsk)
	// What was asked for while there was no room is not lost.
	l.stands(1, credential.Absent)
	l.expect(want, noon, credential.StepRemove, credential.StepGenerate)
}

func TestJitterSpreadsAndStays(t *testing.T) {
	var times []time.Time
	for i := range 1000 {
		want := rotating(func(w *credential.Want) { w.Seed = fmt.Sprintf("team/john-%d", i) })
		g := credential.Revision{Number: 1, State: v1alpha1.CredentialActive, IssueTime: noon}
		if again := want.RotatesAt(g); !again.Equal(want.RotatesAt(g)) {
			t.Fatal("the jitter changes")
		}
		times = append(times, want.RotatesAt(g))
	}
	slices.SortFunc(times, time.Time.Compare)
	if first, last := times[0].Sub(noon), times[999].Sub(noon); first < 90*time.Hour || last > 100*time.Hour {
		t.Errorf("rotations from %s to %s", first, last)
	}
	for hour := range 10 {
		from := noon.Add(90 * time.Hour).Add(time.Duration(hour) * time.Hour)
		n := 0
		for _, at := range times {
			if !at.Before(from) && at.Before(from.Add(time.Hour)) {
				n++
			}
		}
		if n < 50 || n > 200 {
			t.Errorf("%d of 1000 rotate in hour %d of the ten", n, 90+hour)
		}
	}
}

func TestStateSurvivesItsSecret(t *testing.T) {
	want := rotating(func(w *credential.Want) { w.SecretName = "clients" })
	l := began(t, want, noon)
	l.rotate, l.revokePrevious = "1", "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Absent)
	l.expect(want, noon, credential.StepGenerate, credential.StepRemove)
	l.stands(3, credential.Held)
	l.publish(want, 3)
	l.expect(want, noon, credential.StepPromote)
	content, err := l.state.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := credential.DecodeState(content)
	if err != nil {
		t.Fatal(err)
	}
	again, err := read.Encode()
	if err != nil || string(again) != string(content) {
		t.Errorf("encoded again: %v, %s", err, again)
	}
	l.state = read
	l.expect(want, noon)
	l.expectKong(want, noon, 3)
}

func TestGivenMaterial(t *testing.T) {
	given := func(key, secret string) credential.Want {
		return rotating(func(w *credential.Want) {
			w.Given = &credential.Material{Key: key, Algorithm: "HS256", Secret: credential.Conceal(secret)}
		})
	}
	l := began(t, given("a", "one"), noon)
	l.seen.Clients = nil
	// The same key: in place.
	l.expect(given("a", "two"), noon, credential.StepGenerate)
	l.expectKong(given("a", "two"), noon, 2)
	l.stands(2, credential.Waiting)
	l.expect(given("a", "two"), noon, credential.StepPromote)
	// Another key: side by side for the overlap.
	l.expect(given("b", "three"), noon, credential.StepGenerate)
	l.expectKong(given("b", "three"), noon, 2, 3)
	l.stands(3, credential.Waiting)
	l.expect(given("b", "three"), noon)
	l.stands(3, credential.Held)
	l.expect(given("b", "three"), noon, credential.StepPromote)
	l.expectKong(given("b", "three"), noon.Add(9*time.Hour), 2, 3)
	// The Secret is gone, or bad: all stays as it is.
	missing := rotating(func(w *credential.Want) { w.Missing = true })
	l.expect(missing, noon)
	l.expectKong(missing, noon, 2, 3)
	l.expectKong(missing, noon.Add(10*time.Hour), 3)
}

func TestLostStateIsTakenUpFromWhatIsPublished(t *testing.T) {
	for _, algorithm := range []v1alpha1.Algorithm{"HS256", "ES256", "RS256"} {
		want := rotating(func(w *credential.Want) { w.Recipe = credential.NewRecipe(algorithm, v1alpha1.Generate{}) })
		made, err := credential.Generate(want.Recipe, "team.john.primary.7")
		if err != nil {
			t.Fatal(err)
		}
		read, ok := credential.FromPublished(credential.PublishedData(made))
		if !ok || !read.Equal(made) {
			t.Fatalf("%s: what was published is not read back", algorithm)
		}
		l := &life{t: t, generate: counted(), seen: credential.Seen{Clients: &read}}
		l.rotate = "1" // nobody knows whether it was handled: it is not asked anew
		l.expect(want, noon, credential.StepRecover)
		active, _ := l.state.Credentials["primary"].Active()
		if active.Number != 7 || active.Slot.Number != 7 || !active.Material.Equal(made) {
			t.Errorf("%s: revision %d in slot %v is taken up", algorithm, active.Number, active.Slot)
		}
	}
	// A key that the spec does not give is somebody's choice.
	want := rotating()
	chosen := credential.Material{Key: "another.jim.primary", Algorithm: "HS256", Secret: credential.Conceal("chosen")}
	l := &life{t: t, generate: counted(), seen: credential.Seen{Clients: &chosen}}
	l.expect(want, noon, credential.StepBegin)
	if active, _ := l.state.Credentials["primary"].Active(); active.Number != 1 || active.Material.Key != "team.john.primary.1" {
		t.Errorf("revision %d with key %s", active.Number, active.Material.Key)
	}
}

// heldIn is what Kong shows of revisions: never a private key.
func heldIn(l *life, numbers ...int64) (held []credential.Holding) {
	for _, r := range l.state.Credentials["primary"].Revisions {
		if slices.Contains(numbers, r.Number) {
			r.Material.PrivateKeyPEM = credential.Sensitive{}
			held = append(held, credential.Holding{Slot: r.Slot, Material: r.Material})
		}
	}
	return held
}

// The state Secret is deleted within an overlap: nothing that Kong accepts is refused before the overlap is over.
func TestLostStateWithinAnOverlap(t *testing.T) {
	for _, algorithm := range []v1alpha1.Algorithm{"HS256", "ES256"} {
		want := rotating(func(w *credential.Want) { w.Recipe = credential.NewRecipe(algorithm, v1alpha1.Generate{}) })
		l := &life{t: t, generate: credential.Generate, seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
		l.expect(want, noon, credential.StepBegin)
		l.stands(1, credential.Held)
		l.publish(want, 1)
		l.rotate = "1"
		l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
		l.stands(2, credential.Held)
		l.publish(want, 2)
		l.expect(want, noon, credential.StepPromote)
		l.seen.InKong, l.seen.Last = heldIn(l, 1, 2), 2
		published := *l.seen.Clients
		l.state = credential.State{}
		later := noon.Add(time.Hour)
		l.expect(want, later, credential.StepRecover)
		l.expectKong(want, later.Add(10*time.Hour-1), 1, 2)
		l.expectKong(want, later.Add(10*time.Hour), 2)
		if active, _ := l.state.Credentials["primary"].Active(); !active.Material.Equal(published) {
			t.Errorf("%s: what clients have is not the Active revision", algorithm)
		}
	}
}

// All Secrets are gone, what clients read too: Kong's material is kept, and where it has no private key the next
// comes beside it.
func TestLostStateAndLostSecret(t *testing.T) {
	for algorithm, steps := range map[v1alpha1.Algorithm][]credential.StepKind{
		"HS256": {credential.StepRecover}, "ES256": {credential.StepRecover, credential.StepGenerate},
	} {
		want := rotating(func(w *credential.Want) { w.Recipe = credential.NewRecipe(algorithm, v1alpha1.Generate{}) })
		l := &life{t: t, generate: credential.Generate, seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
		l.expect(want, noon, credential.StepBegin)
		l.seen.InKong, l.state = heldIn(l, 1), credential.State{}
		l.expect(want, noon, steps...)
		if kong := numbersOf(l.outcome(want, noon).Kong); kong[0] != 1 || len(kong) != len(steps) {
			t.Errorf("%s: revisions %v belong into Kong", algorithm, kong)
		}
	}
}

// A rotation that was on its way when the state was lost is not forgotten.
func TestLostStateWithAPendingRevision(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.seen.InKong, l.seen.Last, l.state = heldIn(l, 1, 2), 2, credential.State{}
	l.expect(want, noon, credential.StepRecover, credential.StepGenerate)
	l.expectKong(want, noon, 1, 2, 3)
	if pending, _ := l.state.Credentials["primary"].Pending(); pending.Number != 3 {
		t.Errorf("revision %d is on its way", pending.Number)
	}
	// All of it refused by Kong meanwhile, and only the status tells how far the numbers went.
	l = began(t, want, noon)
	l.seen.Last, l.seen.Clients, l.state = 5, nil, credential.State{}
	l.expect(want, noon, credential.StepBegin)
	if active, _ := l.state.Credentials["primary"].Active(); active.Number != 6 {
		t.Errorf("number %d is given twice", active.Number)
	}
}

// An old state is restored over revision 3: what clients use stays, what left long ago does not come back, no number
// is given to other material.
func TestOldStateIsRestored(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	old := l.state
	for _, value := range []string{"1", "2"} {
		l.rotate = value
		l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
		next := l.state.Credentials["primary"].Last
		l.stands(next, credential.Held)
		l.publish(want, next)
		l.stands(next-1, credential.Absent)
		l.revokePrevious = value
		l.expect(want, noon, credential.StepAsk, credential.StepPromote)
	}
	l.seen.InKong, l.seen.Last, l.state = heldIn(l, 3), 3, old
	l.rotate, l.revokePrevious = "2", "2"
	l.expect(want, noon, credential.StepRecover)
	l.expectKong(want, noon, 3)
	l.expectPublished(want, noon, 3)
	l.expect(want, noon)
	l.rotate = "3"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	if pending, _ := l.state.Credentials["primary"].Pending(); pending.Number != 4 {
		t.Errorf("revision %d", pending.Number)
	}
}

// The same with a pinned key, whose revisions share an entity in Kong.
func TestOldStateIsRestoredOverAPinnedKey(t *testing.T) {
	want := rotating(func(w *credential.Want) { w.Key, w.Overlap = "k", 0 })
	l := began(t, want, noon)
	old := l.state
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	current, _ := l.state.Credentials["primary"].Active()
	l.seen.InKong, l.seen.Last, l.state = heldIn(l, 2), 2, old
	l.expect(want, noon, credential.StepRecover)
	if active, _ := l.state.Credentials["primary"].Active(); !active.Material.Equal(current.Material) {
		t.Error("the material of before is in use again")
	}
}

func TestUnpinnedFirstKeyHasNoNumberWithoutRotation(t *testing.T) {
	want := rotating(func(w *credential.Want) { w.Numbered, w.Interval = false, 0 })
	l := began(t, want, noon)
	if key := l.outcome(want, noon).Publish.Material.Key; key != "team.john.primary" {
		t.Errorf("key %q", key)
	}
	l.expect(rotating(), noon)
}
