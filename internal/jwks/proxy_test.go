package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

const proxyPassword = "of-the-proxy-4b1d9c"

// behindProxy is an issuer that has a public name and no address here: a proxy leads to it.
func behindProxy(t *testing.T, overTLS bool) (*issuer.Issuer, *issuer.Proxy, jwks.Source) {
	t.Helper()
	provider := issuer.Start()
	t.Cleanup(provider.Close)
	if err := provider.Add("a", "ES256"); err != nil {
		t.Fatal(err)
	}
	proxy := issuer.StartProxy(provider, overTLS)
	t.Cleanup(proxy.Close)
	return provider, proxy, jwks.Source{
		URL: "https://login.example.com/jwks", CA: provider.CA(), Proxy: jwks.Proxy{URL: proxy.URL()},
	}
}

// resolving has hosts looked up in a table, and any other unknown.
func resolving(table map[string]string) jwks.Fetcher {
	return jwks.Fetcher{Timeout: 2 * time.Second, Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		text, found := table[host]
		if !found {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr(text)}, nil
	}}
}

func TestFetchByAProxy(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("over TLS %t", overTLS), func(t *testing.T) {
			_, proxy, source := behindProxy(t, overTLS)
			proxy.Require("operator", proxyPassword)
			if overTLS {
				source.Proxy.CA = proxy.CA()
			}
			_, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{})
			if !errors.Is(err, jwks.ErrUnreachable) || !strings.Contains(err.Error(), "answers 407") {
				t.Fatalf("without credentials: %v", err)
			}
			source.Proxy.Username, source.Proxy.Password = "operator", credential.Conceal(proxyPassword)
			answer, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{})
			if err != nil || !strings.Contains(string(answer.Document), `"a"`) {
				t.Fatalf("by the proxy: %v", err)
			}
			if asked := proxy.Asked(); len(asked) != 1 || asked[0] != "login.example.com:443" {
				t.Errorf("the proxy was asked for %q", asked)
			}
			if text := fmt.Sprintf("%v %+v %#v", source, source, source); strings.Contains(text, proxyPassword) {
				t.Error("a source shows the password")
			}
		})
	}
}

func TestFetchByAProxyWithDiscovery(t *testing.T) {
	provider, proxy, source := behindProxy(t, false)
	const base = "https://login.example.com"
	provider.Serve("/.well-known/openid-configuration", `{"issuer": "`+base+`", "jwks_uri": "`+base+`/jwks"}`)
	source.URL, source.Issuer = "", base
	if _, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{}); err != nil {
		t.Fatal(err)
	}
	if len(proxy.Asked()) != 2 {
		t.Errorf("the proxy was asked for %q", proxy.Asked())
	}
	provider.Serve("/.well-known/openid-configuration", `{"issuer": "`+base+`", "jwks_uri": "https://keys.kong.svc/jwks"}`)
	if _, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
		t.Errorf("a document that leads into the cluster: %v", err)
	}
	if len(proxy.Asked()) != 3 {
		t.Errorf("the proxy was asked for %q", proxy.Asked())
	}
}

