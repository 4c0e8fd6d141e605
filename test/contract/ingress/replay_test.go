package ingress

import (
	"os"
	"strings"
	"testing"
)

func TestStandInDoesWhatTheControllerDid(t *testing.T) {
	keys, err := os.ReadFile("../testdata/3.9.3/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	same, total, err := Replay(t.Context(), &out, os.Getenv("ONLY"), keys)
	if err != nil || same != total || strings.Contains(out.String(), "FAIL") {
		t.Errorf("%d of %d steps, %v\n%s", same, total, err, out.String())
	}
}
