package ingress

import (
	"errors"
	"testing"
	"time"
)

func TestPausesGrowWithEveryFailureAndTroubleIsSaidOnceItLasts(t *testing.T) {
	var trouble trouble
	begun := time.Unix(1000, 0)
	now := begun
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		pause *= time.Second
		trouble.note(errors.New("refused"), now, time.Second)
		if !trouble.pauses(now) || !trouble.pauses(now.Add(pause-1)) || trouble.pauses(now.Add(pause)) {
			t.Errorf("no pause of %s", pause)
		}
		if trouble.pauses(now.Add(-time.Hour)) {
			t.Error("a clock that was set back pauses for an hour")
		}
		now = now.Add(pause)
	}
	if limit := now.Sub(begun); trouble.lasts(now, limit) || !trouble.lasts(now.Add(1), limit) {
		t.Error("it is not said when it lasts")
	}
	trouble.note(nil, now, time.Second)
	if trouble.pauses(now) || trouble.lasts(now.Add(time.Hour), time.Minute) {
		t.Error("it failed once and is tried no more")
	}
}
