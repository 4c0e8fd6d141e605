package desired

import (
	"runtime"
	"strings"
	"testing"
)

// What a parser allocates for the worst of what it takes: the operator's memory, of which a tenant could else have
// any part.
func TestParsingIsBounded(t *testing.T) {
	const most = 64 << 20 // bytes allocated, most of them garbage at once
	fill := func(before, element, after string) string {
		return before + strings.Repeat(element, (MaxSourceBytes-len(before)-len(after))/len(element)) + after
	}
	for what, c := range map[string]struct {
		content string
		taken   bool
	}{
		"a text":                 {fill(`{"x":"`, "y", `"}`), true},
		"empty objects":          {fill(`{"x":[`, "{},", `{}]}`), true},
		"numbers":                {fill(`{"x":[`, "0,", `0]}`), true},
		"YAML":                   {fill("x:\n", "- {a: b}\n", ""), true},
		"more than is read":      {fill(`{"x":"`, "y", `"}`) + " ", false},
		"no object":              {"[1]", false},
		"nothing":                {"", false},
		"nested":                 {`{"x":` + strings.Repeat("[", 60000) + strings.Repeat("]", 60000) + `}`, false},
		"aliases that multiply":  {aliases(7), false},
		"aliases that are a few": {aliases(2), true},
	} {
		t.Run(what, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			object := parseConfig([]byte(c.content))
			runtime.ReadMemStats(&after)
			if (object != nil) != c.taken {
				t.Errorf("taken: %v, want %v", object != nil, c.taken)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
				t.Errorf("%d bytes allocated for %d, want at most %d", allocated, len(c.content), most)
			}
		})
	}
}

// aliases is YAML of nine times nine times nine values, in a few lines.
func aliases(levels int) string {
	text := "a0: &a0 x\n"
	for i := range levels {
		name, of := string(rune('b'+i)), "*a0"
		if i > 0 {
			of = "*" + string(rune('a'+i))
		}
		text += name + ": &" + name + " [" + strings.Repeat(of+",", 8) + of + "]\n"
	}
	return text
}
