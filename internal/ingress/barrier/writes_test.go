package barrier_test

import (
	"testing"
	"time"
)

func TestAnEpochIsConfirmedThoughWritesGoOnAndNoneThatIsTooYoung(t *testing.T) {
	r := newRig()
	wrote := map[uint64]time.Time{}
	var barrierAt time.Time
	r.writing = func() { barrierAt = r.now }
	const step = 100 * time.Millisecond
	for i := range 600 {
		wrote[r.Wrote()] = r.now
		if i%5 == 0 {
			before := r.Confirmed()
			r.look(t)
			r.answer.Programmed = r.answer.Generation
			if is := r.Confirmed(); is > before && barrierAt.Sub(wrote[is]) < pace.Settle {
				t.Fatalf("epoch %d is confirmed by a barrier that came %s after it", is, barrierAt.Sub(wrote[is]))
			}
		}
		r.now = r.now.Add(step)
		if oldest, is := wrote[r.Confirmed()+1]; is && r.now.Sub(oldest) > 15*pace.Settle {
			t.Fatalf("epoch %d is not confirmed after %s", r.Confirmed()+1, r.now.Sub(oldest))
		}
	}
	if r.writes > 10 {
		t.Errorf("%d barriers in a minute", r.writes)
	}
}

func TestAfterAClockIsSetBackNoEpochIsConfirmedThatIsTooYoung(t *testing.T) {
	r := newRig()
	epoch := r.Wrote()
	r.now = r.now.Add(-time.Hour)
	if r.look(t); r.writes > 0 {
		t.Error("a barrier is written though nobody knows how old the last write is")
	}
	r.now = r.now.Add(pace.Settle)
	r.look(t)
	r.answer.Programmed = r.answer.Generation
	if r.look(t); r.Confirmed() != epoch {
		t.Error("it is waited for the hour")
	}
}