// A proxy dials in the operator's place, so that addresses are judged before it is asked.
func TestNoProxyIsAskedForWhatIsNotPublic(t *testing.T) {
	table := map[string]string{"rebinds.example.com": "10.0.0.7", "metadata.example.com": "169.254.169.254", "login.example.com": "93.184.215.14"}
	_, proxy, source := behindProxy(t, false)
	for _, host := range []string{
		"10.0.0.1", "169.254.169.254", "[fd00::1]", "[::ffff:10.0.0.1]", "0x0a000001", "167772161", "10.1",
		"kubernetes.default.svc", "kong-admin", "vault.internal", "rebinds.example.com", "metadata.example.com", "metadata.example.com.",
	} {
		source.URL = "https://" + host + "/jwks"
		if _, err := resolving(table).Fetch(t.Context(), source, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if asked := proxy.Asked(); len(asked) > 0 {
		t.Errorf("the proxy was asked for %q", asked)
	}
	source.URL = "https://login.example.com/jwks"
	if _, err := resolving(table).Fetch(t.Context(), source, jwks.Validators{}); err != nil {
		t.Errorf("a public name: %v", err)
	}
	source.URL, source.Policy = "https://rebinds.example.com/jwks", local
	if _, err := resolving(table).Fetch(t.Context(), source, jwks.Validators{}); err != nil {
		t.Errorf("where policy permits private addresses: %v", err)
	}
}

// A redirect is a request like the first: it goes to the proxy only if it may, and past it only to what is public.
func TestARedirectOfAProxiedFetchIsJudged(t *testing.T) {
	var to string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, to, http.StatusFound)
	}))
	defer server.Close()
	front := issuer.StartProxyTo(server.Listener.Addr().String())
	defer front.Close()
	source := sourceOf(server, "/")
	source.URL, source.Policy, source.Proxy = "https://login.example.com/jwks", jwks.Policy{}, jwks.Proxy{URL: front.URL(), NoProxy: []string{"127.0.0.0/8"}}
	for _, to = range []string{"https://10.0.0.1/jwks", "https://kong-admin.kong.svc/jwks", server.URL + "/jwks"} {
		if _, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	for _, asked := range front.Asked() {
		if asked != "login.example.com:443" {
			t.Errorf("the proxy was asked for %s", asked)
		}
	}
}

func TestNoProxyLeadsPastTheProxy(t *testing.T) {
	provider, proxy, source := behindProxy(t, false)
	for _, entry := range []string{"127.0.0.1", "127.0.0.0/8", "*"} {
		source.URL, source.Policy, source.Proxy.NoProxy = provider.URL(), local, []string{"other.example.com", entry}
		if _, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{}); err != nil {
			t.Errorf("%s: %v", entry, err)
		}
	}
	source.URL, source.Policy, source.Proxy.NoProxy = "https://login.example.com/jwks", jwks.Policy{}, []string{".example.com"}
	if _, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{}); err == nil {
		t.Error("a name that resolves nowhere was fetched without the proxy")
	}
	if asked := proxy.Asked(); len(asked) > 0 {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestFetchSaysWhatIsWrongWithTheProxy(t *testing.T) {
	_, secure, source := behindProxy(t, true)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	forbids := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Canary", "canary")
		http.Error(w, "canary", http.StatusForbidden)
	}))
	defer forbids.Close()
	for name, c := range map[string]struct{ url, text string }{
		"it forbids":      {forbids.URL, "the proxy answers 403"},
		"nobody listens":  {closed.URL, "the proxy refuses the connection"},
		"no name":         {"http://proxy.invalid:3128", "the proxy's name does not resolve"},
		"not trusted":     {secure.URL(), "the proxy's certificate is not trusted"},
		"it speaks plain": {strings.Replace(forbids.URL, "http", "https", 1), "the proxy does not speak TLS"},
	} {
		source.Proxy = jwks.Proxy{URL: c.url, Username: "operator", Password: credential.Conceal(proxyPassword)}
		_, err := resolving(nil).Fetch(t.Context(), source, jwks.Validators{})
		if !errors.Is(err, jwks.ErrUnreachable) || !strings.Contains(err.Error(), c.text) ||
			strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), proxyPassword) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Other credentials are another source: what was found with the former says nothing.
func TestOtherCredentialsOfAProxyAreTriedAtOnce(t *testing.T) {
	_, proxy, source := behindProxy(t, false)
	proxy.Require("operator", proxyPassword)
	woken := make(chan struct{}, 2)
	refresher := jwks.NewRefresher(resolving(nil).Fetch, time.Now)
	look := func(password string) jwks.View {
		source.Proxy.Username, source.Proxy.Password = "operator", credential.Conceal(password)
		query := jwks.Query{Source: source, Interval: time.Hour, Who: "a/b/c", Wake: func() { woken <- struct{}{} }}
		refresher.Lookup(t.Context(), query)
		select {
		case <-woken:
		case <-time.After(5 * time.Second):
			t.Fatal("nobody was woken")
		}
		return refresher.Lookup(t.Context(), query)
	}
	if view := look("wrong"); view.Known || view.Err == nil {
		t.Errorf("with a wrong password: %+v", view)
	}
	if view := look(proxyPassword); !view.Known || view.Err != nil {
		t.Errorf("with the right password: %v", view.Err)
	}
}
