package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kongjwt/kong-jwt-operator/internal/cli"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// refusals are what wrong command lines of each command are answered.
var refusals = map[string][]struct{ args, says string }{
	"status": {{"a b", "kubectl kongjwt status takes one KIND/NAME, and 2 were given"}},
	"events": {{"a", "a is no resource of the operator's: write it KIND/NAME"}},
	"explain": {
		{"x", `explain takes no arguments. Pipe the token, which no argument may be: echo "$TOKEN" | kubectl kongjwt explain`},
		{"--kong http://127.0.0.1:1 --live", "--kong, --live: only one of them can be given"},
		{"--token-env A --token-file b", "--token-file, --token-env: only one of them can be given"},
	},
	"token create": {{"", "CONSUMER is missing: "}, {"a b", "takes one CONSUMER, and 2 were given"}},
	"token decode": {{"x", `token decode takes no arguments. Pipe the token, which no argument may be: `}},
	"token verify": {{"a b", "takes one CONSUMER, and 2 were given"}},
	"token":        {{"x", "there is no such command."}},
	"import": {
		{"x", "kubectl kongjwt import takes no arguments. Leave them out; for the flags see kubectl kongjwt import --help"},
		{"", "--from-kong or --from-deck or --from-kic, --gateway, --output-dir: missing. " +
			"For what they are see kubectl kongjwt import --help"},
		{"--from-kic a", "--gateway, --output-dir: missing. "},
		{"--gateway a --output-dir b", "--from-kong or --from-deck or --from-kic: missing. "},
		{"--from-kic a --from-deck b --gateway a --output-dir b", "--from-deck, --from-kic: only one of them can be given. "},
	},
	"rotate":    {{"--all -l a=b", "-l, --all: only one of them can be given. "}},
	"revoke":    {{"--all -l a=b", "-l, --all: only one of them can be given. "}},
	"reconcile": {{"--all -l a=b", "-l, --all: only one of them can be given. "}},
	"suspend":   {{"--all -l a=b", "-l, --all: only one of them can be given. "}},
	"resume":    {{"--all -l a=b", "-l, --all: only one of them can be given. "}},
	"diff": {
		{"x.yaml", "kubectl kongjwt diff takes no arguments. Write -f before each file: kubectl kongjwt diff -f FILE"},
		{"", "-f: missing. For what they are see kubectl kongjwt diff --help"},
	},
	"lint": {
		{"x.yaml", "kubectl kongjwt lint takes no arguments. Write -f before each file: kubectl kongjwt lint -f FILE"},
		{"-f x.yaml y.yaml", "kubectl kongjwt lint takes no arguments. Write -f before each file: "},
		{"", "-f or --list-rules: missing. "},
	},
	"graph": {
		{"x", "kubectl kongjwt graph takes no arguments. Leave them out; "},
		{"--consumer a --service b", "--consumer, --service: only one of them can be given. "},
	},
	"check":   {{"x", "kubectl kongjwt check takes no arguments. Leave them out; "}},
	"bundle":  {{"x", "kubectl kongjwt bundle takes no arguments. Leave them out; "}},
	"version": {{"x", "kubectl kongjwt version takes no arguments. Leave them out; "}},
	"options": {{"x", "kubectl kongjwt options takes no arguments. Leave them out; "}},
}

// TestRefusals: a command line that is wrong is answered in words, with what to write instead.
func TestRefusals(t *testing.T) {
	commands, _ := root()
	walk(commands, func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "kubectl kongjwt")
		if path = strings.TrimSpace(path); path == "" || slices.Contains([]string{"help", "completion"}, strings.Fields(path)[0]) {
			return
		}
		if len(refusals[path]) == 0 {
			t.Errorf("%s: no wrong command line of it is tested", path)
		}
	})
	for command, lines := range refusals {
		for _, line := range lines {
			streams, _, _, errOut := genericiooptions.NewTestIOStreams()
			code := cli.Run(t.Context(), "test", streams, append(strings.Fields(command), strings.Fields(line.args)...))
			if code != env.ExitError || !strings.Contains(errOut.String(), line.says) {
				t.Errorf("%s %s: exit code %d, %q, want %q", command, line.args, code, errOut, line.says)
			}
		}
	}
}
