package jwtplugin_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// FuzzDecide sends whatever a client may: every answer is one that Kong gives, and only the right signature passes.
func FuzzDecide(f *testing.F) {
	for _, seed := range []string{
		"", ".", "..", "...", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.AA", "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJrIn0.AAAA", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJrIn0.",
		"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJrIn0.AAAA", "IiI.IiI.AA", "W10.W10.AA", "eyJhbGciOjF9.eyJpc3MiOjF9.AA",
	} {
		f.Add(seed, "jwt="+seed, true)
	}
	directory := keyring{}
	f.Fuzz(func(t *testing.T, token, query string, secretIsBase64 bool) {
		config := jwtplugin.DefaultConfig()
		config.SecretIsBase64, config.ClaimsToVerify = secretIsBase64, []string{"exp", "nbf"}
		header := http.Header{"Authorization": {"Bearer " + token}}
		decision := jwtplugin.Decide(config, jwtplugin.Request{Method: http.MethodGet, RawQuery: query, Header: header}, directory, time.Unix(1_700_000_000, 0))
		if decision.Passes() {
			t.Fatalf("passes as %s", decision.Reason) // nobody knows the secret
		}
		if status := decision.Refusal.Status; status != http.StatusUnauthorized && status != http.StatusInternalServerError {
			t.Fatalf("answered %d", status)
		}
	})
}

// keyring knows one key, whose secret nobody guesses.
type keyring struct{}

func (keyring) Credential(key string) (jwtplugin.Credential, bool) {
	return jwtplugin.Credential{ID: "1", Key: key, Algorithm: "HS256", Secret: "bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0IG9mIDMyIGJ5dGVz", ConsumerID: "2"}, key == "k"
}

func (keyring) Consumer(ref string) (jwtplugin.Consumer, bool) {
	return jwtplugin.Consumer{ID: ref, Username: "john"}, ref == "2"
}
