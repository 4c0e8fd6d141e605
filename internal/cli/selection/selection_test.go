package selection_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

func objects() []client.Object {
	meta := func(namespace, name, team string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"team": team}}
	}
	return []client.Object{
		&v1alpha1.KongGateway{ObjectMeta: meta("", "main", "ops")},
		&v1alpha1.JwtConsumer{ObjectMeta: meta("default", "a", "blue")}, &v1alpha1.JwtConsumer{ObjectMeta: meta("default", "b", "red")},
		&v1alpha1.JwtConsumer{ObjectMeta: meta("other", "c", "blue")}, &v1alpha1.JwtProtectedService{ObjectMeta: meta("default", "a", "blue")},
	}
}

// choose gives what a command line chooses, or its error.
func choose(t *testing.T, only string, parts bool, args string) (string, error) {
	t.Helper()
	s := clitest.New(t, objects()...)
	var found []string
	err := s.Run(t, func(e *env.Env) *cobra.Command {
		var flags selection.Flags
		cmd := &cobra.Command{Use: "x", RunE: func(cmd *cobra.Command, args []string) error {
			chosen, err := flags.Find(cmd.Context(), e, s.Client, args)
			for _, c := range chosen {
				name := c.KindName() + " " + selection.Path(c)
				if c.Part != "" {
					name += " " + c.Part
				}
				found = append(found, name)
			}
			return err
		}}
		flags.Add(cmd, only, parts)
		return cmd
	}, strings.Fields(args)...)
	return strings.Join(found, ", "), err
}

// TestOfOneKind: names, with the kind before them or without, labels, and all.
func TestOfOneKind(t *testing.T) {
	for args, want := range map[string]string{
		"a":                       "JwtConsumer default/a",
		"a b":                     "JwtConsumer default/a, JwtConsumer default/b",
		"jwtc/a":                  "JwtConsumer default/a",
		"jwtconsumer a b":         "JwtConsumer default/a, JwtConsumer default/b",
		"a/primary jwtc/b/second": "JwtConsumer default/a primary, JwtConsumer default/b second",
		"-n other c":              "JwtConsumer other/c",
		"-l team=blue":            "JwtConsumer default/a",
		"-l team=blue -A":         "JwtConsumer default/a, JwtConsumer other/c",
		"--all":                   "JwtConsumer default/a, JwtConsumer default/b",
		"jwtconsumers --all -A":   "JwtConsumer default/a, JwtConsumer default/b, JwtConsumer other/c",
	} {
		if got, err := choose(t, v1alpha1.KindJwtConsumer, true, args); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", args, got, err, want)
		}
	}
}

// TestOfAnyKind: the kind is named, by any of its names.
func TestOfAnyKind(t *testing.T) {
	for args, want := range map[string]string{
		"jwtps/a JwtConsumers/a":    "JwtProtectedService default/a, JwtConsumer default/a",
		"kgw/main":                  "KongGateway main",
		"jwtconsumer.kongjwt.dev/a": "JwtConsumer default/a",
		"jwtc --all -A":             "JwtConsumer default/a, JwtConsumer default/b, JwtConsumer other/c",
		"kgw -l team=ops":           "KongGateway main",
		"jwtc a b":                  "JwtConsumer default/a, JwtConsumer default/b",
	} {
		if got, err := choose(t, "", false, args); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", args, got, err, want)
		}
	}
}

// TestWhatIsMissingIsNamed: and nothing is chosen by mistake.
func TestWhatIsMissingIsNamed(t *testing.T) {
	for _, c := range []struct{ only, args, want string }{
		{v1alpha1.KindJwtConsumer, "", "nothing is named: give NAME or NAME/CREDENTIAL of a JwtConsumer, or -l SELECTOR, or --all"},
		{v1alpha1.KindJwtConsumer, "a --all", "do not go together"},
		{v1alpha1.KindJwtConsumer, "a -A", "-A goes with -l or --all"},
		{v1alpha1.KindJwtConsumer, "jwtps/a", "jwtps/a is a JwtProtectedService: this is for a JwtConsumer"},
		{v1alpha1.KindJwtConsumer, "a/", "is not as it should be"},
		{v1alpha1.KindJwtConsumer, "a/b/c", "is not as it should be"},
		{v1alpha1.KindJwtConsumer, "-l team=green", "no JwtConsumer matches in namespace default"},
		{v1alpha1.KindJwtConsumer, "nobody", "get JwtConsumer default/nobody"},
		{"", "a", "the kind of a is missing: write it KIND/NAME"},
		{"", "pod/a", "pod is no kind of the operator's; choose one of konggateway, jwtconsumer"},
		{"", "--all", "the kind is missing: name one of konggateway"},
		{"", "", "nothing is named: give KIND/NAME"},
	} {
		if got, err := choose(t, c.only, c.only != "", c.args); err == nil || got != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v; want %s", c.args, got, err, c.want)
		}
	}
}

// TestEachHasItsTurn: one that fails stops no other, and the end says how many failed.
func TestEachHasItsTurn(t *testing.T) {
	var chosen []selection.Chosen
	for _, name := range []string{"a", "b", "c"} {
		chosen = append(chosen, selection.Chosen{Resource: &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}})
	}
	var out strings.Builder
	err := selection.Each(&out, chosen, func(c selection.Chosen) (string, error) {
		if c.GetName() == "b" {
			return "", errors.New("b is stuck")
		}
		return "done", nil
	})
	want := "1/3  jwtconsumer.kongjwt.dev/a -n default done\n2/3  jwtconsumer.kongjwt.dev/b -n default failed: b is stuck\n" +
		"3/3  jwtconsumer.kongjwt.dev/c -n default done\n"
	if err == nil || err.Error() != "1 of 3 failed:\n  b is stuck" || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}
