package jwks_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	sets := jwks.Sets{
		Requests: request.Record{}.With(request.Parse("a", "1")),
		ByName: map[string]jwks.Kept{
			"idp":   {URL: "https://a.example.com", Part: "former", Since: noon, Held: []jwks.Held{held("a", time.Hour), held("b", 0)}},
			"empty": {URL: "https://b.example.com", Part: "empty"},
		},
	}
	content, err := sets.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := jwks.Decode(content)
	if err != nil || !again.Equal(sets) {
		t.Fatalf("got %+v, %v", again, err)
	}
	second, err := again.Encode()
	if err != nil || !bytes.Equal(content, second) {
		t.Errorf("written again it differs: %v", err)
	}
}

// What an older operator wrote has no date.
func TestAnOlderRecordIsRead(t *testing.T) {
	sets, err := jwks.Decode([]byte(`{"version":2,"sets":{"idp":{"url":"https://a.example.com","part":"idp",
		"keys":[{"kid":"a","algorithm":"ES256","publicKey":"pem","since":"2026-11-23T12:00:00Z"}]}}}`))
	if kept := sets.ByName["idp"]; err != nil || len(kept.Held) != 1 || !kept.Since.IsZero() {
		t.Fatalf("got %+v, %v", sets, err)
	}
}

// A credential that gets another name keeps what is known of its issuer, though that is away, and its entities in
// Kong.
func TestRenamedCredentialKeepsItsKeys(t *testing.T) {
	const url = "https://login.example.com/keys"
	sets := jwks.Sets{ByName: map[string]jwks.Kept{"idp": {URL: url, Part: "idp", Held: []jwks.Held{held("a", 0)}}}}
	follows := func(names ...string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	if kept := sets.Of("second", url, follows("second")); kept.Part != "idp" || len(kept.Held) != 1 {
		t.Errorf("renamed: %+v", kept)
	}
	if kept := sets.Of("second", url, follows("idp", "second")); kept.Part != "second" || len(kept.Held) != 0 {
		t.Errorf("another beside it: %+v", kept)
	}
	if kept := sets.Of("second", url+"/others", follows("second")); len(kept.Held) != 0 {
		t.Errorf("of another issuer: %+v", kept)
	}
	sets.ByName["second"] = sets.ByName["idp"]
	delete(sets.ByName, "idp")
	if kept := sets.Of("idp", url+"/others", follows("idp", "second")); kept.Part == "idp" {
		t.Error("two sets share their entities in Kong")
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, content := range map[string]string{
		"nothing":         "",
		"another version": `{"version":9,"sets":{}}`,
		"an extra field":  `{"version":2,"sets":{},"canary":1}`,
		"a wrong type":    `{"version":2,"sets":{"idp":{"keys":"canary"}}}`,
		"half a key":      `{"version":2,"sets":{"idp":{"keys":[{"kid":"canary","algorithm":"ES256","since":"2026-11-23T12:00:00Z"}]}}}`,
	} {
		if _, err := jwks.Decode([]byte(content)); !errors.Is(err, jwks.ErrUnreadable) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
