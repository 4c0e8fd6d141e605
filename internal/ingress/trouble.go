package ingress

import "time"

// longestPause is the longest between two attempts at what fails.
const longestPause = 30 * time.Second

// trouble is that of something that is tried again and again. The zero value is none.
type trouble struct {
	err error
	// since is when it failed first, and again when it is tried next.
	since, again time.Time
	pause        time.Duration
}

// note notes how an attempt ended. The first pause after a failure is given, and it doubles with every one in a row.
func (t *trouble) note(err error, now time.Time, first time.Duration) {
	if err == nil {
		*t = trouble{}
		return
	}
	if t.err == nil {
		t.since, t.pause = now, first/2
	}
	t.err, t.pause = err, min(2*t.pause, longestPause)
	t.again = now.Add(t.pause)
}

// pauses says whether it is too early for the next attempt. A clock may be set back.
func (t *trouble) pauses(now time.Time) bool {
	return t.err != nil && now.Before(t.again) && !now.Before(t.again.Add(-t.pause))
}

// lasts says whether it has failed for longer than a time.
func (t *trouble) lasts(now time.Time, limit time.Duration) bool {
	return t.err != nil && now.Sub(t.since) > limit
}
