package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kongjwt/kong-jwt-operator/internal/cli"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

func root() (*cobra.Command, *bytes.Buffer) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	return cli.New(env.New("test", streams)), out
}

// walk visits every subcommand.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		walk(child, visit)
	}
}

// word is one word of a shell: with quotes, or without.
var word = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)

// invocations are the arguments of every call of the plugin in a line, which may be a pipeline.
func invocations(line string) [][]string {
	var found [][]string
	for _, part := range regexp.MustCompile(`\s(?:\||&&)\s`).Split(line, -1) {
		part, _, _ = strings.Cut(strings.TrimSpace(part), " > ")
		part, _, _ = strings.Cut(part, " < ")
		_, arguments, calls := strings.Cut(part, "kubectl kongjwt ")
		if !calls {
			continue
		}
		arguments, _, _ = strings.Cut(arguments, `)"`) // within "$(...)"
		var words []string
		for _, quoted := range word.FindAllString(arguments, -1) {
			words = append(words, strings.Trim(quoted, `'"`))
		}
		found = append(found, words)
	}
	return found
}

func TestExamplesParse(t *testing.T) {
	commands, _ := root()
	walk(commands, func(documented *cobra.Command) {
		if documented.HasSubCommands() || documented.Name() == "help" || documented.Name() == "completion" || documented.HasParent() && documented.Parent().Name() == "completion" {
			return
		}
		own := 0
		for _, line := range strings.Split(documented.Example, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			for _, arguments := range invocations(line) {
				fresh, _ := root() // flags keep what they were given
				cmd, rest, err := fresh.Find(arguments)
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err == nil {
					err = cmd.ValidateArgs(cmd.Flags().Args())
				}
				if err == nil {
					err = cmd.ValidateRequiredFlags()
				}
				if err == nil {
					err = cmd.ValidateFlagGroups()
				}
				if err != nil {
					t.Errorf("%s: example %q: %v", documented.CommandPath(), line, err)
				}
				if cmd.CommandPath() == documented.CommandPath() {
					own++
				}
			}
		}
		if own == 0 {
			t.Errorf("%s has no example", documented.CommandPath())
		}
	})
}

func TestHelpIsWhole(t *testing.T) {
	commands, _ := root()
	walk(commands, func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help is %q", cmd.CommandPath(), cmd.Short)
		}
	})
}

// kubectl's own flags mean what they mean to kubectl: but --token, which the plugin takes tokens by.
func TestNoFlagStandsInFrontOfKubectls(t *testing.T) {
	commands, _ := root()
	walk(commands, func(cmd *cobra.Command) {
		cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
			if cmd != commands && flag.Name != "token" && commands.PersistentFlags().Lookup(flag.Name) != nil {
				t.Errorf("%s has a --%s of its own", cmd.CommandPath(), flag.Name)
			}
			if flag.Shorthand != "" && flag.Name != "help" && commands.PersistentFlags().ShorthandLookup(flag.Shorthand) != nil {
				t.Errorf("%s has a -%s of its own", cmd.CommandPath(), flag.Shorthand)
			}
		})
	})
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		commands, out := root()
		commands.SetArgs([]string{"completion", shell})
		if err := commands.Execute(); err != nil || !strings.Contains(out.String(), "kongjwt") {
			t.Errorf("%s: %v, %d bytes", shell, err, out.Len())
		}
	}
}

func TestExitCodes(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(missing, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]struct {
		args []string
		code int
	}{
		"help":              {[]string{"--help"}, env.ExitOK},
		"version":           {[]string{"--version"}, env.ExitOK},
		"no such command":   {[]string{"no-such-command"}, env.ExitError},
		"no such flag":      {[]string{"status", "--no-such-flag"}, env.ExitError},
		"no such output":    {[]string{"status", "-o", "xml"}, env.ExitError},
		"broken kubeconfig": {[]string{"status", "--kubeconfig", missing}, env.ExitError},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, _, errOut := genericiooptions.NewTestIOStreams()
			if code := cli.Run(t.Context(), "test", streams, run.args); code != run.code {
				t.Errorf("exit code %d, want %d", code, run.code)
			}
			if (run.code == env.ExitError) != strings.HasPrefix(errOut.String(), "error: ") {
				t.Errorf("stderr is %q", errOut.String())
			}
		})
	}
}
