package secrets_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

func TestFingerprint(t *testing.T) {
	f := secrets.NewFingerprinter()
	contents := rapid.MapOf(rapid.StringN(0, 3, -1), rapid.SliceOfN(rapid.Byte(), 0, 3))
	rapid.Check(t, func(t *rapid.T) {
		a, b := contents.Draw(t, "a"), contents.Draw(t, "b")
		same := fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
		if (f.Of(a) == f.Of(b)) != same {
			t.Fatalf("%q and %q: equal is %v", a, b, !same)
		}
	})
	if secrets.NewFingerprinter().Of(data("x")) == f.Of(data("x")) {
		t.Error("two processes make the same fingerprint: it could be looked up")
	}
}

func TestSnapshotsPrintNothing(t *testing.T) {
	c := newCluster(t, nil, ours(t, consumer("john"), data("canary")))
	snapshot, err := c.store.Snapshot(t.Context(), consumer("john"), "state", name)
	if err != nil || string(snapshot.Value("secret")) != "canary" {
		t.Fatalf("the snapshot has not what it should hide: %v", err)
	}
	nested := struct{ inner secrets.Snapshot }{snapshot}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{snapshot, &snapshot, nested, &nested, []secrets.Snapshot{snapshot}} {
			text := fmt.Sprintf(verb, value)
			for _, form := range []string{"canary", "Y2FuYXJ5", "63616e617279", "99 97 110", "0x63, 0x61"} {
				if strings.Contains(text, form) {
					t.Errorf("%s of %T prints it", verb, value)
				}
			}
		}
	}
}
