package tokeninput_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/tokeninput"
)

const text = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl"

// read reads a token as a subcommand with the arguments does.
func read(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	session := clitest.New(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "holder"},
		Data:       map[string][]byte{"token": []byte(text), "authorization": []byte("Bearer " + text)},
	})
	session.In.WriteString(stdin)
	var got string
	err := session.Run(t, func(e *env.Env) *cobra.Command {
		var flags tokeninput.Flags
		cmd := &cobra.Command{
			Use: "x",
			RunE: func(cmd *cobra.Command, _ []string) error {
				token, err := flags.Read(cmd.Context(), e)
				got = token.Reveal()
				return err
			},
		}
		flags.Add(cmd)
		return cmd
	}, args...)
	return got, err
}

func TestSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("A_TOKEN", text)
	for name, source := range map[string]struct {
		stdin string
		args  []string
	}{
		"stdin":                {stdin: text + "\n"},
		"stdin, named":         {stdin: text, args: []string{"--token", "-"}},
		"a header's value":     {stdin: "bearer " + text},
		"a header":             {stdin: "Authorization: Bearer " + text + "\r\n"},
		"quoted":               {stdin: `"` + text + `"`},
		"a file":               {args: []string{"--token-file", file}},
		"a variable":           {args: []string{"--token-env", "A_TOKEN"}},
		"a Secret":             {args: []string{"--token-secret", "default/holder"}},
		"a Secret of here":     {args: []string{"--token-secret", "holder"}},
		"another key":          {args: []string{"--token-secret", "default/holder:authorization"}},
		"forced, on the shell": {args: []string{"--unsafe-token", text}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, source.stdin, source.args...)
			if err != nil || got != text {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, refused := range map[string]struct {
		stdin    string
		args     []string
		expected string
	}{
		"nothing":             {expected: "is empty"},
		"two tokens":          {stdin: text + "\n" + text, expected: "spaces or line breaks"},
		"much":                {stdin: strings.Repeat("a", 1<<17), expected: "more than 65536 bytes"},
		"on the command line": {args: []string{"--token", text}, expected: "--unsafe-token"},
		"no variable":         {args: []string{"--token-env", "KJO_NO_SUCH_VARIABLE"}, expected: "KJO_NO_SUCH_VARIABLE"},
		"no file":             {args: []string{"--token-file", "/no/such/file"}, expected: "no such file"},
		"no Secret":           {args: []string{"--token-secret", "default/other"}, expected: "not found"},
		"no key":              {args: []string{"--token-secret", "default/holder:jwt"}, expected: "it has: authorization, token"},
		"no name":             {args: []string{"--token-secret", "default/"}, expected: "[NAMESPACE/]NAME[:KEY]"},
		"two sources":         {args: []string{"--token-env", "A", "--token-file", "b"}, expected: "none of the others can be"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, refused.stdin, refused.args...)
			if err == nil || !strings.Contains(err.Error(), refused.expected) || got != "" {
				t.Errorf("read %q, error %v does not say %q", got, err, refused.expected)
			}
			if err != nil && strings.Contains(err.Error(), text) {
				t.Error("the error quotes the token")
			}
		})
	}
}
