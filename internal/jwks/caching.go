package jwks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxSeconds keeps a number of seconds within what a time.Duration holds.
const maxSeconds = 1 << 31

// maxAge reads how long an answer may be kept (RFC 9111 section 5.2.2): max-age less Age. What forbids keeping it
// gives zero.
func maxAge(header http.Header) time.Duration {
	var age time.Duration
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-cache", "no-store":
			return 0
		case "max-age":
			age = seconds(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return max(0, age-seconds(header.Get("Age")))
}

// retryAfter reads how long an issuer asks to be left alone, in seconds or as a date (RFC 9110 section 10.2.3).
func retryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if until, err := http.ParseTime(value); err == nil {
		now, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			return 0
		}
		return max(0, until.Sub(now))
	}
	return seconds(value)
}

func seconds(text string) time.Duration {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 {
		return 0
	}
	return time.Duration(min(number, maxSeconds)) * time.Second
}
