package credential_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

func TestClockThatWasSetBack(t *testing.T) {
	want := rotating()
	asked := rotating(func(w *credential.Want) { w.Rotate = "1" })
	l := began(t, want, noon.Add(1000*time.Hour))
	l.expect(want, noon, credential.StepRestamp)
	l.expect(asked, noon.Add(500*time.Hour), credential.StepGenerate)
	l.stands(2, credential.Held)
	l.seen.Published = 2
	l.expect(asked, noon.Add(500*time.Hour), credential.StepPromote)
	l.expect(asked, noon, credential.StepRestamp, credential.StepRestamp)
	l.expectKong(asked, noon.Add(9*time.Hour), 1, 2)
	l.expectKong(asked, noon.Add(10*time.Hour), 2)
}

func TestFormerSecretThatIsPutBack(t *testing.T) {
	asked := rotating(func(w *credential.Want) { w.Rotate = "1" })
	l := began(t, rotating(), noon)
	l.expect(asked, noon, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.seen.Published = 2
	l.expect(asked, noon, credential.StepPromote)
	l.seen.Published = 1
	later := noon.Add(11 * time.Hour)
	l.expectKong(asked, later, 1, 2)
	l.expect(asked, later, credential.StepRestamp)
	l.seen.Published = 2
	l.expectKong(asked, later.Add(9*time.Hour), 1, 2)
	l.expectKong(asked, later.Add(10*time.Hour), 2)
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
	l.stands(1, credential.Absent)
	l.expect(revoked, noon)
	l.expect(want, noon)
	l.expectKong(want, noon, 1)
	// What is asked for while nothing is in Kong never lets the former material live again.
	revoked.Rotate, want.Rotate = "leaked", "leaked"
	l.expect(revoked, noon, credential.StepReplace)
	l.expectKong(want, noon, 2)
}

func TestTooManyGenerations(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	for i := range int64(20) {
		want.Rotate = fmt.Sprint(i)
		l.steps(want, noon)
		l.stands(i+2, credential.Held)
		l.seen.Published = i + 2
		l.steps(want, noon)
	}
	if n := len(l.state.Credentials["primary"].Generations); n != 12 {
		t.Errorf("%d generations", n)
	}
	if l.outcome(want, noon).Wait == "" {
		t.Error("nothing says what is waited for")
	}
	want.RevokePrevious = "now"
	l.expect(want, noon, credential.StepEnd)
}

func TestJitterSpreadsAndStays(t *testing.T) {
	var times []time.Time
	for i := range 1000 {
		want := rotating(func(w *credential.Want) { w.Seed = fmt.Sprintf("team/john-%d", i) })
		g := credential.Generation{Number: 1, Phase: v1alpha1.CredentialActive, IssueTime: noon}
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
	want := rotating(func(w *credential.Want) { w.Rotate, w.RevokePrevious = "1", "1" })
	l := began(t, rotating(), noon)
	l.expect(want, noon, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.seen.Published = 2
	l.expect(want, noon, credential.StepPromote, credential.StepEnd)
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
	l.expectKong(want, noon, 2)
}

func TestGivenMaterial(t *testing.T) {
	given := func(key, secret string) credential.Want {
		return rotating(func(w *credential.Want) {
			w.Given = &credential.Material{Key: key, Algorithm: "HS256", Secret: credential.Conceal(secret)}
		})
	}
	l := began(t, given("a", "one"), noon)
	l.seen.Published = 0
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
		want.Published = &read
		l := &life{t: t, generate: counted()}
		l.expect(want, noon, credential.StepBegin)
		active, _ := l.state.Credentials["primary"].Active()
		if active.Number != 7 || active.Slot != 7 || !active.Material.Equal(made) {
			t.Errorf("%s: generation %d in slot %d is taken up", algorithm, active.Number, active.Slot)
		}
	}
	// A key that the spec does not give is somebody's choice.
	want := rotating()
	want.Published = &credential.Material{Key: "another.jim.primary", Algorithm: "HS256", Secret: credential.Conceal("chosen")}
	l := &life{t: t, generate: counted()}
	l.expect(want, noon, credential.StepBegin)
	if active, _ := l.state.Credentials["primary"].Active(); active.Number != 1 || active.Material.Key != "team.john.primary.1" {
		t.Errorf("generation %d with key %s", active.Number, active.Material.Key)
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
