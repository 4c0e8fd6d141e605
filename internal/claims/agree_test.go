package claims

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/postfunction"
)

var now = time.Unix(1_800_000_000, 0)

func token(payload string) string {
	return "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

// runs a program, and gives the decision in Go's form.
func runLua(t interface{ Fatal(...any) }, function *postfunction.Function, rules Rules, request Request, sent http.Header,
) (Decision, http.Header) {
	upstream := sent.Clone()
	if upstream == nil {
		upstream = http.Header{}
	}
	answer, err := function.Run(&postfunction.Request{
		Token: request.Token, Method: request.Method, HasCredential: request.HasCredential,
		Upstream: upstream, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer != nil {
		return Decision{
			Status: answer.Status, Message: answer.Body["message"], Challenge: answer.Header.Get("WWW-Authenticate"),
		}, upstream
	}
	set := map[string]string{}
	for _, header := range rules.Headers {
		if values := upstream.Values(header.Name); len(values) == 1 {
			set[header.Name] = values[0]
		}
	}
	return Decision{Set: set}, upstream
}

func compile(t interface{ Fatal(...any) }, rules Rules) *postfunction.Function {
	function, err := postfunction.Compile(rules.Program())
	if err != nil {
		t.Fatal(err)
	}
	return function
}

// agree holds the program and the function to each other.
func agree(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, function *postfunction.Function, rules Rules, request Request,
) Decision {
	want := rules.Decide(request, now)
	got, _ := runLua(t, function, rules, request, nil)
	set := want.Set
	if set == nil {
		set = map[string]string{}
	}
	if got.Set == nil {
		got.Set = map[string]string{}
	}
	got.Checks, want.Set = want.Checks, set // the program does not list what it checks
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, payload %q:\nLua %+v\nGo  %+v", request, payloadOf(request.Token), got, want)
	}
	return want
}

func payloadOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) < 2 {
		return ""
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(text)
}

func path(text string) Path {
	p, err := ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}

// everything has a rule of each kind.
var everything = Rules{
	Issuers: []string{"https://login/", "b"}, Audiences: []string{"orders", "b"},
	ChecksIssueTime: true, Skew: 30 * time.Second,
	Required: []Required{
		{Claim: path("scope"), Contains: "read"},
		{Claim: path("o.p"), Equals: true},
		{Claim: path("n"), Equals: json.Number("5")},
		{Claim: path("s"), Equals: "x"},
		{Claim: path("azp"), OneOf: []string{"web", "app"}},
	},
	Headers: []Header{
		{Claim: path("sub"), Name: "X-Token-Subject"}, {Claim: path("o"), Name: "X-Token-O"},
		{Claim: path("aud"), Name: "X-Token-Aud"},
	},
	Explains: true,
}

const good = `{"iss":"b","aud":"orders","iat":1800000000,"scope":"write read","o":{"p":true},"n":5,"s":"x",` +
	`"azp":"app","sub":"me"}`

func TestDecisions(t *testing.T) {
	function := compile(t, everything)
	with := func(name, value string) string {
		var claims map[string]json.RawMessage
		_ = json.Unmarshal([]byte(good), &claims)
		if value == "" {
			delete(claims, name)
		} else {
			claims[name] = json.RawMessage(value)
		}
		var parts []string
		for name, value := range claims {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for _, c := range []struct {
		name, payload string
		problem       Problem
	}{
		{"all is right", good, ""},
		{"no issuer", with("iss", ""), WrongIssuer},
		{"another issuer", with("iss", `"https://login"`), WrongIssuer},
		{"a list of issuers", with("iss", `["b"]`), WrongIssuer},
		{"issuer in capitals", with("iss", `"B"`), WrongIssuer},
		{"no audience", with("aud", ""), WrongAudience},
		{"audience null", with("aud", "null"), WrongAudience},
		{"another audience", with("aud", `"order"`), WrongAudience},
		{"one of a list", with("aud", `["x","b"]`), ""},
		{"none of a list", with("aud", `["x"]`), WrongAudience},
		{"an empty list", with("aud", `[]`), WrongAudience},
		{"a number in the list", with("aud", `["b",5]`), WrongAudience},
		{"an object", with("aud", `{"b":true}`), WrongAudience},
		{"words are no list", with("aud", `"orders b"`), WrongAudience},
		{"just in the future", with("iat", "1800000030"), ""},
		{"a part of a second", with("iat", "1800000029.9"), ""},
		{"in the future", with("iat", "1800000031"), IssuedInFuture},
		{"far in the future", with("iat", strings.Repeat("9", 400)), IssuedInFuture},
		{"time as text", with("iat", `"1800000000"`), IssuedInFuture},
		{"time with an exponent", with("iat", "18e8"), IssuedInFuture},
		{"time with a fraction and an exponent", with("iat", "1.8e9"), IssuedInFuture},
		{"a time before all", with("iat", "-1e999"), IssuedInFuture},
		{"a time before 1970", with("iat", "-5"), IssuedInFuture},
		{"no time", with("iat", ""), IssuedInFuture},
		{"no scope", with("scope", ""), Insufficient},
		{"part of a word", with("scope", `"reading"`), Insufficient},
		{"the first word", with("scope", `"read write"`), ""},
		{"a list of scopes", with("scope", `["write","read"]`), ""},
		{"words in a list", with("scope", `["write read"]`), Insufficient},
		{"a tab is no space", with("scope", `"write\tread"`), Insufficient},
		{"true as text", with("o", `{"p":"true"}`), Insufficient},
		{"false", with("o", `{"p":false}`), Insufficient},
		{"no object", with("o", `true`), Insufficient},
		{"a fraction", with("n", "5.0"), Insufficient},
		{"an exponent", with("n", "5e0"), Insufficient},
		{"a digit as text", with("n", `"5"`), Insufficient},
		{"another number", with("n", "50"), Insufficient},
		{"text in capitals", with("s", `"X"`), Insufficient},
		{"text written otherwise", with("s", `"\u0078"`), ""},
		{"none of in", with("azp", `"other"`), Insufficient},
		{"a list for in", with("azp", `["web"]`), Insufficient},
		{"a line break in a header", with("sub", `"a\r\nX-Token-O: b"`), NoHeader},
		{"NUL in a header", with("sub", `"a\u0000"`), NoHeader},
		{"a control character in a header", with("sub", `"a\u001f"`), NoHeader},
		{"DEL in a header", with("sub", `"a\u007f"`), NoHeader},
		{"a tab behind", with("sub", `"admin\t"`), NoHeader},
		{"a space before", with("sub", `" admin"`), NoHeader},
		{"a space behind", with("sub", `"admin "`), NoHeader},
		{"a comma in an element", with("aud", `["b","a,admin"]`), NoHeader},
		{"an empty element", with("aud", `["b",""]`), NoHeader},
		{"no subject", with("sub", ""), ""},
		{"subject null", with("sub", "null"), ""},
		{"an empty subject", with("sub", `""`), ""},
		{"false for a subject", with("sub", "false"), ""},
		{"a number for a subject", with("sub", "12345678901234567890.5e3"), ""},
		{"not ASCII", with("sub", `"Zo\u00eb 😀"`), ""},
		{"a name twice", `{"iss":"x","iss":"b"` + good[len(`{"iss":"b"`):], Unreadable},
		{"a name twice, once escaped", `{"\u0069ss":"x",` + good[1:], Unreadable},
		{"a name twice below", with("o", `{"p":false,"p":true}`), Unreadable},
		{"a lone surrogate", with("x", `"\ud800"`), Unreadable},
		{"surrogates the wrong way round", with("x", `"\udc00\ud800"`), Unreadable},
		{"no UTF-8", with("x", "\"\xff\""), Unreadable},
		{"an overlong form", with("x", "\"\xc0\xaf\""), Unreadable},
		{"a surrogate in UTF-8", with("x", "\"\xed\xa0\x80\""), Unreadable},
		{"a comment", good + "//", Unreadable},
		{"white space between and behind", strings.ReplaceAll(good, ",", "\t,\r\n ") + " \t\r\n", ""},
		{"a vertical tab", strings.Replace(good, ",", ",\v", 1), Unreadable},
		{"a second value", good + "{}", Unreadable},
		{"a comma too many", good[:len(good)-1] + ",}", Unreadable},
		{"a byte order mark", "\ufeff" + good, Unreadable},
		{"NaN", with("x", "NaN"), Unreadable},
		{"hexadecimal", with("x", "0x10"), Unreadable},
		{"a zero before", with("x", "01"), Unreadable},
		{"a line break in a string", with("x", "\"\n\""), Unreadable},
		{"a list", "[" + good + "]", Unreadable},
		{"a string", `"` + good + `"`, Unreadable},
		{"nothing", "", Unreadable},
		{"16 deep", with("x", strings.Repeat("[", 15)+strings.Repeat("]", 15)), ""},
		{"17 deep", with("x", strings.Repeat("[", 16)+strings.Repeat("]", 16)), Unreadable},
		{"very deep", with("x", strings.Repeat("[", 9000)+strings.Repeat("]", 9000)), Unreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := agree(t, function, everything, Request{Token: token(c.payload)}); d.Problem() != c.problem {
				t.Errorf("problem %q, want %q", d.Problem(), c.problem)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	function := compile(t, everything)
	valid := token(good)
	for name, c := range map[string]struct {
		token   string
		problem Problem
	}{
		"two parts":       {strings.TrimSuffix(valid, ".c2ln"), Unreadable},
		"four parts":      {valid + ".x", Unreadable},
		"padding":         {strings.Replace(valid, ".c2ln", "=.c2ln", 1), Unreadable},
		"standard base64": {"e30." + base64.RawStdEncoding.EncodeToString([]byte(`{"x":"???>>>~~~"}`)) + ".x", Unreadable},
		"base64url":       {token(good[:len(good)-1] + `,"x":"???>>>~~~"}`), ""},
		"a line break":    {strings.Replace(valid, ".c2ln", "\n.c2ln", 1), Unreadable},
		"too long":        {token(`{"x":"` + strings.Repeat("a", maxPayload) + `"}`), Unreadable},
		"long":            {token(good[:len(good)-1] + `,"x":"` + strings.Repeat("a", 48000) + `"}`), ""},
		"no signature":    {strings.TrimSuffix(valid, "c2ln"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "base64url" && (!strings.Contains(c.token, "-") || !strings.Contains(c.token, "_")) {
				t.Fatalf("%s has neither - nor _", c.token)
			}
			if d := agree(t, function, everything, Request{Token: c.token}); d.Problem() != c.problem {
				t.Errorf("problem %q, want %q", d.Problem(), c.problem)
			}
		})
	}
}

// What has no token passes where the rules say so, and never what another plugin has authenticated.
func TestRequestsWithoutToken(t *testing.T) {
	for _, c := range []struct {
		name    string
		rules   Rules
		request Request
		passes  bool
	}{
		{"refused", Rules{}, Request{Method: "GET"}, false},
		{"anonymous", Rules{Anonymous: true}, Request{Method: "GET"}, true},
		{"authenticated otherwise", Rules{Anonymous: true}, Request{Method: "GET", HasCredential: true}, false},
		{"preflight", Rules{Preflight: true}, Request{Method: "OPTIONS"}, true},
		{"preflight needs a token", Rules{}, Request{Method: "OPTIONS"}, false},
		{"no preflight", Rules{Preflight: true}, Request{Method: "GET"}, false},
		{"an anonymous token is checked", Rules{Anonymous: true, Issuers: []string{"b"}}, Request{Token: token(`{}`)}, false},
		{"so is that of a preflight", Rules{Preflight: true, Issuers: []string{"b"}}, Request{Method: "OPTIONS", Token: token(`{}`)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, realm := range []string{"", "shop"} {
				c.rules.Realm = realm
				if d := agree(t, compile(t, c.rules), c.rules, c.request); d.Passes() != c.passes {
					t.Errorf("passes: %t", d.Passes())
				}
			}
		})
	}
}

// What a client sends under a header of the rules, however it is spelled, never gets to the upstream.
func TestClientHeadersAreRemoved(t *testing.T) {
	rules := Rules{Headers: []Header{{Claim: path("sub"), Name: "X-Token-Subject"}}, Anonymous: true}
	function := compile(t, rules)
	for name, request := range map[string]Request{
		"with the claim": {Token: token(`{"sub":"me"}`)}, "without the claim": {Token: token(`{}`)}, "without a token": {},
	} {
		sent := http.Header{"X-Token-Subject": {"a", "b"}, "X_token_subject": {"c"}, "x-Token_SUBJECT": {"d"}, "X-Token": {"stays"}}
		d, upstream := runLua(t, function, rules, request, sent)
		want := http.Header{"X-Token": {"stays"}}
		if name == "with the claim" {
			want.Set("X-Token-Subject", "me")
		}
		if !d.Passes() || !reflect.DeepEqual(upstream, want) {
			t.Errorf("%s: %v, upstream gets %v", name, d, upstream)
		}
	}
	// Kong removes what Connection names, after all plugins: this header too.
	for connection, passes := range map[string]bool{
		"X-Token-Subject": false, "keep-alive, x_token_SUBJECT": false, "close,\tX-Token-Subject ,": false,
		"keep-alive": true, "Upgrade, X-Token": true,
	} {
		for name, request := range map[string]Request{"a token": {Token: token(`{"sub":"me"}`)}, "none": {}} {
			d, _ := runLua(t, function, rules, request, http.Header{"Connection": {connection}})
			if d.Passes() != passes {
				t.Errorf("Connection: %s, %s: %+v", connection, name, d)
			}
		}
	}
	if d, _ := runLua(t, function, rules, Request{}, http.Header{"Connection": {"close", "X-Token-Subject"}}); d.Passes() {
		t.Errorf("the second Connection is not looked at: %+v", d)
	}
	many := http.Header{}
	for i := range 1001 {
		many.Set(fmt.Sprint("A", i), "b")
	}
	if d, _ := runLua(t, function, rules, Request{Token: token(`{}`)}, many); d.Status != http.StatusUnauthorized {
		t.Errorf("more headers than can be seen: %+v", d)
	}
}

var pieces = []string{
	"{", "}", "[", "]", ",", ":", " ", "\n", `"`, `"a"`, `"sub"`, `"o"`, `"p"`, "true", "false", "null", "0", "-0", "5", "1e5", "0.5", "-", ".",
	`\u00e9`, `\ud83d\ude00`, `\ud800`, `\n`, `\"`, `\\`, "é", "\xff", "\x00", "\x7f", "x",
}

// luaString is a literal that nothing inside ends: plain characters, and bytes as three digits.
var luaString = regexp.MustCompile(`^"([ !#-\[\]-~]|\\[0-9]{3})*"$`)

// Nothing that a tenant writes ends its literal: the same program runs, and a token that says exactly what was written
// passes.
func TestDataIsNeverCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hostile := rapid.OneOf(
			rapid.SampledFrom([]string{`"`, `]]`, "\n", "\x00", `\`, `" .. os.exit() .. "`, "--", "\xff", `"}`, "]=]", "\r"}),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) string { return string(b) }),
		)
		text := hostile.Draw(t, "text")
		if literal := quote(text); !luaString.MatchString(literal) {
			t.Fatalf("%q", literal)
		}
		rules := Rules{
			Issuers: []string{text}, Audiences: []string{text}, Realm: text,
			Required: []Required{{Claim: Path{Text: text, Names: []string{text}}, Equals: text}},
		}
		function := compile(t, rules)
		if !utf8.ValidString(text) {
			agree(t, function, rules, Request{Token: token(`{}`)})
			return
		}
		claims, _ := json.Marshal(map[string]any{text: text, "iss": text, "aud": text})
		if text != "iss" && text != "aud" {
			if d := agree(t, function, rules, Request{Token: token(string(claims))}); !d.Passes() {
				t.Fatalf("%q: %+v", text, d)
			}
		}
	})
}
