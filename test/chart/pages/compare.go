package pages

import (
	"regexp"
	"strings"
)

// varying is what differs from one time to the next, and what stands for it.
var varying = []struct {
	match *regexp.Regexp
	as    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`"request_id":\s*"[0-9a-f]{32}"`), "<request>"},
	{regexp.MustCompile(`http://(127\.0\.0\.1|kong-admin\.kong\.svc):\d+`), "<address>"},
	{regexp.MustCompile(`\b\d+\.\d+s\b`), "<age>"},
	{regexp.MustCompile(`\b\d+(d|h|m|s)(\d+(h|m|s))?\b`), "<age>"},
	{regexp.MustCompile(`\b\d+ (minute|second)s?( \d+ seconds?)?\b`), "<age>"},
	{regexp.MustCompile(`"exp":\d+`), `"exp":<time>`},
	{regexp.MustCompile(`\b\d+ requests`), "<count> requests"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// plain takes out of a text what varies, and gives its lines.
func plain(text string) []string {
	for _, v := range varying {
		text = v.match.ReplaceAllString(text, v.as)
	}
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// missing gives the first line that a page shows and that was not shown, in this order; found where there is one.
// What else was shown does not matter.
func missing(page, shown string) (line string, found bool) {
	rest := plain(shown)
	for _, expected := range plain(page) {
		for len(rest) > 0 && rest[0] != expected {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return expected, true
		}
		rest = rest[1:]
	}
	return "", false
}

// missingOf is missing where the order does not matter.
func missingOf(page, shown string) (line string, found bool) {
	left := map[string]int{}
	for _, line := range plain(shown) {
		left[line]++
	}
	for _, expected := range plain(page) {
		if left[expected]--; left[expected] < 0 {
			return expected, true
		}
	}
	return "", false
}
