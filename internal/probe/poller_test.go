package probe_test

import (
	"context"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

// slowPlanes answer when the test says so.
type slowPlanes struct {
	*testing.T
	poller  *probe.Poller
	now     time.Time
	asked   chan struct{}
	answers chan probe.Conclusion
	woken   chan struct{}
}

func newSlowPlanes(t *testing.T) *slowPlanes {
	s := &slowPlanes{
		T: t, now: time.Unix(1_800_000_000, 0),
		asked: make(chan struct{}, 8), answers: make(chan probe.Conclusion), woken: make(chan struct{}, 8),
	}
	s.poller = probe.NewPoller(func(ctx context.Context, _ credential.Material, _ probe.Want) (probe.Conclusion, string) {
		s.asked <- struct{}{}
		select {
		case conclusion := <-s.answers:
			return conclusion, "http://a"
		case <-ctx.Done():
			return probe.Unsure, "stopped"
		}
	}, func() time.Time { return s.now })
	t.Cleanup(s.poller.Stop)
	return s
}

// expect asks, and holds the answer, which is given at once, to what is wanted.
func (s *slowPlanes) expect(want probe.Want, conclusion probe.Conclusion, message string) {
	s.Helper()
	material := credential.Material{Key: "k", Algorithm: "HS256", Secret: credential.Conceal("s")}
	wake := func() { s.woken <- struct{}{} }
	got, said := s.poller.Ask(probe.Question{Who: "team/john", Material: material, Want: want, Wake: wake})
	if got != conclusion || said != message {
		s.Errorf("%v (%s), not %v (%s)", got, said, conclusion, message)
	}
}

// answer has the look that is under way end.
func (s *slowPlanes) answer(conclusion probe.Conclusion) {
	<-s.asked
	s.answers <- conclusion
	<-s.woken
}

func (s *slowPlanes) expectQuiet() {
	s.Helper()
	select {
	case <-s.asked:
		s.Error("the data planes are asked")
	default:
	}
}

func TestNobodyWaitsForADataPlane(t *testing.T) {
	s := newSlowPlanes(t)
	s.expect(probe.Present, probe.Unsure, "they are being asked")
	s.expect(probe.Present, probe.Unsure, "they are being asked")
	s.answer(probe.Contradicted)
	s.expect(probe.Present, probe.Contradicted, "http://a")
	s.expectQuiet() // not again so soon
	s.now = s.now.Add(time.Second)
	s.expect(probe.Present, probe.Contradicted, "http://a") // as it was, while they are asked again
	s.answer(probe.Confirmed)
	s.now = s.now.Add(time.Minute)
	s.expect(probe.Present, probe.Confirmed, "http://a")
	s.expectQuiet()
	s.expect(probe.Absent, probe.Unsure, "they are being asked")
	s.answer(probe.Contradicted)
}

// An answer that was begun before a write says nothing of what is after it.
func TestAWriteMakesAnswersOld(t *testing.T) {
	s := newSlowPlanes(t)
	s.expect(probe.Present, probe.Unsure, "they are being asked")
	s.poller.Forget("team/john")
	s.answer(probe.Confirmed)
	s.expect(probe.Present, probe.Unsure, "they are being asked")
	s.answer(probe.Confirmed)
	s.expect(probe.Present, probe.Confirmed, "http://a")
	s.poller.Forget("team/john")
	s.expect(probe.Present, probe.Unsure, "they are being asked")
	s.answer(probe.Contradicted)
}

func TestAStoppedPollerWakesThoseThatWait(t *testing.T) {
	s := newSlowPlanes(t)
	s.expect(probe.Absent, probe.Unsure, "they are being asked")
	s.poller.Stop()
	<-s.woken
	s.expect(probe.Absent, probe.Unsure, "stopped")
}
