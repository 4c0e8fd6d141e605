package explain

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// lastYear is the last second that has a date of four digits.
const lastYear = 253402300799

// moment puts a NumericDate (RFC 7519 section 2) in words; empty where there is none.
func (in Input) moment(name string, value any) string {
	if value == nil {
		return ""
	}
	number, isNumber := value.(json.Number)
	if !isNumber {
		return fmt.Sprintf("%s is %s, no number", name, text(value))
	}
	n, err := number.Float64()
	if err != nil || n < 0 || n > lastYear {
		return fmt.Sprintf("%s is %s, no date", name, number)
	}
	at := time.Unix(int64(n), 0).UTC()
	distance := at.Sub(in.Now.Truncate(time.Second))
	verbs := map[string][2]string{"exp": {"expired", "expires"}, "nbf": {"valid since", "not valid before"}}[name]
	words := "in " + span(distance)
	verb := verbs[1]
	if distance <= 0 {
		verb, words = verbs[0], span(-distance)+" ago"
	}
	if distance == 0 {
		words = "this second"
	}
	return fmt.Sprintf("%s: %s %s (%s)", name, verb, words, at.Format(time.RFC3339))
}

func seconds(n float64) time.Duration {
	if n > math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n * float64(time.Second))
}

// span puts a duration in words with its two largest units: "3 minutes", "1 day 2 hours".
func span(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{{"year", 365 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}
	for i, unit := range units {
		n := d / unit.size
		if n == 0 {
			continue
		}
		parts := []string{plural(int64(n), unit.name)}
		if i+1 < len(units) {
			if rest := (d % unit.size) / units[i+1].size; rest > 0 {
				parts = append(parts, plural(int64(rest), units[i+1].name))
			}
		}
		return strings.Join(parts, " ")
	}
	return "less than a second"
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
