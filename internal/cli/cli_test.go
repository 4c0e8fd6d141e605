package cli_test

import (
	"bytes"
	"errors"
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
	"github.com/kongjwt/kong-jwt-operator/test/docs"
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

// inline is a call of the plugin within a sentence.
var inline = regexp.MustCompile("`kubectl kongjwt ([^`]*)`")

// Commands in blocks of code are typed by test/chart/pages. Those within sentences are there, with the flags that they
// are written with.
func TestSentencesNameCommandsThatAreThere(t *testing.T) {
	pages, err := docs.Pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages {
		for _, line := range page.Prose {
			for _, call := range inline.FindAllStringSubmatch(line.Text, -1) {
				fresh, _ := root()
				cmd, rest, err := fresh.Find(strings.Fields(call[1]))
				if err == nil && cmd == fresh {
					err = errors.New("no such command")
				}
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err != nil {
					t.Errorf("%s:%d: %s: %v", page.Path, line.Number, call[0], err)
				}
				seen++
			}
		}
	}
	if seen == 0 {
		t.Error("no sentence has a command")
	}
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

// TestNoErrorRepeatsAToken: it would stay on the screen, in a log, in a ticket.
func TestNoErrorRepeatsAToken(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl"
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{token}, {"explain", token}, {"token", token}, {"token", "decode", token}, {"token", "verify", token}, {"token", "verify", "a", token},
		{"token", "create", token, "more"}, {"explain", "--token", token}, {"explain", "--token=" + token}, {"explain", "--" + token},
		{"revoke", token}, {"rotate", "--timeout", token}, {"status", "-o", token}, {"explain", "--url", token}, {"explain", "--service", token},
		{"lint", "-f", token}, {"explain", "--token-file", token}, {"explain", "--token-env", token}, {"graph", token},
		{"token", "create", token}, {"explain", "--header", token}, {"reconcile", token},
	} {
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		code := cli.Run(t.Context(), "test", streams, append(args, "--kubeconfig", config, "--server", "http://127.0.0.1:1", "--request-timeout", "1s"))
		if code != env.ExitError || errOut.Len() == 0 {
			t.Errorf("%q ended with %d: %s", args, code, errOut)
		}
		if said := out.String() + errOut.String(); strings.Contains(said, "eyJ") || strings.Contains(said, "c2lnbmF0dXJl") {
			t.Errorf("%q said %s", args, said)
		}
	}
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	cli.Run(t.Context(), "test", streams, []string{"explain", token})
	if !strings.Contains(errOut.String(), `echo "$TOKEN" | kubectl kongjwt explain`) {
		t.Errorf("it does not say how: %s", errOut)
	}
}

// TestHelpLeavesKubectlsFlagsOut: they are on a page of their own.
func TestHelpLeavesKubectlsFlagsOut(t *testing.T) {
	for args, shows := range map[string]bool{"rotate --help": false, "token create --help": false, "options": true} {
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		if code := cli.Run(t.Context(), "test", streams, strings.Fields(args)); code != env.ExitOK {
			t.Fatalf("%s: %d", args, code)
		}
		if strings.Contains(out.String(), "--kubeconfig string") != shows {
			t.Errorf("%s:\n%s", args, out)
		}
		if !shows && !strings.Contains(out.String(), "kubectl kongjwt options") {
			t.Errorf("%s does not say where they are:\n%s", args, out)
		}
	}
}
