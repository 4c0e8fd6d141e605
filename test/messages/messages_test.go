// Package messages holds every message that a user can get to one form, and writes them all on one page.
package messages

import (
	"flag"
	"os"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the page of all messages")

const (
	pagePath = "testdata/messages.txt"
)

// TestMessages holds the page of all messages to the source.
func TestMessages(t *testing.T) {
	got := page(collect(t))
	if *update {
		if err := os.WriteFile(pagePath, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the source says; read the difference after: go test ./test/messages -update", pagePath)
	}
}

// form is that of a refusal: <field>: <what is wrong> (<who>). <what to do>.
var form = regexp.MustCompile(`^(spec|metadata|\{[^{}]*\})[^ ]*: .*[^.]\. ?[A-Z{].*\.$`)

// fieldless are refusals that no field of the resource is the reason of.
// kubectl kongjwt token create says these too, where no JwtToken has a field.
var fieldless = map[string]string{
	"{r.field}: key {key} of Secret {r.name} {err}": "the cause ends with what to do: a test of package credential holds each to that",
	"Secret {secret.Namespace}/{secret.Name} is immutable and cannot be written (it belongs to {owner}). Delete it: it is made anew at once, with what is in use.": "the Secret is the operator's own, and no field names it",
	"the credential has no {missing} here. Name one in its secretRef.dataKeys.{dataKey}, or use a generated credential.":                                           "may be no JwtToken's",
	"the credential's secret is not base64url, which secretIsBase64 asks for. Write it with - and _ in place of + and /, and without line breaks.":                 "may be no JwtToken's",
}

// TestRefusalsHaveOneForm: a refusal names a field, what is wrong and what to do.
func TestRefusalsHaveOneForm(t *testing.T) {
	for _, m := range collect(t) {
		if m.kind == stalled && !form.MatchString(m.text) && fieldless[m.text] == "" {
			t.Errorf("no field, or no remedy: %s\nwrite <field>: <what is wrong> (<who>). <what to do>.", m)
		}
	}
}

// TestNothingOfOthersIsToBeDeleted: what somebody else holds is adopted or left alone.
func TestNothingOfOthersIsToBeDeleted(t *testing.T) {
	foreign := regexp.MustCompile(`Conflict`)
	remove := regexp.MustCompile(`\b[Dd]elete\b`)
	for _, m := range collect(t) {
		if m.kind == stalled && foreign.MatchString(m.reason) && remove.MatchString(m.text) {
			t.Errorf("advice to delete what belongs to somebody else: %s\nsay spec.adoption: Unowned where that is the remedy", m)
		}
	}
}
