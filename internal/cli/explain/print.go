package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/tokeninput"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// answer is what is printed.
type answer struct {
	explain.Report
	Service string       `json:"service,omitempty"`
	Gateway string       `json:"gateway,omitempty"`
	Token   decodedToken `json:"token"`
}

// decodedToken is what a token says; a token that cannot be read says nothing.
type decodedToken struct {
	Header json.RawMessage `json:"header,omitempty"`
	Claims json.RawMessage `json:"claims,omitempty"`
	// Signature is there only where it was asked for.
	Signature string `json:"signature,omitempty"`
}

func decodeToken(text string, showSignature bool) decodedToken {
	d, err := tokeninput.Decode(text)
	if err != nil {
		return decodedToken{}
	}
	t := decodedToken{Header: d.Header, Claims: d.Claims}
	if showSignature {
		t.Signature = text[strings.LastIndexByte(text, '.')+1:]
	}
	return t
}

func (o *options) print(e *env.Env, a *answer) error {
	err := o.output.Print(e.Out, output.Answer{Kind: "TokenExplanation", Value: a, Text: a.print})
	if err == nil && a.Verdict != explain.Accepted {
		return env.ErrNegative
	}
	return err
}

// print writes the answer for people: the verdict first, then every check.
func (a *answer) print(out io.Writer, style output.Style, _ bool) error {
	var b strings.Builder
	a.printVerdict(&b, style)
	for _, part := range []struct {
		title   string
		content json.RawMessage
	}{{"Header", a.Token.Header}, {"Claims", a.Token.Claims}} {
		var compact bytes.Buffer
		if len(part.content) > 0 && json.Compact(&compact, part.content) == nil {
			fmt.Fprintf(&b, "%s  %s\n", style.Bold(part.title), output.Line(compact.String()))
		}
	}
	if a.Token.Signature != "" {
		fmt.Fprintf(&b, "%s  %s\n", style.Bold("Signature"), output.Line(a.Token.Signature))
	}
	b.WriteString("\n")
	for _, c := range a.Checks {
		printCheck(&b, style, c)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (a *answer) printVerdict(b *strings.Builder, style output.Style) {
	tone := map[explain.Verdict]output.Tone{explain.Accepted: output.Good, explain.Refused: output.Bad, explain.Unknown: output.Warning}[a.Verdict]
	b.WriteString(style.Paint(tone, strings.ToUpper(string(a.Verdict))))
	if a.Answer != nil {
		b.WriteString("  Kong answers " + output.Line(a.Answer.String()))
	}
	switch {
	case a.Verdict == explain.Accepted && a.Consumer != "":
		b.WriteString("  as the consumer " + output.Line(a.Consumer))
	case a.Verdict != explain.Accepted && a.Answer == nil:
		b.WriteString("  for " + output.Line(a.cause()))
	}
	b.WriteString("\n")
	if a.Service != "" {
		fmt.Fprintf(b, "%s  %s on gateway %s\n", style.Bold("Service"), a.Service, a.Gateway)
	}
}

// cause names what keeps the answer from being better, where it is no answer of Kong's: what failed last, which is
// what data planes say where they were asked, or else what is not known first, of the token before the resources.
func (a *answer) cause() string {
	for _, c := range slices.Backward(a.Checks) {
		if c.Outcome == jwtplugin.Failed {
			return c.Name + ": " + c.Detail
		}
	}
	unknown := func(c explain.Check) bool { return c.Outcome == jwtplugin.Unknown }
	aboutToken := func(c explain.Check) bool {
		return unknown(c) && slices.Contains(jwtplugin.Checks(), jwtplugin.Check(c.Name))
	}
	for _, chosen := range []func(explain.Check) bool{aboutToken, unknown} {
		if i := slices.IndexFunc(a.Checks, chosen); i >= 0 {
			return a.Checks[i].Name + ": " + a.Checks[i].Detail
		}
	}
	return "what was not looked at"
}

// marks of the outcomes, and their tones.
var marks = map[jwtplugin.Outcome]struct {
	text string
	tone output.Tone
}{
	jwtplugin.Passed: {"ok     ", output.Good}, jwtplugin.Failed: {"FAILED ", output.Bad},
	jwtplugin.Unknown: {"unknown", output.Warning}, jwtplugin.Skipped: {"-      ", output.Faint},
}

func printCheck(b *strings.Builder, style output.Style, c explain.Check) {
	mark := marks[c.Outcome]
	fmt.Fprintf(b, "%s  %-18s  %s\n", style.Paint(mark.tone, mark.text), c.Name, output.Line(c.Detail))
	const indent = "                             "
	if c.Answer != nil {
		fmt.Fprintf(b, "%s%s\n", indent, style.Paint(output.Bad, "Kong: "+output.Line(c.Answer.String())))
	}
	if c.Remedy != "" {
		fmt.Fprintf(b, "%s%s\n", indent, output.Line(c.Remedy))
	}
}
