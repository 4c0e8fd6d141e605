package jwks_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
)

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	sets := map[string]jwks.Kept{
		"idp":   {Held: []jwks.Held{held("a", time.Hour), held("b", 0)}, RevokePrevious: "1"},
		"empty": {},
	}
	content, err := jwks.Encode(sets)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jwks.Decode(content)
	if err != nil || !reflect.DeepEqual(again, sets) {
		t.Fatalf("got %+v, %v", again, err)
	}
	second, err := jwks.Encode(again)
	if err != nil || !bytes.Equal(content, second) {
		t.Errorf("written again it differs: %v", err)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, content := range map[string]string{
		"nothing":         "",
		"another version": `{"version":2,"sets":{}}`,
		"an extra field":  `{"version":1,"sets":{},"canary":1}`,
		"a wrong type":    `{"version":1,"sets":{"idp":{"keys":"canary"}}}`,
		"half a key":      `{"version":1,"sets":{"idp":{"keys":[{"kid":"canary","algorithm":"ES256","since":"2026-11-23T12:00:00Z"}]}}}`,
	} {
		if _, err := jwks.Decode([]byte(content)); !errors.Is(err, jwks.ErrUnreadable) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
