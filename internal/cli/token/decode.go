package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/tokeninput"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

// decoded is the answer in json and yaml.
type decoded struct {
	Header json.RawMessage `json:"header"`
	Claims json.RawMessage `json:"claims"`
	// SignatureBytes is its length; Signature is there only where it was asked for.
	SignatureBytes int    `json:"signatureBytes"`
	Signature      string `json:"signature,omitempty"`
}

func decode(e *env.Env) *cobra.Command {
	var input tokeninput.Flags
	var flags output.Flags
	var showSignature bool
	cmd := &cobra.Command{
		Use:   "decode",
		Short: "Show what a token says, without its signature",
		Long: `Show what a token says. Nothing is verified.

The token comes from standard input unless a flag says otherwise. Its signature is not shown
unless asked for: what is printed is then no token, and may go into a ticket.`,
		Example: `  # From the clipboard's tool of your choice
  pbpaste | kubectl kongjwt token decode

  # The one that a JwtToken keeps
  kubectl kongjwt token decode --token-secret team-a/worker-token

  # One claim
  kubectl kongjwt token decode --token-env TOKEN -o json | jq .claims.sub`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.Check(); err != nil {
				return err
			}
			text, err := input.Read(cmd.Context(), e)
			if err != nil {
				return err
			}
			d, err := tokeninput.Decode(text.Reveal())
			if err != nil {
				return err
			}
			value := decoded{Header: d.Header, Claims: d.Claims, SignatureBytes: d.SignatureBytes}
			if showSignature {
				value.Signature = text.Reveal()[strings.LastIndex(text.Reveal(), ".")+1:]
			}
			return flags.Print(e.Out, output.Answer{Kind: "DecodedToken", Value: value, Text: func(out io.Writer, style output.Style, _ bool) error {
				return value.print(out, style, d, e.Clock.Now())
			}})
		},
	}
	input.Add(cmd)
	cmd.Flags().BoolVar(&showSignature, "show-signature", false, "Show the signature: whoever reads it can use the token")
	flags.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (v decoded) print(out io.Writer, style output.Style, d tokeninput.Decoded, now time.Time) error {
	var text strings.Builder
	for _, part := range []struct {
		title   string
		content json.RawMessage
	}{{"Header", v.Header}, {"Claims", v.Claims}} {
		var indented bytes.Buffer
		if err := json.Indent(&indented, part.content, "  ", "  "); err != nil {
			return fmt.Errorf("print the token's %s: %w", strings.ToLower(part.title), err)
		}
		text.WriteString(style.Bold(part.title) + "\n")
		for line := range strings.Lines("  " + indented.String()) {
			text.WriteString(output.Line(strings.TrimRight(line, "\n")) + "\n")
		}
	}
	for i, line := range times(d, now) {
		if i == 0 {
			text.WriteString(style.Bold("Times") + "\n")
		}
		text.WriteString("  " + style.Paint(line.tone, line.text) + "\n")
	}
	signature := fmt.Sprintf("%d bytes, not shown", v.SignatureBytes)
	if v.Signature != "" {
		signature = v.Signature
	}
	text.WriteString(style.Bold("Signature") + "\n  " + signature + "\n")
	_, err := io.WriteString(out, text.String())
	return err
}

type timeLine struct {
	text string
	tone output.Tone
}

// times says in words when a token is valid.
func times(d tokeninput.Decoded, now time.Time) []timeLine {
	var lines []timeLine
	for _, claim := range []struct {
		name, past, future string
		badFuture, badPast bool
	}{
		{"iat", "issued", "issued in the future: a clock is wrong", true, false},
		{"nbf", "valid since", "not valid before", true, false},
		{"exp", "expired", "expires", false, true},
	} {
		if _, there := d.ClaimFields[claim.name]; !there {
			if claim.name == "exp" {
				lines = append(lines, timeLine{"exp  there is none: the token never expires, and services that verify exp refuse it", output.Warning})
			}
			continue
		}
		at, readable := d.Time(claim.name)
		if !readable {
			lines = append(lines, timeLine{claim.name + "  is no time in seconds since 1970: services that verify it refuse the token", output.Bad})
			continue
		}
		word, bad, reference := claim.past, claim.badPast, now
		if claim.name == "iat" {
			reference = now.Add(token.Skew) // no clock is exact, and Kong does not look at iat
		}
		if at.After(reference) {
			word, bad = claim.future, claim.badFuture
		}
		tone := output.Good
		if bad {
			tone = output.Bad
		}
		lines = append(lines, timeLine{fmt.Sprintf("%s  %s  %s, %s", claim.name, at.Format(time.RFC3339), word, output.WhenTime(at, now)), tone})
	}
	return lines
}
