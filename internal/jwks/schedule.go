package jwks

import "time"

const (
	// minRefresh is the least between two looks at a set, however it is asked for.
	minRefresh = 5 * time.Second
	// MaxRefresh is the most between two looks, whatever Cache-Control asks for.
	MaxRefresh = 24 * time.Hour
	// firstRetry after a failure; it doubles from there up to the refresh interval.
	firstRetry = 30 * time.Second
	// maxRetryAfter bounds what an issuer may ask for.
	maxRetryAfter = time.Hour
	// maxTimedOut is the longest pause after looks that timed out: each takes a slot for as long as may be.
	maxTimedOut = 30 * time.Minute
)

// Outcome of the last look at a set, as far as the next one depends on it.
type Outcome struct {
	// Time of the look.
	Time time.Time
	// MaxAge that the issuer asked for.
	MaxAge time.Duration
	// Failures in a row, zero after a success.
	Failures int
	// RetryAfter that the issuer asked for when it failed.
	RetryAfter time.Duration
	// TimedOut says that the look took all the time that it had.
	TimedOut bool
}

// NextLook says when a set is looked at again. After a success: an interval later, or when the issuer's max-age has
// passed if that is later, and after MaxRefresh at the latest. After failures: in growing pauses from 30 seconds to
// the interval, or as the issuer asks, an hour at most. After time-outs the pauses grow to half an hour.
func NextLook(last Outcome, interval time.Duration) time.Time {
	if last.Failures == 0 {
		return last.Time.Add(lifetime(last.MaxAge, interval))
	}
	longest := interval
	if last.TimedOut {
		longest = max(interval, maxTimedOut)
	}
	pause := firstRetry
	for i := 1; i < last.Failures && pause < longest; i++ {
		pause *= 2
	}
	return last.Time.Add(max(min(pause, longest), min(last.RetryAfter, maxRetryAfter), minRefresh))
}

// lifetime is how long a set counts, from when it was read.
func lifetime(maxAge, interval time.Duration) time.Duration {
	return min(max(interval, maxAge, minRefresh), MaxRefresh)
}
