package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func equals(raw string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(raw)} }

func TestRulesOfASpec(t *testing.T) {
	got, err := Of(v1alpha1.ClaimChecks{
		Issuers: []string{"https://login/"}, Audiences: []string{"orders"}, NotIssuedInFuture: true, ClockSkew: "5s", ExplainToClient: true,
		AllowAnonymous: true,
		Required: []v1alpha1.RequiredClaim{
			{Claim: "scope", Contains: "read"}, {Claim: "a.b", In: []string{"x", "y"}}, {Claim: "n", Equals: equals("-12")},
			{Claim: "t", Equals: equals(`"x"`)}, {Claim: "f", Equals: equals("false")},
			{Claim: "long", Equals: equals(`"` + strings.Repeat("x", maxText) + `"`)},
		},
		Headers: []v1alpha1.ClaimHeader{{Claim: "sub", Header: "X-Token-Subject"}},
	}, v1alpha1.JWTPlugin{Realm: "shop", RunOnPreflight: new(false)})
	if err != nil {
		t.Fatal(err)
	}
	want := Rules{
		Issuers: []string{"https://login/"}, Audiences: []string{"orders"}, ChecksIssueTime: true, Skew: 5 * time.Second, Explains: true,
		Anonymous: true, Realm: "shop", Preflight: true,
		Required: []Required{
			{Claim: path("scope"), Contains: "read"}, {Claim: path("a.b"), OneOf: []string{"x", "y"}}, {Claim: path("n"), Equals: json.Number("-12")},
			{Claim: path("t"), Equals: "x"}, {Claim: path("f"), Equals: false}, {Claim: path("long"), Equals: strings.Repeat("x", maxText)},
		},
		Headers: []Header{{Claim: path("sub"), Name: "X-Token-Subject"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, preflight := range []*bool{nil, new(true)} { // the jwt plugin asks OPTIONS for a token then
		if got, err := Of(v1alpha1.ClaimChecks{}, v1alpha1.JWTPlugin{RunOnPreflight: preflight}); err != nil || got.Preflight || got.Skew != defaultSkew {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	required := func(one v1alpha1.RequiredClaim) v1alpha1.ClaimChecks {
		return v1alpha1.ClaimChecks{Required: []v1alpha1.RequiredClaim{{Claim: "a", Contains: "b"}, one}}
	}
	none := "it does not say what the claim has to be"
	for what, c := range map[string]struct {
		spec         v1alpha1.ClaimChecks
		field, wrong string
	}{
		"no comparison":        {required(v1alpha1.RequiredClaim{Claim: "a"}), "required[1]", none},
		"an empty comparison":  {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals("")}), "required[1]", none},
		"an empty list":        {required(v1alpha1.RequiredClaim{Claim: "a", In: []string{}}), "required[1]", none},
		"two comparisons":      {required(v1alpha1.RequiredClaim{Claim: "a", Contains: "x", In: []string{"y"}}), "required[1]", none},
		"a path":               {required(v1alpha1.RequiredClaim{Claim: "a..b", Contains: "x"}), "required[1].claim", "is no path"},
		"a header's path":      {v1alpha1.ClaimChecks{Headers: []v1alpha1.ClaimHeader{{Claim: "", Header: "X"}}}, "headers[0].claim", "is no path"},
		"a fraction":           {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals("1.5")}), "required[1].equals", "no whole number"},
		"over 64 bits":         {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals("12345678901234567890")}), "required[1].equals", "64 bits"},
		"a list":               {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals("[1]")}), "required[1].equals", "no whole number"},
		"null":                 {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals("null")}), "required[1].equals", "no whole number"},
		"no JSON":              {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals("{")}), "required[1].equals", "no whole number"},
		"half a surrogate":     {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals(`"\ud800"`)}), "required[1].equals", "no whole number"},
		"a text over the size": {required(v1alpha1.RequiredClaim{Claim: "a", Equals: equals(`"` + strings.Repeat("x", maxText+1) + `"`)}), "required[1].equals", "longer than 1024 bytes"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := Of(c.spec, v1alpha1.JWTPlugin{})
			wrong, isField := errors.AsType[*FieldError](err)
			if !isField || wrong.Field != c.field || !strings.Contains(wrong.Wrong, c.wrong) || wrong.Todo == "" {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	deepest := strings.TrimSuffix(strings.Repeat("a.", maxSteps), ".")
	for text, want := range map[string][]string{
		"sub": {"sub"}, "a.b": {"a", "b"}, `["https://x.example/roles"]`: {"https://x.example/roles"}, `a["b.c"].d`: {"a", "b.c", "d"}, `["a"]["b"]`: {"a", "b"},
		deepest: strings.Split(deepest, "."), // as deep as it may be
		"":      nil, ".": nil, "a.": nil, ".a": nil, "a..b": nil, `a.["b"]`: nil, `["a"]b`: nil, "a]": nil, `[""]`: nil, "a\n": nil, deepest + ".a": nil,
	} {
		got, err := ParsePath(text)
		if (err == nil) != (want != nil) || fmt.Sprint(got.Names) != fmt.Sprint(want) {
			t.Errorf("%q: %q, %v", text, got.Names, err)
		}
	}
}

// Every rule is listed, with what it wants in words: kubectl kongjwt explain shows them.
func TestChecksInWords(t *testing.T) {
	rules := everything
	rules.Issuers = rules.Issuers[:1]
	var got []string
	for _, check := range rules.Decide(Request{Token: token(strings.Replace(good, `"iss":"b"`, `"iss":"https://login/"`, 1))}, now).Checks {
		got = append(got, fmt.Sprintf("%s %s %s%s", check.Field, check.Claim, check.Wants, check.Problem))
	}
	want := []string{
		"spec.claims  ",
		`spec.claims.issuers iss "https://login/"`,
		"spec.claims.audiences aud one of orders, b, or a list with it",
		"spec.claims.notIssuedInFuture iat no later than 30s from now",
		`spec.claims.required[0] scope a string with the word "read", or a list with it`,
		"spec.claims.required[1] o.p true",
		"spec.claims.required[2] n 5",
		`spec.claims.required[3] s "x"`,
		"spec.claims.required[4] azp one of web, app",
		"spec.claims.headers[0] sub X-Token-Subject",
		"spec.claims.headers[1] o X-Token-O",
		"spec.claims.headers[2] aud X-Token-Aud",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Halves of surrogate pairs, at each of their borders: the program and the function read them alike.
func TestSurrogates(t *testing.T) {
	function := compile(t, Rules{})
	for text, read := range map[string]bool{
		`\ud7ff`: true, `\ue000`: true, `\ud800\udc00`: true, `\udbff\udfff`: true, `\udbff\udc00`: true, `\ud83d\ude00x`: true, `\\ud800`: true,
		`\ud800`: false, `\udbff`: false, `\udc00`: false, `\udfff`: false, `\udc00\udc00`: false, `\ud83d\u0041`: false, `\ud83d\udbff`: false,
		`\ud83d\ue000`: false, `\ud83dxude00`: false, `\ud83d\ndc00`: false, `\ud83d\\de00`: false,
	} {
		if d := agree(t, function, Rules{}, Request{Token: token(`{"x":"` + text + `"}`)}); d.Passes() != read {
			t.Errorf("%s is read: %v", text, d.Passes())
		}
	}
}

// Zero is zero, with a sign too; a payload is read that is exactly as long as it may be.
func TestClaimsAtTheirBorders(t *testing.T) {
	zero := Rules{Required: []Required{{Claim: path("n"), Equals: json.Number("0")}}}
	for payload, passes := range map[string]bool{`{"n":0}`: true, `{"n":-0}`: true, `{"n":-1}`: false, `{"n":"0"}`: false} {
		if d := agree(t, compile(t, zero), zero, Request{Token: token(payload)}); d.Passes() != passes {
			t.Errorf("%s passes: %v", payload, d.Passes())
		}
	}
	around := len(`{"x":""}`)
	for length, passes := range map[int]bool{maxPayload / 4 * 3: true, maxPayload/4*3 + 1: false} {
		payload := `{"x":"` + strings.Repeat("a", length-around) + `"}`
		if d := agree(t, compile(t, Rules{}), Rules{}, Request{Token: token(payload)}); d.Passes() != passes {
			t.Errorf("%d bytes pass: %v", length, d.Passes())
		}
	}
}

func TestProgramsCarryNoComments(t *testing.T) {
	for line := range strings.Lines(program) {
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "--") {
			t.Errorf("%q is in each service's program", line)
		}
	}
}
