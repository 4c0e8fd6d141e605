package jwks

import (
	"net/http"
	"testing"
	"time"
)

func TestMaxAge(t *testing.T) {
	for name, c := range map[string]struct {
		control, age string
		want         time.Duration
	}{
		"nothing":           {"", "", 0},
		"some":              {"public, max-age=600", "", 10 * time.Minute},
		"in capitals":       {"Max-Age=600", "", 10 * time.Minute},
		"quoted":            {`max-age="600"`, "", 10 * time.Minute},
		"less its age":      {"max-age=600", "540", time.Minute},
		"older than it may": {"max-age=600", "700", 0},
		"no-store":          {"no-store, max-age=600", "", 0},
		"no-cache":          {"max-age=600, no-cache", "", 0},
		"negative":          {"max-age=-5", "", 0},
		"no number":         {"max-age=soon", "", 0},
		"absurd":            {"max-age=9223372036854775807", "", maxSeconds * time.Second},
		"beyond 64 bits":    {"max-age=99999999999999999999", "", 0},
	} {
		header := http.Header{}
		header.Set("Cache-Control", c.control)
		header.Set("Age", c.age)
		if got := maxAge(header); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		value, date string
		want        time.Duration
	}{
		"nothing":            {"", "", 0},
		"seconds":            {"90", "", 90 * time.Second},
		"a date":             {"Mon, 23 Nov 2026 10:01:00 GMT", "Mon, 23 Nov 2026 10:00:00 GMT", time.Minute},
		"a date in the past": {"Mon, 23 Nov 2026 09:00:00 GMT", "Mon, 23 Nov 2026 10:00:00 GMT", 0},
		"a date, no clock":   {"Mon, 23 Nov 2026 10:01:00 GMT", "", 0},
		"negative":           {"-1", "", 0},
	} {
		header := http.Header{}
		header.Set("Retry-After", c.value)
		header.Set("Date", c.date)
		if got := retryAfter(header); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestNextLook(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		last     Outcome
		interval time.Duration
		want     time.Duration
	}{
		"an interval later":            {Outcome{}, 10 * time.Minute, 10 * time.Minute},
		"longer, as the issuer asks":   {Outcome{MaxAge: time.Hour}, 10 * time.Minute, time.Hour},
		"never shorter":                {Outcome{MaxAge: time.Second}, 10 * time.Minute, 10 * time.Minute},
		"a day at the latest":          {Outcome{MaxAge: 1000 * time.Hour}, 10 * time.Minute, 24 * time.Hour},
		"no interval":                  {Outcome{}, 0, 5 * time.Second},
		"the first failure":            {Outcome{Failures: 1}, 10 * time.Minute, 30 * time.Second},
		"the third failure":            {Outcome{Failures: 3}, 10 * time.Minute, 2 * time.Minute},
		"the hundredth":                {Outcome{Failures: 100}, 10 * time.Minute, 10 * time.Minute},
		"a failure, a short interval":  {Outcome{Failures: 1}, 15 * time.Second, 15 * time.Second},
		"left alone as it asks":        {Outcome{Failures: 1, RetryAfter: 20 * time.Minute}, 10 * time.Minute, 20 * time.Minute},
		"left alone for an hour most":  {Outcome{Failures: 1, RetryAfter: 20 * time.Hour}, 10 * time.Minute, time.Hour},
		"time-outs, longer":            {Outcome{Failures: 6, TimedOut: true}, 10 * time.Minute, 16 * time.Minute},
		"time-outs, half an hour most": {Outcome{Failures: 100, TimedOut: true}, 10 * time.Minute, 30 * time.Minute},
		"time-outs, a long interval":   {Outcome{Failures: 100, TimedOut: true}, time.Hour, time.Hour},
		"asks for less than the pause": {Outcome{Failures: 2, RetryAfter: time.Second}, 10 * time.Minute, time.Minute},
	} {
		c.last.Time = at
		if got := NextLook(c.last, c.interval).Sub(at); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
