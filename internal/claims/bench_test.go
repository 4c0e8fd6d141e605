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

// hostilePayload is a payload that is made to cost much.
type hostilePayload struct {
	name string
	// of makes one with so many bytes, or a few less.
	of     func(bytes int) string
	passes bool
}

// hostilePayloads fill the room that there is.
func hostilePayloads() []hostilePayload {
	fill := func(piece string, bytes int) string {
		return strings.TrimSuffix(strings.Repeat(piece, bytes/len(piece)), ",")
	}
	inside := func(before, piece, after string, passes bool, name string) hostilePayload {
		return hostilePayload{name, func(bytes int) string { return before + fill(piece, bytes-20) + after }, passes}
	}
	names := func(bytes int) string {
		var b strings.Builder
		for i := 0; b.Len() < bytes-20; i++ {
			fmt.Fprintf(&b, `"%d":0,`, i)
		}
		return "{" + strings.TrimSuffix(b.String(), ",") + "}"
	}
	return []hostilePayload{
		inside(`{"x":"`, "a", `"}`, true, "one string"),
		inside(`{"x":"`, `\u0041`, `"}`, true, "escapes"),
		inside(`{"x":[`, "0,", `]}`, true, "a list of numbers"),
		inside(`{"x":[`, strings.Repeat("[", 14)+strings.Repeat("]", 14)+",", `]}`, true, "lists, 14 deep"),
		inside(`{"x":`, "[", "", false, "lists without end"),
		{"names", names, true},
	}
}

// room is how long a payload may be, before base64.
const room = maxPayload*3/4 - 100

// BenchmarkHostile is what the largest tokens cost that the program reads, and those that it stops reading.
func BenchmarkHostile(b *testing.B) {
	for _, h := range hostilePayloads() {
		b.Run(h.name, func(b *testing.B) { decides(b, Rules{}, h.of(room), h.passes) })
	}
}

// The largest tokens are decided within a bound that a machine with other things to do keeps too: they take some 30 ms
// in this Lua, and with work that grows by the square of the length it would be many seconds.
func TestHostileTokensAreDecidedInTime(t *testing.T) {
	const tries, most = 3, 2 * time.Second
	for _, h := range hostilePayloads() {
		t.Run(h.name, func(t *testing.T) {
			function, request := compile(t, Rules{}), Request{Token: token(h.of(room))}
			fastest := time.Hour
			for range tries {
				start := time.Now()
				if d, _ := runLua(t, function, Rules{}, request, nil); d.Passes() != h.passes {
					t.Fatalf("%+v", d)
				}
				fastest = min(fastest, time.Since(start))
			}
			if fastest > most {
				t.Errorf("%d bytes take %s", room, fastest)
			}
		})
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
