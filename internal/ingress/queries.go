package ingress

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// The methods of engine.Programmer that ask; their comments are engine.Engine's.

// Scope implements engine.Programmer.
func (e *Engine) Scope() desired.Scope { return e.start.Scope }

// State implements engine.Programmer.
func (e *Engine) State() engine.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// SetNodes implements engine.Programmer: the controller knows its nodes.
func (*Engine) SetNodes([]engine.Node) error { return nil }

// Filled implements engine.Programmer.
func (e *Engine) Filled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.filled
}

// Capabilities implements engine.Programmer: which Kong is behind the controller is not known.
func (*Engine) Capabilities() kong.Capabilities { return kong.Capabilities{} }

// AwaitUpgrade implements engine.Programmer: a newer Kong is not seen.
func (*Engine) AwaitUpgrade(desired.Owner) {}

// Relist implements engine.Programmer.
func (e *Engine) Relist(owner desired.Owner, text string) {
	e.mu.Lock()
	asked := text != "" && e.asked[owner] != text
	if asked {
		e.asked[owner] = text
	}
	e.mu.Unlock()
	if asked {
		select {
		case e.relist <- struct{}{}:
		default: // one is asked for already
		}
	}
}

// Holds implements engine.Programmer.
func (e *Engine) Holds(owner desired.Owner) bool { return len(e.held.of(owner)) > 0 }

// ActualID implements engine.Programmer: nothing is adopted. The controller gives Kong's entities ids of its own.
func (*Engine) ActualID(given string) string { return given }

// Standing implements engine.Programmer.
func (e *Engine) Standing(id string) (held bool, remaining time.Duration) {
	o, found := e.held.find(id)
	if !found || o.Guarded {
		return false, 0
	}
	return true, e.remaining(o.epoch)
}

// remaining is how long a push may take that confirms an epoch; zero where it is confirmed.
func (e *Engine) remaining(epoch uint64) time.Duration {
	if epoch <= e.confirmed() {
		return 0
	}
	return again
}

// InKong implements engine.Programmer.
func (e *Engine) InKong(id string, before bool) bool {
	o, found := e.held.find(id)
	if found && o.epoch > e.confirmed() {
		return before
	}
	return found && !o.Guarded
}

// RevocationRemaining implements engine.Programmer.
func (e *Engine) RevocationRemaining(owner desired.Owner) time.Duration {
	return e.remaining(e.held.lastAccess(owner))
}

// Credential implements engine.Programmer: it is read out of its Secret.
func (e *Engine) Credential(ctx context.Context, id string) (credential kong.Entity, found bool, err error) {
	o, held := e.held.find(id)
	if !held || o.Entity != kong.KindJWT {
		return kong.Entity{}, false, nil
	}
	live, err := e.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return kong.Entity{}, false, err
	}
	fields := kong.Fields{}
	for _, name := range []string{"algorithm", "key", "secret", "rsa_public_key"} {
		text, _, _ := unstructured.NestedString(live.Object, "data", name)
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) > 0 {
			fields[name] = string(raw)
		}
	}
	return kong.Entity{Kind: kong.KindJWT, ID: id, Fields: fields}, true, nil
}

// HasConsumer implements engine.Programmer.
func (e *Engine) HasConsumer(ctx context.Context, nameOrID string) (bool, error) {
	known, err := e.others(ctx)
	_, found := known[e.objects.Unique(desired.UniqueKey{Kind: desired.UniqueUsername, Value: nameOrID})]
	return found, err
}

// HoldsKey implements engine.Programmer.
func (e *Engine) HoldsKey(ctx context.Context, key string) (bool, error) {
	if _, held := e.held.holder(e.keySum(key), desired.Owner{}); held {
		return true, nil
	}
	known, err := e.others(ctx)
	_, found := known[e.keySum(key)]
	return found, err
}

// CredentialPart implements engine.Programmer.
func (e *Engine) CredentialPart(owner desired.Owner, key string) (part string, found bool) {
	sum := e.keySum(key)
	for _, o := range e.held.of(owner) {
		if slices.Contains(o.Unique, sum) {
			return o.Part, true
		}
	}
	return "", false
}

// CredentialIDs implements engine.Programmer.
func (e *Engine) CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string {
	var ids []string
	for _, o := range e.held.of(owner) {
		if o.Entity == kong.KindJWT && wanted(o.Part) {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// HasCredentials implements engine.Programmer.
func (e *Engine) HasCredentials(set desired.Set) bool {
	for _, entity := range set.Entities {
		if entity.Kind != kong.KindJWT {
			continue
		}
		o, found := e.held.find(entity.ID)
		if !found || o.epoch > e.confirmed() || o.Name != e.objects.CredentialName(set.Owner, entity) {
			return false
		}
	}
	return true
}
