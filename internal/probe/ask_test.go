package probe_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

const (
	consumerID = "00000000-0000-4000-8000-000000000001"
	jwtID      = "00000000-0000-4000-8000-000000000002"
	serviceID  = "00000000-0000-4000-8000-000000000003"
	routeID    = "00000000-0000-4000-8000-000000000004"
)

var scope = desired.Scope{Installation: "here", Gateway: "default"}

// rig is a data plane of several workers with the probe's route, beside a route of somebody's that matches everything
// and asks for nothing.
type rig struct {
	*testing.T
	sim      *kongsim.Server
	kong     *kong.Client
	upstream *echo.Server
	asker    *probe.Asker
}

func newRig(t *testing.T, propagation dataplane.Propagation) *rig {
	t.Helper()
	return newRigOn(t, kongsim.Options{Workers: 4, Propagation: propagation})
}

func newRigOn(t *testing.T, options kongsim.Options) *rig {
	t.Helper()
	sim, err := kongsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	upstream, err := echo.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	client, err := kong.New(kong.Config{URL: sim.AdminURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	route := desired.NewProbeRoute(scope, []byte("seed"))
	r := &rig{T: t, sim: sim, kong: client, upstream: upstream, asker: probe.NewAsker(route, nil, time.Now)}
	r.put(kong.KindService, serviceID, "", kong.Fields{"name": "open", "protocol": "http", "host": upstream.Host(), "port": upstream.Port()})
	r.put(kong.KindRoute, routeID, "", kong.Fields{"name": "open", "service": map[string]any{"id": serviceID}, "paths": []string{"/"}})
	r.put(kong.KindConsumer, consumerID, "", kong.Fields{"username": "john"})
	for _, entity := range desired.BuildProbe(scope, route, true).Entities {
		if _, err := client.Put(t.Context(), entity); err != nil {
			t.Fatalf("%s: %v", entity.Kind, err)
		}
	}
	return r
}

func (r *rig) put(kind kong.Kind, id, consumer string, fields kong.Fields) {
	r.Helper()
	if _, err := r.kong.Put(r.Context(), kong.Entity{Kind: kind, ID: id, ConsumerID: consumer, Fields: fields}); err != nil {
		r.Fatalf("%s: %v", kind, err)
	}
}

func (r *rig) hold(m credential.Material) {
	r.Helper()
	fields := kong.Fields{"key": m.Key, "algorithm": string(m.Algorithm)}
	if m.PublicKeyPEM != "" {
		fields["rsa_public_key"] = m.PublicKeyPEM
	}
	if !m.Secret.Empty() {
		fields["secret"] = m.Secret.Reveal()
	}
	r.put(kong.KindJWT, jwtID, consumerID, fields)
}

func (r *rig) ask(m credential.Material, want probe.Want) probe.Result {
	r.Helper()
	results, err := r.asker.Ask(r.Context(), []string{r.sim.ProxyURL() + "/"}, m, want)
	if err != nil || len(results) != 1 {
		r.Fatal(results, err)
	}
	if results[0].Address != r.sim.ProxyURL() {
		r.Errorf("address %q", results[0].Address)
	}
	return results[0]
}

func (r *rig) expect(m credential.Material, want probe.Want, verdict probe.Verdict) {
	r.Helper()
	if result := r.ask(m, want); result.Verdict != verdict {
		r.Errorf("%s: %s, not %q", m.Algorithm, result, verdict)
	}
}

func generated(t *testing.T, recipe credential.Recipe) credential.Material {
	t.Helper()
	m, err := credential.Generate(recipe, "team.john")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every algorithm, through all that a credential goes through. No probe reaches an upstream: not even that of a route
// which takes every request.
func TestEveryAlgorithm(t *testing.T) {
	r := newRig(t, dataplane.Instant())
	for _, algorithm := range credential.Algorithms() {
		recipe := credential.Recipe{Algorithm: algorithm, Length: 64, RSABits: 2048}
		first, second := generated(t, recipe), generated(t, recipe)
		r.expect(first, probe.Present, probe.Gone)
		r.hold(first)
		r.expect(first, probe.Present, probe.Held)
		r.expect(first, probe.Absent, probe.Held)
		r.expect(second, probe.Present, probe.WrongSecret)
		if first.PublicKeyPEM != "" {
			public := first
			public.PrivateKeyPEM = credential.Sensitive{}
			r.expect(public, probe.Present, probe.Held)
		}
		if err := r.kong.Delete(t.Context(), kong.KindJWT, consumerID, jwtID); err != nil {
			t.Fatal(err)
		}
		r.expect(first, probe.Absent, probe.Gone)
	}
	if n := r.upstream.Seen(); n != 0 {
		t.Errorf("%d probes reached an upstream", n)
	}
}

// While some workers still have the former secret, nothing is said of the data plane.
func TestWorkersThatDiffer(t *testing.T) {
	slow := dataplane.Propagation{CredentialMin: time.Millisecond, CredentialMax: 2 * time.Second}
	r := newRig(t, slow)
	recipe := credential.Recipe{Algorithm: "HS256", Length: 48}
	first, second := generated(t, recipe), generated(t, recipe)
	r.hold(first)
	r.expect(first, probe.Present, probe.Held)
	r.hold(second)
	// From "the former" over "they differ" to "the new one", and never back.
	last := 0
	for deadline := time.Now().Add(10 * time.Second); last != 2; {
		stage := 0
		switch result := r.ask(second, probe.Present); {
		case result.Verdict == probe.Held:
			stage = 2
		case result.Verdict == probe.Unknown && strings.Contains(result.Detail, "do not agree"):
			stage = 1
		case result.Verdict != probe.WrongSecret:
			t.Fatal(result)
		}
		if last = max(last, stage); time.Now().After(deadline) {
			t.Fatal("the new secret never arrives")
		}
	}
	if n := r.upstream.Seen(); n != 0 {
		t.Errorf("%d probes reached an upstream", n)
	}
}

// TestNothingOfAProbeIsValid puts a recording server in the place of a data plane, and asks Kong itself what it would
// do with what was sent there.
func TestNothingOfAProbeIsValid(t *testing.T) {
	r := newRig(t, dataplane.Instant())
	material := generated(t, credential.Recipe{Algorithm: "HS256", Length: 48})
	r.hold(material)
	var mu sync.Mutex
	var sent []*http.Request
	connections := map[string]bool{}
	recorder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sent, connections[q.RemoteAddr] = append(sent, q.Clone(context.Background())), true
		w.Header().Set(desired.NewProbeRoute(scope, []byte("seed")).Proof, "proof")
		w.WriteHeader(http.StatusUnauthorized)
		if answers := []string{`{"message":"Invalid signature"}`, `{"exp":"token expired"}`}; len(sent) == 1 {
			_, _ = w.Write([]byte(answers[0]))
		} else {
			_, _ = w.Write([]byte(answers[1]))
		}
	}))
	t.Cleanup(recorder.Close)
	if _, err := r.asker.Ask(t.Context(), []string{recorder.URL}, material, probe.Present); err != nil {
		t.Fatal(err)
	}
	if len(sent) < 2 || len(connections) != len(sent) {
		t.Fatalf("%d questions over %d connections", len(sent), len(connections))
	}
	for _, claim := range []string{"iss", "kid"} {
		// The service of the route that takes everything, now protected by a plugin that verifies exp, and by
		// one that reads iss and verifies nothing.
		config := map[string]any{"key_claim_name": claim}
		if claim == "kid" {
			config["claims_to_verify"] = []string{"exp"}
		}
		r.put(kong.KindPlugin, "00000000-0000-4000-8000-000000000005", "",
			kong.Fields{"name": "jwt", "service": map[string]any{"id": serviceID}, "config": config})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.sim.ProxyURL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", sent[1].Header.Get("Authorization"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("a service that reads %s answers a probe's token %d", claim, response.StatusCode)
		}
	}
	if n := r.upstream.Seen(); n != 0 {
		t.Errorf("%d requests reached an upstream", n)
	}
}

