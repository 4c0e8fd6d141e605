package credential_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// A state that is not whole is not read: what it left out would be lost with the next write, and clients with it.
func TestADamagedStateIsNotRead(t *testing.T) {
	type object = map[string]any
	revision := func(document object, i int) object {
		history := document["credentials"].(object)["primary"].(object)
		return history["revisions"].([]any)[i].(object)
	}
	change := func(alter func(first, second object)) func(object) {
		return func(document object) { alter(revision(document, 0), revision(document, 1)) }
	}
	asymmetric := func(alter func(r object)) func(object) {
		return change(func(first, _ object) {
			first["recipe"], first["secret"] = object{"algorithm": "RS256"}, ""
			first["publicKey"], first["privateKey"] = "public", "private"
			alter(first)
		})
	}
	for what, c := range map[string]struct {
		alter func(document object)
		whole bool
	}{
		"nothing":                      {func(object) {}, true},
		"a pair of keys":               {asymmetric(func(object) {}), true},
		"a public key that was given":  {asymmetric(func(r object) { r["privateKey"], r["given"] = "", true }), true},
		"a secret that was given":      {change(func(r, _ object) { r["given"] = true }), true},
		"a public key alone":           {asymmetric(func(r object) { r["privateKey"] = "" }), false},
		"a private key alone":          {asymmetric(func(r object) { r["publicKey"] = "" }), false},
		"a given one, no public key":   {asymmetric(func(r object) { r["publicKey"], r["given"] = "", true }), false},
		"no secret":                    {change(func(r, _ object) { r["secret"] = "" }), false},
		"no secret, though given":      {change(func(r, _ object) { r["secret"], r["given"] = "", true }), false},
		"a public key beside a secret": {change(func(r, _ object) { r["publicKey"] = "public" }), false},
		"no key":                       {change(func(r, _ object) { r["key"] = "" }), false},
		"no slot":                      {change(func(r, _ object) { r["slot"] = object{"credential": ""} }), false},
		"an unknown state":             {change(func(r, _ object) { r["state"] = "Sleeping" }), false},
		"an unknown algorithm":         {change(func(r, _ object) { r["recipe"] = object{"algorithm": "none"} }), false},
		"two active ones":              {change(func(a, b object) { a["state"], b["state"] = "Active", "Active" }), false},
		"a number twice":               {change(func(a, b object) { b["revision"] = a["revision"] }), false},
		"a number from the future":     {change(func(_, b object) { b["revision"] = 99 }), false},
		"a field that nobody knows":    {func(d object) { d["color"] = "red" }, false},
		"a new field of a revision":    {change(func(r, _ object) { r["color"] = "red" }), false},
		"a newer version":              {func(d object) { d["version"] = 99 }, false},
		"no credentials":               {func(d object) { delete(d, "credentials") }, false},
	} {
		t.Run(what, func(t *testing.T) {
			l := rotated(t, rotating(), noon, noon)
			content, err := l.state.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var document object
			if err := json.Unmarshal(content, &document); err != nil {
				t.Fatal(err)
			}
			c.alter(document)
			if content, err = json.Marshal(document); err != nil {
				t.Fatal(err)
			}
			_, err = credential.DecodeState(content)
			if c.whole && err != nil || !c.whole && !errors.Is(err, credential.ErrUnreadableState) {
				t.Errorf("got %v", err)
			}
			if _, err := credential.DecodeState(append(content, "{}"...)); !errors.Is(err, credential.ErrUnreadableState) {
				t.Errorf("what follows it is left out: %v", err)
			}
		})
	}
}

func TestWeakSecretsAreHMACSecretsThatAreShort(t *testing.T) {
	for what, c := range map[string]struct {
		algorithm v1alpha1.Algorithm
		bytes     int
		says      string
	}{
		"just enough":      {"HS256", 32, ""},
		"a byte too short": {"HS256", 31, "31 bytes"},
		"more":             {"HS512", 100, ""},
		"short for HS512":  {"HS512", 63, "64 or more"},
		"no secret at all": {"RS256", 0, ""},
	} {
		m := credential.Material{Algorithm: c.algorithm, Secret: credential.Conceal(strings.Repeat("x", c.bytes))}
		if got := m.Weakness(); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func TestWhatIsGeneratedWhereTheSpecSaysNothing(t *testing.T) {
	for algorithm, want := range map[v1alpha1.Algorithm]credential.Recipe{
		"":      credential.NewRecipe("HS256", v1alpha1.Generate{}),
		"HS256": {Algorithm: "HS256", Length: 48},
		"HS512": {Algorithm: "HS512", Length: 64},
	} {
		if got := credential.NewRecipe(algorithm, v1alpha1.Generate{}); got != want {
			t.Errorf("%q: %+v, want %+v", algorithm, got, want)
		}
	}
}
