package jwks_test

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// local permits the issuers of these tests, which are on this machine.
var local = jwks.Policy{AllowPrivateAddresses: true}

func fetch(t *testing.T, source jwks.Source, held jwks.Validators) (jwks.Answer, error) {
	t.Helper()
	return jwks.Fetcher{UserAgent: "kong-jwt-operator/test", Timeout: 2 * time.Second}.Fetch(t.Context(), source, held)
}

func TestFetchOverTLSAndAgainOnCondition(t *testing.T) {
	provider := issuer.Start()
	defer provider.Close()
	if err := provider.Add("a", "ES256"); err != nil {
		t.Fatal(err)
	}
	provider.Header("Cache-Control", "public, max-age=3600")
	provider.Header("Age", "600")
	source := jwks.Source{URL: provider.URL(), CA: provider.CA(), Policy: local}
	first, err := fetch(t, source, jwks.Validators{})
	if err != nil || first.NotModified || first.MaxAge != 50*time.Minute || first.Validators.ETag == "" {
		t.Fatalf("the first look: %+v, %v", first.Validators, err)
	}
	second, err := fetch(t, source, first.Validators)
	if err != nil || !second.NotModified || second.Validators.ETag != first.Validators.ETag {
		t.Fatalf("the second look: %+v, %v", second, err)
	}
	if err := provider.Add("b", "EdDSA"); err != nil {
		t.Fatal(err)
	}
	third, err := fetch(t, source, second.Validators)
	if err != nil || third.NotModified || !strings.Contains(string(third.Document), `"b"`) {
		t.Fatalf("after a key came: %v", err)
	}
}