// Who answers instead of the operator's route gets nothing that is signed with a credential, and is believed nothing.
func TestWhoAnswersInsteadOfTheRouteGetsNothingSigned(t *testing.T) {
	material := generated(t, credential.Recipe{Algorithm: "HS256", Length: 48})
	asker := probe.NewAsker(desired.NewProbeRoute(scope, []byte("seed")), nil, time.Now)
	var mu sync.Mutex
	var tokens []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer "))
		for name, values := range q.Header {
			w.Header()[name] = values // it knows what it is asked, and no more
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"exp":"token expired"}`))
	}))
	t.Cleanup(thief.Close)
	for _, want := range []probe.Want{probe.Present, probe.Absent} {
		results, err := asker.Ask(t.Context(), []string{thief.URL}, material, want)
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Verdict != probe.Unknown || !strings.Contains(results[0].Detail, "another route") {
			t.Errorf("it is believed: %s", results[0])
		}
	}
	for _, text := range tokens {
		if _, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return []byte(material.Secret.Reveal()), nil },
			jwt.WithoutClaimsValidation()); err == nil {
			t.Error("it got what is signed with the secret")
		}
	}
	if len(tokens) != 2 {
		t.Errorf("%d questions", len(tokens))
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	material := generated(t, credential.Recipe{Algorithm: "HS256", Length: 48})
	asker := probe.NewAsker(desired.NewProbeRoute(scope, []byte("seed")), nil, time.Now)
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	t.Cleanup(elsewhere.Close)
	moved := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	t.Cleanup(moved.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the refused handshake
	secure.StartTLS()
	t.Cleanup(secure.Close)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	addresses := []string{moved.URL, secure.URL, down.URL, strings.Replace(moved.URL, "http:", "https:", 1)}
	results, err := asker.Ask(t.Context(), addresses, material, probe.Present)
	if err != nil {
		t.Fatal(err)
	}
	for i, detail := range []string{"answered 302", "its certificate is not trusted", "refuses connections", "it does not speak TLS"} {
		if results[i].Verdict != probe.Unknown || results[i].Detail != detail {
			t.Errorf("%s, not %q", results[i], detail)
		}
	}
	if followed {
		t.Error("a redirect was followed with the token")
	}
}

func TestRouteOfAGateway(t *testing.T) {
	route := desired.NewProbeRoute(scope, []byte("seed"))
	for name, other := range map[string]desired.ProbeRoute{
		"another seed":         desired.NewProbeRoute(scope, []byte("other")),
		"another gateway":      desired.NewProbeRoute(desired.Scope{Installation: "here", Gateway: "second"}, []byte("seed")),
		"another installation": desired.NewProbeRoute(desired.Scope{Installation: "there", Gateway: "default"}, []byte("seed")),
	} {
		if other.Host == route.Host || other.Path == route.Path || other.ClaimsPath == route.ClaimsPath || other.Value == route.Value {
			t.Errorf("%s: %+v", name, other)
		}
	}
	if again := desired.NewProbeRoute(scope, []byte("seed")); again != route || len(route.Value) != 32 {
		t.Errorf("%+v, then %+v", route, again)
	}
}
