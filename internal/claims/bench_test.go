package claims

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkProgram is what a request costs, by the number of rules of required: docs/performance.md has its answers.
func BenchmarkProgram(b *testing.B) {
	for _, count := range []int{0, 1, 4, 8, 16} {
		rules := Rules{Issuers: []string{"b"}, Audiences: []string{"orders"}}
		for range count {
			rules.Required = append(rules.Required, Required{Claim: path("scope"), Contains: "read"})
		}
		b.Run(fmt.Sprint("rules=", count), func(b *testing.B) { decides(b, rules, good, true) })
	}
}

// BenchmarkHostile is what the largest tokens cost that the program reads, and those that it stops reading.
func BenchmarkHostile(b *testing.B) {
	const room = maxPayload*3/4 - 100 // of the payload, before base64
	fill := func(piece string) string { return strings.TrimSuffix(strings.Repeat(piece, room/len(piece)), ",") }
	for name, c := range map[string]struct {
		payload string
		passes  bool
	}{
		"one string":        {`{"x":"` + fill("a") + `"}`, true},
		"escapes":           {`{"x":"` + fill(`\u0041`) + `"}`, true},
		"a list of numbers": {`{"x":[` + fill("0,") + `]}`, true},
		"lists, 14 deep":    {`{"x":[` + fill(strings.Repeat("[", 14)+strings.Repeat("]", 14)+",") + `]}`, true},
		"lists without end": {`{"x":` + fill("["), false},
	} {
		b.Run(name, func(b *testing.B) { decides(b, Rules{}, c.payload, c.passes) })
	}
}

func decides(b *testing.B, rules Rules, payload string, passes bool) {
	b.Helper()
	function, request := compile(b, rules), Request{Token: token(payload)}
	fastest := time.Hour
	for b.Loop() {
		start := time.Now()
		if d, _ := runLua(b, function, rules, request, nil); d.Passes() != passes {
			b.Fatalf("%+v", d)
		}
		fastest = min(fastest, time.Since(start))
	}
	// The fastest request is the same on a machine that has other things to do.
	b.ReportMetric(float64(fastest.Nanoseconds())/1000, "µs/fastest")
}
