package claims

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func drawJSON(t *rapid.T) string {
	return rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12), func(parts []string) string { return strings.Join(parts, "") }),
		rapid.Custom(func(t *rapid.T) string { return drawValue(t, 0) }),
		rapid.Custom(func(t *rapid.T) string {
			text := []byte(drawValue(t, 0))
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text[at] = rapid.Byte().Draw(t, "byte")
			return string(text)
		}),
	).Draw(t, "json")
}

func drawValue(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth > 3 && kind > 3 {
		kind -= 3
	}
	switch kind {
	case 0:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 1:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
	case 2, 3:
		return drawString(t)
	case 4:
		var items []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			items = append(items, drawValue(t, depth+1))
		}
		return "[" + strings.Join(items, " ,") + "]"
	}
	var fields []string
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		name := rapid.SampledFrom([]string{`"sub"`, `"o"`, `"p"`, `"iss"`, `"aud"`, `"s\u0075b"`}).Draw(t, "name")
		fields = append(fields, name+": "+drawValue(t, depth+1))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func drawString(t *rapid.T) string {
	inner := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", " ", ",", "é", "😀", `\n`, `\u0041`, `\ud83d\ude00`, `\udc00`, `\/`, "\x7f"}), 0, 4).Draw(t, "text")
	return `"` + strings.Join(inner, "") + `"`
}

func drawRules(t *rapid.T) Rules {
	texts := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "ab", "é"}), 0, 2, rapid.ID[string])
	claim := rapid.Map(rapid.SampledFrom([]string{"sub", "o.p", "o.o.p", `["sub"]`, "aud"}), path)
	rules := Rules{
		Explains: rapid.Bool().Draw(t, "explains"), Skew: 30 * time.Second,
		ChecksIssueTime: rapid.IntRange(0, 4).Draw(t, "iat") == 0,
	}
	if rapid.IntRange(0, 2).Draw(t, "checks iss") == 0 {
		rules.Issuers = texts.Draw(t, "issuers")
	}
	if rapid.IntRange(0, 2).Draw(t, "checks aud") == 0 {
		rules.Audiences = texts.Draw(t, "audiences")
	}
	for range rapid.IntRange(0, 2).Draw(t, "required") {
		required := Required{Claim: claim.Draw(t, "claim")}
		switch rapid.IntRange(0, 2).Draw(t, "operator") {
		case 0:
			required.Contains = rapid.SampledFrom([]string{"a", "b", "a b"}).Draw(t, "contains")
		case 1:
			required.Equals = rapid.SampledFrom([]any{"a", "", true, false, json.Number("0"), json.Number("5")}).Draw(t, "equals")
		default:
			required.OneOf = []string{"a", "b"}
		}
		rules.Required = append(rules.Required, required)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "headers") {
		rules.Headers = append(rules.Headers, Header{Claim: claim.Draw(t, "claim"), Name: fmt.Sprint("X-Token-", i)})
	}
	return rules
}

// drawClaims draws the payload of a token that is nearly always readable, of claims that rules ask for.
func drawClaims(t *rapid.T) string {
	value := rapid.OneOf(rapid.SampledFrom(strings.Fields(`"a" "b" "ab" "\u00e9" "a,b" "" ["a"] ["a","b"] ["a",1,true] [] ["a",""] [["a"]]
		[null] 0 -0 5 5.0 1e400 9007199254740993 true false null {"p":"a"} {"p":true} {"p":5} {"o":{"p":"a"}} {} "\u0007" "\u007f"
		"a\u0020b" "\u0020a" "\ud83d\ude00" 1800000000 1800000030 1800000031 1800000030.5 1.8e9 -5`)), rapid.Custom(func(t *rapid.T) string {
		return drawValue(t, 1)
	}))
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"sub", "o", "aud", "iss", "iat"}), 0, 5, rapid.ID[string]).Draw(t, "names")
	fields := make([]string, 0, len(names))
	for _, name := range names {
		fields = append(fields, `"`+name+`":`+value.Draw(t, "value"))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// The program and the function decide alike, whatever the rules and the payload are. Of what is drawn some passes, and
// some is refused for each reason.
func TestLuaAndGoAgree(t *testing.T) {
	met := map[Problem]int{}
	headers := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		function := compile(t, rules)
		for range 4 {
			agree(t, function, rules, Request{Token: token(drawJSON(t))})
		}
		for range 12 {
			d := agree(t, function, rules, Request{Token: token(drawClaims(t))})
			met[d.Problem()]++
			headers += len(d.Set)
		}
	})
	for _, problem := range []Problem{"", Unreadable, WrongIssuer, WrongAudience, IssuedInFuture, Insufficient, NoHeader} {
		if met[problem] == 0 {
			t.Errorf("no token was drawn with the problem %q: %v", problem, met)
		}
	}
	if headers == 0 {
		t.Error("no header was made")
	}
}

// Every byte, and every beginning and border of a character of several bytes (RFC 3629, section 4), is read alike in a
// string, and is made the same header.
func TestBytesOfStrings(t *testing.T) {
	rules := Rules{Headers: []Header{{Claim: path("x"), Name: "X-Token-X"}}}
	function := compile(t, rules)
	try := func(text ...byte) {
		agree(t, function, rules, Request{Token: token(`{"x":"` + string(text) + `"}`)})
	}
	second := []byte{0x1f, ' ', '"', '/', '\\', 'u', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff}
	borders := []byte{0x7f, 0x80, 0xbf, 0xc0}
	for first := range 256 {
		lead := byte(first)
		try(lead)
		for _, b := range second {
			try(lead, b)
			if lead < 0xc0 {
				continue
			}
			for _, c := range borders {
				try(lead, b, c)
				if lead < 0xe0 {
					continue
				}
				for _, d := range borders {
					try(lead, b, c, d)
				}
			}
		}
	}
}

// What is read is valid by encoding/json too; and what is not read of what it calls valid has one of the faults that
// this package adds.
func TestValidityIsThatOfEncodingJSON(t *testing.T) {
	function := compile(t, Rules{})
	rapid.Check(t, func(t *rapid.T) {
		text := `{"x":` + drawJSON(t) + `}`
		d := agree(t, function, Rules{}, Request{Token: token(text)})
		if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
			if d.Passes() {
				t.Fatalf("%q is read", text)
			}
			return
		}
		var value any
		_ = json.Unmarshal([]byte(text), &value)
		written, _ := json.Marshal(value)
		replaced := strings.Contains(string(written), "\ufffd")
		if !d.Passes() && !replaced && !hasTwins(text) {
			t.Fatalf("%q is not read", text)
		}
	})
}

// hasTwins says whether an object has a name twice: it loses a field when it is read by encoding/json.
func hasTwins(text string) bool {
	var value any
	_ = json.Unmarshal([]byte(text), &value)
	written, _ := json.Marshal(value)
	return strings.Count(string(written), `":`) < strings.Count(strings.ReplaceAll(text, `": `, `":`), `":`)
}

func FuzzLuaAndGoAgree(f *testing.F) {
	function := compile(f, everything)
	f.Add(good)
	for _, piece := range pieces {
		f.Add(piece)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		agree(t, function, everything, Request{Token: token(payload)})
	})
}
