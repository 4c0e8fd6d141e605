package output_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

type verdict struct {
	Zebra string   `json:"zebra"`
	Ape   []string `json:"ape,omitempty"`
}

func answer() output.Answer {
	return output.Answer{
		Kind: "Verdict", Value: verdict{Zebra: "striped", Ape: []string{"a"}}, Names: []string{"jwtconsumer.kongjwt.dev/john"},
		Text: func(out io.Writer, style output.Style, wide bool) error {
			table := output.Table{Columns: []output.Column{{Name: "Name"}, {Name: "Detail", Wide: true}}}
			table.Add(output.Bad, "john", "much")
			return table.Print(out, style, wide)
		},
	}
}

func TestFormats(t *testing.T) {
	for format, expected := range map[string]string{
		output.Text: "NAME\njohn\n",
		output.Wide: "NAME   DETAIL\njohn   much\n",
		output.Name: "jwtconsumer.kongjwt.dev/john\n",
		output.JSON: "{\n    \"apiVersion\": \"cli.kongjwt.dev/v1alpha1\",\n    \"kind\": \"Verdict\",\n    \"zebra\": \"striped\",\n    \"ape\": [\n        \"a\"\n    ]\n}\n",
		output.YAML: "ape:\n- a\napiVersion: cli.kongjwt.dev/v1alpha1\nkind: Verdict\nzebra: striped\n",
	} {
		var flags output.Flags
		cmd := &cobra.Command{Use: "x"}
		flags.Add(cmd, output.Wide, output.JSON, output.YAML, output.Name)
		if err := cmd.ParseFlags([]string{"-o", format}); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := flags.Print(&out, answer()); err != nil {
			t.Fatal(err)
		}
		if out.String() != expected {
			t.Errorf("-o %q printed %q, want %q", format, out.String(), expected)
		}
	}
}

func TestObjectsWithoutFieldsAreObjects(t *testing.T) {
	flags := output.Flags{Format: output.JSON}
	cmd := &cobra.Command{Use: "x"}
	flags.Add(cmd, output.JSON)
	var out bytes.Buffer
	if err := flags.Print(&out, output.Answer{Kind: "Empty", Value: struct{}{}}); err != nil {
		t.Fatal(err)
	}
	var decoded map[string]string
	if err := json.Unmarshal(out.Bytes(), &decoded); err != nil || decoded["kind"] != "Empty" || yaml.Unmarshal(out.Bytes(), &decoded) != nil {
		t.Errorf("%q: %v", out.String(), err)
	}
}

func TestUnknownFormatsAreRefused(t *testing.T) {
	var flags output.Flags
	cmd := &cobra.Command{Use: "x"}
	flags.Add(cmd, output.JSON, output.YAML)
	flags.Format = output.Name
	err := flags.Print(io.Discard, answer())
	if err == nil || !strings.Contains(err.Error(), "json, yaml") {
		t.Errorf("error %v names no choices", err)
	}
}

func TestColors(t *testing.T) {
	var colored, plain bytes.Buffer
	table := output.Table{Columns: []output.Column{{Name: "Name"}, {Name: "Is"}}}
	table.Add(output.Bad, "a", "bad")
	table.Add(output.Plain, "long", "plain")
	if err := table.Print(&colored, output.Colored(), false); err != nil {
		t.Fatal(err)
	}
	if err := table.Print(&plain, output.Style{}, false); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[1mNAME   IS\x1b[0m\n\x1b[31ma      bad\x1b[0m\nlong   plain\n"; colored.String() != want {
		t.Errorf("%q, want %q", colored.String(), want)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Errorf("%q has colors", plain.String())
	}
}

func TestForeignTextCannotActOnTheTerminal(t *testing.T) {
	if got := output.Line("a\nb\x1b[2J\u202ec"); got != "a b\uFFFD[2J\uFFFDc" {
		t.Errorf("%q", got)
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for at, expected := range map[time.Time]string{
		now.Add(72 * time.Hour): "in 3d", now.Add(-5 * time.Minute): "5m ago", now: "0s ago",
	} {
		if got := output.WhenTime(at, now); got != expected {
			t.Errorf("%s, want %s", got, expected)
		}
	}
	if got := output.When(nil, now); got != output.None {
		t.Errorf("%s, want %s", got, output.None)
	}
}
