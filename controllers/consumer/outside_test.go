package consumer_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

// plane is a data plane. It holds what Kong held when it caught up last: keys by secret.
type plane struct {
	held map[string]string
	// away says that it does not answer.
	away bool
}

// has says whether a data plane takes tokens that are signed with some material.
func (p *plane) has(material credential.Material) bool {
	key, found := p.held[material.Secret.Reveal()]
	if material.PublicKeyPEM == "" {
		return found && key == material.Key
	}
	return slices.Contains(slices.Collect(maps.Values(p.held)), material.Key)
}

// catchUp has a data plane load what Kong holds.
func (w *world) catchUp(p *plane) { p.held = w.inKong() }

// Ask answers for all data planes, at once.
func (w *world) Ask(_ string, q probe.Question) (probe.Conclusion, string) {
	conclusion := probe.Confirmed
	for _, p := range w.planes {
		switch {
		case !p.away && p.has(q.Material) != bool(q.Want):
			return probe.Contradicted, "one is not as wanted"
		case p.away:
			conclusion = probe.Unsure
		}
	}
	return conclusion, "as they answered"
}

// Forget has nothing to forget: nothing is remembered.
func (w *world) Forget(string, string) {}

// fetch answers for the issuer.
func (w *world) fetch(context.Context, jwks.Source, jwks.Validators) (jwks.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.issuerAway {
		return jwks.Answer{}, &jwks.Error{Kind: jwks.ErrUnreachable, Message: "the issuer does not answer"}
	}
	keys := []map[string]any{}
	for _, kid := range w.kids {
		key := maps.Clone(w.kong.key)
		key["kid"] = kid
		keys = append(keys, key)
	}
	document, err := json.Marshal(map[string]any{"keys": keys})
	return jwks.Answer{Document: document}, err
}

func (w *world) wake(client.ObjectKey) {
	select {
	case w.woken <- struct{}{}:
	default: // it is woken already
	}
}

// awaitIssuer waits for an answer of the issuer that may be on its way.
func (w *world) awaitIssuer() {
	select {
	case <-w.woken:
	case <-time.After(50 * time.Millisecond): // nothing was asked
	}
}

// publishKeys sets what the issuer publishes.
func (w *world) publishKeys(kids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kids = kids
}

func (w *world) setIssuerAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issuerAway = away
}