func TestFetchByDate(t *testing.T) {
	const date = "Mon, 23 Nov 2026 10:00:00 GMT"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Header.Get("If-Modified-Since") == date {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", date)
		_, _ = w.Write([]byte(`{"keys":[]}`))
	}))
	defer server.Close()
	source := sourceOf(server, "/")
	first, err := fetch(t, source, jwks.Validators{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := fetch(t, source, first.Validators)
	if err != nil || !second.NotModified || second.Validators.LastModified != date {
		t.Errorf("got %+v, %v", second, err)
	}
}

func sourceOf(server *httptest.Server, path string) jwks.Source {
	ca := "-----BEGIN CERTIFICATE-----\n" + pemLines(server.Certificate().Raw) + "-----END CERTIFICATE-----\n"
	return jwks.Source{URL: server.URL + path, CA: ca, Policy: local}
}

// misbehaves is an issuer that does what none should.
func misbehaves(release <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, do http.HandlerFunc) { mux.HandleFunc(path, do) }
	answer("/404", http.NotFound)
	answer("/503", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	answer("/304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	answer("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, jwks.MaxBytes+1)) })
	answer("/packed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		_, _ = packed.Write(make([]byte, 50*jwks.MaxBytes))
		_ = packed.Close()
	})
	answer("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("canary"))
	})
	answer("/headers", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Canary", strings.Repeat("x", 1<<20)) })
	answer("/never", func(_ http.ResponseWriter, request *http.Request) {
		select {
		case <-release:
		case <-request.Context().Done():
		}
	})
	answer("/slowly", func(w http.ResponseWriter, request *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[`))
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-request.Context().Done():
		}
	})
	answer("/loop", func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, "/loop", http.StatusFound)
	})
	answer("/to-http", func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, "http://"+request.Host+"/plain?canary", http.StatusFound)
	})
	answer("/to-file", func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, "file:///etc/passwd", http.StatusFound)
	})
	answer("/moved", func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, "/keys", http.StatusMovedPermanently)
	})
	answer("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) })
	return mux
}

func TestFetchWithinLimits(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewTLSServer(misbehaves(release))
	t.Cleanup(func() { close(release); server.Close() })
	for path, want := range map[string]struct {
		kind error
		text string
	}{
		"/404":     {jwks.ErrUnreachable, "404"},
		"/503":     {jwks.ErrUnreachable, "503"},
		"/304":     {jwks.ErrUnreachable, "304"},
		"/large":   {jwks.ErrInvalid, "1048576"},
		"/packed":  {jwks.ErrInvalid, "1048576"},
		"/cut":     {jwks.ErrUnreachable, "ends early"},
		"/headers": {jwks.ErrUnreachable, "HTTP"},
		"/never":   {jwks.ErrUnreachable, "within 2s"},
		"/slowly":  {jwks.ErrUnreachable, "within 2s"},
		"/loop":    {jwks.ErrRefused, "more than 3"},
		"/to-http": {jwks.ErrRefused, "redirects to"},
		"/to-file": {jwks.ErrRefused, "redirects to"},
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			_, err := fetch(t, sourceOf(server, path), jwks.Validators{})
			if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
			var failure *jwks.Error
			if errors.As(err, &failure) && path == "/503" && failure.RetryAfter != 2*time.Minute {
				t.Errorf("Retry-After: got %s", failure.RetryAfter)
			}
			if slow := path == "/never" || path == "/slowly"; failure == nil || failure.TimedOut != slow {
				t.Errorf("timed out: not %v", slow)
			}
		})
	}
	t.Run("moved", func(t *testing.T) {
		if answer, err := fetch(t, sourceOf(server, "/moved"), jwks.Validators{}); err != nil || string(answer.Document) != `{"keys":[]}` {
			t.Errorf("got %v", err)
		}
		source := sourceOf(server, "/moved")
		source.Policy.URLs = []string{source.URL}
		if _, err := fetch(t, source, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
			t.Errorf("a redirect out of policy.jwks.issuers: got %v", err)
		}
	})
}

func TestFetchRefusesAddressesWhenDialed(t *testing.T) {
	asked := make(chan struct{}, 16)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// A proxy of the environment would be dialed in place of the issuer, and judged in its place.
	t.Setenv("HTTP_PROXY", server.URL)
	t.Setenv("HTTPS_PROXY", server.URL)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.0.0.1"} {
		source := jwks.Source{URL: fmt.Sprintf("http://%s:%s/keys", host, port), Policy: jwks.Policy{AllowHTTP: true}}
		if _, err := fetch(t, source, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) || !strings.Contains(err.Error(), "not public") {
			t.Errorf("%s: got %v", host, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("%d requests got through", len(asked))
	}
}

func TestFetchTrustsWhomItIsToldTo(t *testing.T) {
	provider := issuer.Start()
	defer provider.Close()
	if _, err := fetch(t, jwks.Source{URL: provider.URL(), Policy: local}, jwks.Validators{}); !errors.Is(err, jwks.ErrUnreachable) || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("without its authority: got %v", err)
	}
	padded := provider.CA() + strings.Repeat("\n", 256<<10)
	if err := (jwks.Source{URL: provider.URL(), CA: padded}).CheckCA(); !errors.Is(err, jwks.ErrRefused) {
		t.Errorf("an authority of %d bytes: %v", len(padded), err)
	}
	if _, err := fetch(t, jwks.Source{URL: provider.URL(), CA: "no PEM", Policy: local}, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
		t.Errorf("with an authority that is none: got %v", err)
	}
	plain := strings.Replace(provider.URL(), "https", "http", 1)
	if _, err := fetch(t, jwks.Source{URL: plain, Policy: local}, jwks.Validators{}); !errors.Is(err, jwks.ErrRefused) {
		t.Errorf("over http: got %v", err)
	}
}

func TestFetchSaysWhatFails(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("canary")) }))
	defer plain.Close()
	for name, c := range map[string]struct{ url, text string }{
		"nobody listens": {strings.Replace(closed.URL, "http", "https", 1), "refuses the connection"},
		"no TLS":         {strings.Replace(plain.URL, "http", "https", 1), "over TLS"},
		"an odd name":    {"https://nobody.invalid/keys", "DNS"},
	} {
		_, err := fetch(t, jwks.Source{URL: c.url, Policy: local}, jwks.Validators{})
		if !errors.Is(err, jwks.ErrUnreachable) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (jwks.Fetcher{}).Fetch(ctx, jwks.Source{URL: closed.URL, Policy: jwks.Policy{AllowHTTP: true, AllowPrivateAddresses: true}}, jwks.Validators{}); !errors.Is(err, jwks.ErrUnreachable) {
		t.Errorf("stopped: got %v", err)
	}
}

func pemLines(der []byte) string { return base64.StdEncoding.EncodeToString(der) + "\n" }
