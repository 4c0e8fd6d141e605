package claims

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Problem is what is wrong with a token.
type Problem string

// The problems, in the order in which they are looked for.
const (
	// NoToken: the jwt plugin verified none.
	NoToken Problem = "NoToken"
	// Unreadable: the token's payload is no object that is JSON in the strict sense.
	Unreadable Problem = "Unreadable"
	// WrongIssuer and WrongAudience: iss or aud names none of those of the service.
	WrongIssuer   Problem = "WrongIssuer"
	WrongAudience Problem = "WrongAudience"
	// IssuedInFuture: iat is missing or in the future.
	IssuedInFuture Problem = "IssuedInFuture"
	// Insufficient: a claim is not what spec.claims.required asks for.
	Insufficient Problem = "Insufficient"
	// NoHeader: a claim has characters that no header can hold, or that would make it another.
	NoHeader Problem = "NoHeader"
)

// Check is one rule, and what it found.
type Check struct {
	// Field of the resource, such as spec.claims.required[0].
	Field string
	// Claim as the field has it; empty where the whole token is meant.
	Claim string
	// Wants says in words what the claim has to be; for a header, it is the header's name.
	Wants string
	// Problem is empty where the rule is met.
	Problem Problem
}

// Decision is what becomes of a token.
type Decision struct {
	// Checks in their order. The last one has the problem, if there is any.
	Checks []Check
	// Status of Kong's answer; 0 where the request goes on.
	Status int
	// Challenge of the answer: the header WWW-Authenticate.
	Challenge string
	// Message of the answer.
	Message string
	// Set are the headers that the upstream gets, by their names in the spec.
	Set map[string]string
}

// Passes says whether the request goes on.
func (d Decision) Passes() bool { return d.Status == 0 }

// Problem is what is wrong; empty where nothing is.
func (d Decision) Problem() Problem {
	if len(d.Checks) == 0 {
		return ""
	}
	return d.Checks[len(d.Checks)-1].Problem
}

// Request is what the decision is about, once the jwt plugin is through.
type Request struct {
	// Token that the jwt plugin verified; empty where it verified none.
	Token string
	// Method of the request.
	Method string
	// HasCredential says that a plugin has authenticated the request, by a token or otherwise.
	HasCredential bool
}

// Decide says what becomes of a request.
func (r Rules) Decide(request Request, now time.Time) Decision {
	if request.Token == "" {
		if r.Preflight && request.Method == http.MethodOptions || r.Anonymous && !request.HasCredential {
			return Decision{}
		}
		return r.refuse([]Check{{Field: "spec.claims", Problem: NoToken}})
	}
	checks := []Check{{Field: "spec.claims"}}
	claims, err := read(request.Token)
	if err != nil {
		checks[0].Problem = Unreadable
		return r.refuse(checks)
	}
	for _, rule := range r.rules(now) {
		check := Check{Field: rule.field, Claim: rule.claim, Wants: rule.wants, Problem: rule.judge(claims)}
		checks = append(checks, check)
		if check.Problem != "" {
			return r.refuse(checks)
		}
	}
	headers := map[string]string{}
	for i, header := range r.Headers {
		text, ok := headerText(header.Claim.in(claims))
		field := "spec.claims.headers[" + strconv.Itoa(i) + "]"
		check := Check{Field: field, Claim: header.Claim.Text, Wants: header.Name}
		if !ok {
			check.Problem = NoHeader
			return r.refuse(append(checks, check))
		}
		checks = append(checks, check)
		if text != "" {
			headers[header.Name] = text
		}
	}
	return Decision{Checks: checks, Set: headers}
}

// rule is one thing to judge the claims by.
type rule struct {
	field, claim, wants string
	judge               func(claims object) Problem
}

func (r Rules) rules(now time.Time) []rule {
	var rules []rule
	add := func(field, claim, wants string, wrong Problem, holds func(object) bool) {
		rules = append(rules, rule{"spec.claims." + field, claim, wants, func(claims object) Problem {
			if holds(claims) {
				return ""
			}
			return wrong
		}})
	}
	if len(r.Issuers) > 0 {
		add("issuers", "iss", oneOf(r.Issuers), WrongIssuer, func(claims object) bool {
			issuer, isText := claims.fields["iss"].(string)
			return isText && slices.Contains(r.Issuers, issuer)
		})
	}
	if len(r.Audiences) > 0 {
		add("audiences", "aud", oneOf(r.Audiences)+", or a list with it", WrongAudience, func(claims object) bool {
			return namesOne(claims.fields["aud"], r.Audiences)
		})
	}
	if r.ChecksIssueTime {
		add("notIssuedInFuture", "iat", "no later than "+r.Skew.String()+" from now", IssuedInFuture, func(claims object) bool {
			return r.isIssuedBy(claims.fields["iat"], now)
		})
	}
	for i, required := range r.Required {
		field := "required[" + strconv.Itoa(i) + "]"
		add(field, required.Claim.Text, required.words(), Insufficient, func(claims object) bool {
			return required.isMetBy(required.Claim.in(claims))
		})
	}
	return rules
}

func oneOf(texts []string) string {
	if len(texts) == 1 {
		return strconv.Quote(texts[0])
	}
	return "one of " + strings.Join(texts, ", ")
}

