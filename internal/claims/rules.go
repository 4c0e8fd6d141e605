package claims

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Rules are what a service asks of the claims of a token.
type Rules struct {
	// Issuers and Audiences of which one has to be named. Empty: any, and none.
	Issuers, Audiences []string
	Required           []Required
	Headers            []Header
	// ChecksIssueTime refuses tokens of which iat is missing, or further in the future than Skew.
	ChecksIssueTime bool
	Skew            time.Duration
	// Explains tells the client which claim is wrong.
	Explains bool
	// Realm of the challenge, as the jwt plugin's; empty for none.
	Realm string
	// Anonymous lets requests without a token pass that the jwt plugin takes for an anonymous consumer's;
	// Preflight those of the method OPTIONS, which the jwt plugin lets pass too.
	Anonymous, Preflight bool
}

// Required is what one claim has to be. One of Contains, Equals and OneOf is set.
type Required struct {
	Claim Path
	// Contains is a word of a string, or an element of a list.
	Contains string
	// Equals is a string, a bool, or a json.Number that is whole.
	Equals any
	OneOf  []string
}

// Header is a claim that the upstream gets as a header.
type Header struct {
	Claim Path
	Name  string
}

// Path leads to a claim: a name, and the names in the objects below it.
type Path struct {
	// Text is the path as the spec has it.
	Text  string
	Names []string
}

var (
	step = regexp.MustCompile(`^(?:\["([^"\x00-\x1f\x7f]+)"\]|([^.\[\]"\x00-\x1f\x7f]+))`)
	// wholeNumber is the form of numbers that are compared: by their digits.
	wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
)

// maxSteps is as deep as a path goes.
const maxSteps = 8

// ParsePath reads a path such as realm_access.roles or ["https://example.com/roles"].
func ParsePath(text string) (Path, error) {
	path := Path{Text: text}
	rest := text
	for {
		found := step.FindStringSubmatch(rest)
		if found == nil {
			return Path{}, fmt.Errorf("%q is no path to a claim", text)
		}
		path.Names = append(path.Names, found[1]+found[2])
		rest = rest[len(found[0]):]
		switch {
		case len(path.Names) > maxSteps:
			return Path{}, fmt.Errorf("%q is over %d names deep", text, maxSteps)
		case rest == "":
			return path, nil
		case strings.HasPrefix(rest, "["):
		default:
			if rest[0] != '.' || strings.HasPrefix(rest, ".[") {
				return Path{}, fmt.Errorf("%q is no path to a claim", text)
			}
			rest = rest[1:]
		}
	}
}

// defaultSkew is how far clocks may differ where the spec does not say.
const defaultSkew = 30 * time.Second

// Of gives the rules of a spec, beside the jwt plugin's configuration. The error names the field below spec.claims.
func Of(spec v1alpha1.ClaimChecks, jwt v1alpha1.JWTPlugin) (Rules, error) {
	rules := Rules{
		Issuers: spec.Issuers, Audiences: spec.Audiences,
		ChecksIssueTime: spec.NotIssuedInFuture, Skew: spec.ClockSkew.Or(defaultSkew),
		Explains: spec.ExplainToClient, Realm: jwt.Realm, Anonymous: spec.AllowAnonymous,
		Preflight: jwt.RunOnPreflight != nil && !*jwt.RunOnPreflight,
	}
	for i, required := range spec.Required {
		one, err := requiredOf(required)
		if err != nil {
			err.Field = fmt.Sprintf("required[%d]", i) + err.Field
			return Rules{}, err
		}
		rules.Required = append(rules.Required, one)
	}
	for i, header := range spec.Headers {
		path, err := ParsePath(header.Claim)
		if err != nil {
			return Rules{}, noPath(fmt.Sprintf("headers[%d].claim", i), err)
		}
		rules.Headers = append(rules.Headers, Header{Claim: path, Name: header.Header})
	}
	return rules, nil
}

// FieldError is about a field below spec.claims.
type FieldError struct {
	// Field is required[0].equals and its like. Wrong is what is wrong with it, Todo what to do: a sentence.
	Field, Wrong, Todo string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Wrong }

func noPath(field string, err error) *FieldError {
	const todo = `Write it like realm_access.roles or ["https://example.com/roles"]`
	return &FieldError{Field: field, Wrong: err.Error(), Todo: todo}
}

func requiredOf(spec v1alpha1.RequiredClaim) (Required, *FieldError) {
	path, err := ParsePath(spec.Claim)
	if err != nil {
		return Required{}, noPath(".claim", err)
	}
	required := Required{Claim: path, Contains: spec.Contains, OneOf: spec.In}
	if spec.Equals != nil && len(spec.Equals.Raw) > 0 {
		var wrong *FieldError
		if required.Equals, wrong = comparand(spec.Equals.Raw); wrong != nil {
			return Required{}, wrong
		}
	}
	set := 0
	for _, is := range []bool{required.Contains != "", required.Equals != nil, len(required.OneOf) > 0} {
		if is {
			set++
		}
	}
	if set != 1 {
		const todo = "Set exactly one of contains, equals and in"
		return Required{}, &FieldError{Wrong: "it does not say what the claim has to be", Todo: todo}
	}
	return required, nil
}

// maxText is as long as a string may be that a claim is compared with.
const maxText = 1024

func comparand(raw []byte) (any, *FieldError) {
	wrong := &FieldError{
		Field: ".equals", Wrong: "it is no string, no whole number and neither true nor false",
		Todo: "Write one of them; a number has no fraction and no exponent",
	}
	value, err := parse(raw)
	if err != nil {
		return nil, wrong
	}
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		if len(v) <= maxText {
			return v, nil
		}
		wrong.Wrong, wrong.Todo = fmt.Sprintf("it is longer than %d bytes", maxText), "Compare with a shorter one"
		return nil, wrong
	case json.Number:
		// The API server keeps numbers of 64 bits. A longer one it changes to another before it is stored.
		if _, err := v.Int64(); err == nil && wholeNumber.MatchString(v.String()) {
			return v, nil
		}
		wrong.Wrong += ", or it is out of the range of 64 bits"
	}
	return nil, wrong
}
