package engine

import (
	"context"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Scope gives the installation and gateway that ids and tags are made of.
func (e *Engine) Scope() desired.Scope { return e.scope }

// State gives what is known of the gateway.
func (e *Engine) State() State { return e.monitor.State() }

// SetNodes names the nodes of a gateway that has no database. None: the gateway's own address.
func (e *Engine) SetNodes(nodes []Node) error {
	changed, err := e.link.setNodes(nodes)
	if changed {
		request(e.monitor.suspect)
	}
	return err
}

// Filled says whether it is known what Kong holds: since the first listing, also while Kong is away.
func (e *Engine) Filled() bool { return e.clocks.Filled() }

// Capabilities are what Kong takes; before it was asked, all.
func (e *Engine) Capabilities() kong.Capabilities { return e.link.describe().Capabilities }

// AwaitUpgrade wakes an owner when Kong's version or plugins change: it wants what this Kong does not take.
func (e *Engine) AwaitUpgrade(owner desired.Owner) { e.memory.reject(owner) }

// Holds says whether an owner has anything in Kong.
func (e *Engine) Holds(owner desired.Owner) bool { return len(e.observed.Of(owner)) > 0 }

// ActualID gives the id that something has in Kong: where it was adopted, another than the operator gives.
func (e *Engine) ActualID(given string) string { return e.observed.Actual(given) }

// Standing says whether Kong is known to hold an entity of this operator's, and how long it takes until every worker of
// every node has to know it as it is now: zero where the propagation delay has passed since Kong acknowledged it, or
// since this process first saw it.
func (e *Engine) Standing(id string) (held bool, remaining time.Duration) {
	entry, found := e.observed.GetGiven(id)
	if !found || entry.Uncertain {
		return false, 0
	}
	return true, e.clocks.Remaining(entry.Since)
}

// InKong says whether Kong has an entity of this operator's. Where the last write of it was not answered, it is as
// before.
func (e *Engine) InKong(id string, before bool) bool {
	entry, found := e.observed.GetGiven(id)
	if found && entry.Uncertain {
		return before
	}
	return found
}

// RevocationRemaining says how long it takes until no worker of any node can know a former credential of an owner any
// more.
func (e *Engine) RevocationRemaining(owner desired.Owner) time.Duration {
	return e.clocks.CredentialsRemaining(owner)
}

// Credential reads a credential of this operator's in Kong; found is false where Kong holds none of that id.
func (e *Engine) Credential(ctx context.Context, id string) (credential kong.Entity, found bool, err error) {
	actual := e.observed.Actual(id)
	if !e.knows(actual) {
		return kong.Entity{}, false, nil
	}
	credential, err = e.link.current().Get(ctx, kong.KindJWT, actual)
	if isNotFound(err) {
		return kong.Entity{}, false, nil
	}
	return credential, err == nil, err
}

// HasConsumer asks Kong whether it has a consumer of a name, or of an id, managed by anybody.
func (e *Engine) HasConsumer(ctx context.Context, nameOrID string) (bool, error) {
	_, err := e.link.current().Get(ctx, kong.KindConsumer, nameOrID)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// CredentialPart finds the part of an owner's credential that has a key in Kong.
func (e *Engine) CredentialPart(owner desired.Owner, key string) (part string, found bool) {
	held, found := e.observed.Credential(owner, key)
	return held.Part, found
}

// HoldsKey says whether Kong has a credential of a key, whoever it belongs to.
func (e *Engine) HoldsKey(ctx context.Context, key string) (bool, error) {
	unique := desired.UniqueKey{Kind: desired.UniqueCredentialKey, Value: key}
	if _, held := e.observed.Holder(unique, ""); held {
		return true, nil
	}
	_, found, err := e.find().lookUp(ctx, unique)
	return found, err
}

// CredentialIDs lists the ids, as the operator gives them, of an owner's credentials in Kong whose parts are wanted.
func (e *Engine) CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string {
	var ids []string
	for _, held := range e.observed.Of(owner) {
		if held.Kind == kong.KindJWT && wanted(held.Part) {
			ids = append(ids, e.observed.Given(held))
		}
	}
	return ids
}

// HasCredentials says whether Kong is known to hold every credential of a set just as it is there.
func (e *Engine) HasCredentials(set desired.Set) bool {
	ids := e.observed.ActualIDs(set.Entities)
	for _, entity := range set.Entities {
		if entity.Kind != kong.KindJWT {
			continue
		}
		entity = relocate(entity, ids)
		held, found := e.observed.Get(entity.ID)
		if !found || !held.Is(e.sum(entity)) || e.link.current().PendingEntity(entity.ID) {
			return false
		}
	}
	return true
}
