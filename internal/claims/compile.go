package claims

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed program.lua
var source string

// program is the source without the lines that are comments: it is kept once for each service.
var program = withoutComments(source)

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "--") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Program is the Lua that checks the rules, for the access phase of Kong's post-function plugin. What the rules say is
// in it as a table of strings, numbers and booleans; in a string what is not a plain character is escaped.
func (r Rules) Program() string {
	return "-- Checks the claims of tokens. Written by kong-jwt-operator from spec.claims of a JwtProtectedService.\n" +
		"local rules = " + r.table() + "\n" + program
}

func (r Rules) table() string {
	var fields []string
	set := func(name, value string) { fields = append(fields, name+" = "+value) }
	if len(r.Issuers) > 0 {
		set("issuers", setOf(r.Issuers))
	}
	if len(r.Audiences) > 0 {
		set("audiences", setOf(r.Audiences))
	}
	if r.ChecksIssueTime {
		set("skew", fmt.Sprint(int64(r.Skew.Seconds())))
	}
	if r.Realm != "" {
		set("realm", quote(r.Realm))
	}
	set("explain", fmt.Sprint(r.Explains))
	set("anonymous", fmt.Sprint(r.Anonymous))
	set("preflight", fmt.Sprint(r.Preflight))
	required := make([]string, 0, len(r.Required))
	for _, one := range r.Required {
		required = append(required, one.table())
	}
	set("required", braces(required))
	headers := make([]string, 0, len(r.Headers))
	for _, one := range r.Headers {
		headers = append(headers, braces([]string{"header = " + quote(one.Name), one.Claim.fields()}))
	}
	set("headers", braces(headers))
	return braces(fields)
}

func (r Required) table() string {
	switch value := r.Equals.(type) {
	case string:
		return braces([]string{r.Claim.fields(), "equals = {value = " + quote(value) + "}"})
	case bool:
		return braces([]string{r.Claim.fields(), fmt.Sprintf("equals = {value = %t}", value)})
	case json.Number:
		return braces([]string{r.Claim.fields(), "equals = {number = " + quote(value.String()) + "}"})
	}
	if r.Contains != "" {
		return braces([]string{r.Claim.fields(), "contains = " + quote(r.Contains)})
	}
	return braces([]string{r.Claim.fields(), "one_of = " + setOf(r.OneOf)})
}

func (p Path) fields() string {
	names := make([]string, 0, len(p.Names))
	for _, name := range p.Names {
		names = append(names, quote(name))
	}
	return "claim = " + quote(p.Text) + ", path = " + braces(names)
}

func setOf(texts []string) string {
	fields := make([]string, 0, len(texts))
	for _, text := range texts {
		fields = append(fields, "["+quote(text)+"] = true")
	}
	return braces(fields)
}

func braces(fields []string) string { return "{" + strings.Join(fields, ", ") + "}" }

// quote writes a string as Lua does (reference manual 5.1, section 2.1). What is not printable ASCII is written as its
// three decimal digits, and so are the quote and the backslash: nothing in it can end the literal.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