// words say what the claim has to be.
func (r Required) words() string {
	switch value := r.Equals.(type) {
	case string:
		return strconv.Quote(value)
	case bool, json.Number:
		return fmt.Sprint(value)
	}
	if r.Contains != "" {
		return fmt.Sprintf("a string with the word %q, or a list with it", r.Contains)
	}
	return oneOf(r.OneOf)
}

func (r Rules) refuse(checks []Check) Decision {
	last := checks[len(checks)-1]
	d := Decision{Checks: checks, Status: http.StatusUnauthorized, Message: "Unauthorized"}
	code := "invalid_token"
	switch last.Problem {
	case NoToken:
		code = ""
	case Insufficient:
		d.Status, d.Message, code = http.StatusForbidden, "Forbidden", "insufficient_scope"
	}
	if text := last.Text(); r.Explains && text != "" {
		d.Message = text
	}
	d.Challenge = "Bearer"
	if r.Realm != "" {
		d.Challenge += ` realm="` + r.Realm + `"`
		if code != "" {
			d.Challenge += ","
		}
	}
	if code != "" {
		d.Challenge += ` error="` + code + `"`
	}
	return d
}

// Text says what is wrong, as the client is told where spec.claims.explainToClient is set.
func (c Check) Text() string {
	switch c.Problem {
	case Unreadable:
		return "The token cannot be read"
	case WrongIssuer:
		return "The claim iss names no issuer of this service"
	case WrongAudience:
		return "The claim aud names no audience of this service"
	case IssuedInFuture:
		return "The claim iat is missing or in the future"
	case Insufficient:
		return "The claim " + c.Claim + " does not have what this service requires"
	case NoHeader:
		return "The claim " + c.Claim + " cannot be made a header"
	default:
		return ""
	}
}

// maxPayload is how long the payload of a token may be, in base64url.
const maxPayload = 65536

var compact = regexp.MustCompile(`^[^.]*\.([A-Za-z0-9_-]+)\.[^.]*$`)

// read gives the claims of a token (RFC 7519).
func read(token string) (object, error) {
	parts := compact.FindStringSubmatch(token)
	if parts == nil || len(parts[1]) > maxPayload {
		return object{}, errNotJSON
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return object{}, err
	}
	value, err := parse(text)
	if err != nil {
		return object{}, err
	}
	claims, isObject := value.(object)
	if !isObject {
		return object{}, errNotJSON
	}
	return claims, nil
}

// in gives the value at a path, nil where there is none.
func (p Path) in(claims object) any {
	var value any = claims
	for _, name := range p.Names {
		inner, isObject := value.(object)
		if !isObject {
			return nil
		}
		value = inner.fields[name]
	}
	return value
}

// namesOne says whether a string, or one of a list of nothing but strings, is one of those wanted.
func namesOne(value any, wanted []string) bool {
	switch v := value.(type) {
	case string:
		return slices.Contains(wanted, v)
	case list:
		found := false
		for _, item := range v {
			text, isText := item.(string)
			if !isText {
				return false
			}
			found = found || slices.Contains(wanted, text)
		}
		return found
	}
	return false
}

var pastDate = regexp.MustCompile(`^[0-9]+(\.[0-9]*)?$`)

func (r Rules) isIssuedBy(value any, now time.Time) bool {
	number, isNumber := value.(json.Number)
	if !isNumber || !pastDate.MatchString(number.String()) {
		return false
	}
	issued, err := number.Float64()
	return err == nil && issued <= float64(now.Unix()+int64(r.Skew.Seconds()))
}

func (r Required) isMetBy(value any) bool {
	switch {
	case value == nil:
		return false
	case r.Contains != "":
		return has(value, r.Contains)
	case len(r.OneOf) > 0:
		text, isText := value.(string)
		return isText && slices.Contains(r.OneOf, text)
	}
	number, isNumber := value.(json.Number)
	if isNumber && number == "-0" {
		number = "0"
	}
	switch want := r.Equals.(type) {
	case json.Number:
		return isNumber && number == want
	case string:
		text, isText := value.(string)
		return isText && text == want
	case bool:
		is, isBool := value.(bool)
		return isBool && is == want
	}
	return false
}

// has says whether a string has a word, or a list an element. What has a space in it is no word.
func has(value any, wanted string) bool {
	switch v := value.(type) {
	case string:
		return !strings.Contains(wanted, " ") && slices.Contains(strings.Split(v, " "), wanted)
	case list:
		return slices.ContainsFunc(v, func(item any) bool { return item == any(wanted) })
	}
	return false
}

// headerText is what a header says of a value, empty for nothing. ok is false where it cannot be said.
func headerText(value any) (text string, ok bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case object:
		return base64.RawURLEncoding.EncodeToString(v.text), true
	case list:
		texts := make([]string, 0, len(v))
		for _, item := range v {
			text, ok := scalarText(item)
			if !ok || text == "" || strings.Contains(text, ",") {
				return "", false // else one element could pass for two
			}
			texts = append(texts, text)
		}
		return strings.Join(texts, ","), true
	}
	return scalarText(value)
}

// scalarText gives a text that a header can hold (RFC 9110, section 5.5) and that HTTP does not trim to another: it
// trims spaces and tabs.
func scalarText(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		control := strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f })
		return v, !control && !strings.HasPrefix(v, " ") && !strings.HasSuffix(v, " ")
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}
