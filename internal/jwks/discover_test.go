package jwks_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// publishing starts an issuer whose set is at /keys.
func publishing(t *testing.T) *issuer.Issuer {
	t.Helper()
	provider := issuer.Start()
	t.Cleanup(provider.Close)
	if err := provider.Add("a", "ES256"); err != nil {
		t.Fatal(err)
	}
	provider.PutSet("/keys")
	return provider
}

func discovery(issuer, set string) string {
	return fmt.Sprintf(`{"issuer": %q, "jwks_uri": %q, "token_endpoint": "https://login.example.com/token"}`, issuer, set)
}

func TestDiscovery(t *testing.T) {
	for name, c := range map[string]struct {
		issuer, path string
	}{
		"without a path":                    {"", "/.well-known/openid-configuration"},
		"with a path":                       {"/realms/orders", "/realms/orders/.well-known/openid-configuration"},
		"with a / at the end":               {"/", "/.well-known/openid-configuration"},
		"with a path and a / at its end":    {"/realms/orders/", "/realms/orders/.well-known/openid-configuration"},
		"of RFC 8414, which has no OpenID":  {"/realms/orders", "/.well-known/oauth-authorization-server/realms/orders"},
		"of RFC 8414, and without any path": {"", "/.well-known/oauth-authorization-server"},
	} {
		t.Run(name, func(t *testing.T) {
			provider := publishing(t)
			provider.Serve(c.path, discovery(provider.Base()+c.issuer, provider.URL()))
			source := jwks.Source{Issuer: provider.Base() + c.issuer, CA: provider.CA(), Policy: local}
			answer, err := fetch(t, source, jwks.Validators{})
			if err != nil {
				t.Fatal(err)
			}
			if set, err := jwks.Parse(answer.Document); err != nil || len(set.Select("", 16).Keys) != 1 {
				t.Fatalf("%v, %v", set, err)
			}
			if again, err := fetch(t, source, answer.Validators); err != nil || !again.NotModified {
				t.Fatalf("asked again: %+v, %v", again, err)
			}
			// Another set may have the same tag.
			provider.PutSet("/others")
			provider.Serve(c.path, discovery(provider.Base()+c.issuer, provider.URL()))
			if moved, err := fetch(t, source, answer.Validators); err != nil || moved.NotModified {
				t.Fatalf("a set that moved: %+v, %v", moved, err)
			}
		})
	}
}

// What a document says is taken for the issuer that it is of, and nothing else.
func TestDiscoveryThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		document func(base string) string
		policy   func(base string) jwks.Policy
		kind     error
		message  string
	}{
		"another issuer":     {document: func(base string) string { return discovery("https://other.example.com", base+"/keys") }, kind: jwks.ErrInvalid, message: "names another issuer"},
		"a / at the end":     {document: func(base string) string { return discovery(base+"/a/", base+"/keys") }, kind: jwks.ErrInvalid, message: "another / at the end"},
		"no issuer":          {document: func(base string) string { return `{"jwks_uri": "` + base + `/keys"}` }, kind: jwks.ErrInvalid, message: "names another issuer"},
		"no set":             {document: func(base string) string { return `{"issuer": "` + base + `/a"}` }, kind: jwks.ErrInvalid, message: "names no jwks_uri"},
		"no JSON":            {document: func(string) string { return "<html>" }, kind: jwks.ErrInvalid, message: "is no JSON object"},
		"a set by http":      {document: func(base string) string { return discovery(base+"/a", "http://login.example.com/keys") }, kind: jwks.ErrRefused, message: "names a key set that is http"},
		"a set in a file":    {document: func(base string) string { return discovery(base+"/a", "file:///etc/passwd") }, kind: jwks.ErrRefused, message: "has to begin with https://"},
		"a set that is none": {document: func(base string) string { return discovery(base+"/a", base+"/a/.well-known/openid-configuration") }, kind: jwks.ErrInvalid},
		"a set elsewhere": {
			document: func(base string) string { return discovery(base+"/a", base+"/keys") },
			policy: func(base string) jwks.Policy {
				return jwks.Policy{URLs: []string{base + "/a/", base + "/a"}, AllowPrivateAddresses: true}
			},
			kind: jwks.ErrRefused, message: "names a key set that is not among those of policy.jwks.issuers",
		},
		"an issuer that is not allowed": {
			policy: func(base string) jwks.Policy {
				return jwks.Policy{URLs: []string{base + "/b"}, AllowPrivateAddresses: true}
			},
			kind: jwks.ErrRefused, message: "is not among those of policy.jwks.issuers",
		},
		"an address that is not public": {
			policy: func(string) jwks.Policy { return jwks.Policy{} }, kind: jwks.ErrRefused, message: "which is not public",
		},
		"no document": {kind: jwks.ErrUnreachable, message: "has no discovery document"},
	} {
		t.Run(name, func(t *testing.T) {
			provider := publishing(t)
			provider.Serve("/other", "{}")
			if c.document != nil {
				provider.Serve("/a/.well-known/openid-configuration", c.document(provider.Base()))
			}
			policy := local
			if c.policy != nil {
				policy = c.policy(provider.Base())
			}
			answer, err := fetch(t, jwks.Source{Issuer: provider.Base() + "/a", CA: provider.CA(), Policy: policy}, jwks.Validators{})
			if err == nil {
				_, err = jwks.Parse(answer.Document)
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("%v", err)
			}
		})
	}
}

// The keys of a cluster are its API server's, whatever the rules for addresses are.
func TestKeysOfTheCluster(t *testing.T) {
	provider := publishing(t)
	set, err := provider.Set()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/openid/v1/jwks" {
			_, _ = w.Write(set)
		}
	}))
	defer server.Close()
	fetcher := jwks.Fetcher{Cluster: jwks.Cluster{Client: server.Client(), URL: server.URL + "/openid/v1/jwks"}}
	answer, err := fetcher.Fetch(t.Context(), jwks.Source{Cluster: true}, jwks.Validators{})
	if err != nil || string(answer.Document) != string(set) {
		t.Errorf("%s, %v", answer.Document, err)
	}
	if _, err := (jwks.Fetcher{}).Fetch(t.Context(), jwks.Source{Cluster: true}, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
		t.Errorf("without an API server: %v", err)
	}
}
