package credential_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

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
	l.expect(want, over, credential.StepExpire)
	l.stands(1, credential.Absent)
	l.expect(want, over, credential.StepRemove)
	if key := l.outcome(want, over).Publish.Material.Key; key != "team.john.primary.2" {
		t.Errorf("key %q", key)
	}
}

// A data plane may hold for a while what left Kong. A spec that gets a longer overlap then does not bring it back.
func TestWhatIsOverStaysOver(t *testing.T) {
	want := rotating()
	l := began(t, want, noon)
	l.rotate = "1"
	l.expect(want, noon, credential.StepAsk, credential.StepGenerate)
	l.stands(2, credential.Held)
	l.publish(want, 2)
	l.expect(want, noon, credential.StepPromote)
	over := noon.Add(10 * time.Hour)
	l.expect(want, over, credential.StepExpire)
	l.stands(1, credential.Waiting)
	want.Overlap = 50 * time.Hour
	l.expect(want, over)
	l.expectKong(want, over, 2)
	l.stands(1, credential.Absent)
	l.expect(want, over, credential.StepRemove)
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
