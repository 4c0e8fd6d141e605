package ingress

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// The methods of engine.Programmer that ask; their comments are engine.Engine's.

// Scope implements engine.Programmer.
func (r *rooms) Scope() desired.Scope { return r.start.Scope }

// State implements engine.Programmer.
func (r *rooms) State() engine.State { return r.link.get() }

// SetNodes implements engine.Programmer: the controller knows its nodes.
func (*rooms) SetNodes([]engine.Node) error { return nil }

// Filled implements engine.Programmer.
func (r *rooms) Filled() bool { return r.link.isFilled() }

// Capabilities implements engine.Programmer: which Kong is behind the controller is not known.
func (*rooms) Capabilities() kong.Capabilities { return kong.Capabilities{} }

// AwaitUpgrade implements engine.Programmer: a newer Kong is not held.Object.
func (*rooms) AwaitUpgrade(desired.Owner) {}

// Relist implements engine.Programmer.
func (r *rooms) Relist(owner desired.Owner, text string) { r.link.ask(owner, text) }

// Holds implements engine.Programmer.
func (r *rooms) Holds(owner desired.Owner) bool { return len(r.held.Of(owner)) > 0 }

// ActualID implements engine.Programmer: nothing is adopted. The controller gives Kong's entities ids of its own.
func (*rooms) ActualID(given string) string { return given }

// Standing implements engine.Programmer.
func (r *rooms) Standing(id string) (held bool, remaining time.Duration) {
	o, found := r.held.Find(id)
	if !found || o.Guarded {
		return false, 0
	}
	return true, r.remaining(o.Epoch)
}

// remaining is how long a push may take that confirms an epoch; zero where it is confirmed.
func (r *rooms) remaining(epoch uint64) time.Duration {
	if epoch <= r.barrier.Confirmed() {
		return 0
	}
	return again
}

// InKong implements engine.Programmer.
func (r *rooms) InKong(id string, before bool) bool {
	o, found := r.held.Find(id)
	if found && o.Epoch > r.barrier.Confirmed() {
		return before
	}
	return found && !o.Guarded && isNamed(r, o)
}

// isNamed says whether Kong is given a plugin at all: one that is attached is where the object names it.
func isNamed(r *rooms, o held.Object) bool {
	target, attaches := r.targets.Of(o.Owner)
	if !attaches {
		return true
	}
	_, attached := r.held.Get(target)
	return attached
}

// RevocationRemaining implements engine.Programmer.
func (r *rooms) RevocationRemaining(owner desired.Owner) time.Duration {
	return r.remaining(r.held.LastAccess(owner))
}

// Credential implements engine.Programmer: it is read out of its Secret.
func (r *rooms) Credential(ctx context.Context, id string) (credential kong.Entity, found bool, err error) {
	o, found := r.held.Find(id)
	if !found || o.Entity != kong.KindJWT {
		return kong.Entity{}, false, nil
	}
	live, err := r.cluster.get(ctx, o.Reference)
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
func (r *rooms) HasConsumer(ctx context.Context, nameOrID string) (bool, error) {
	name := desired.UniqueKey{Kind: desired.UniqueUsername, Value: nameOrID}
	_, found, err := r.others.Holder(ctx, r.objects.Unique(name))
	return found, err
}

// HoldsKey implements engine.Programmer.
func (r *rooms) HoldsKey(ctx context.Context, key string) (bool, error) {
	if _, found := r.held.Holder(keySum(r, key), desired.Owner{}); found {
		return true, nil
	}
	_, found, err := r.others.Holder(ctx, keySum(r, key))
	return found, err
}

// keySum gives a credential's key as objects have it.
func keySum(r *rooms, key string) desired.UniqueKey {
	return r.objects.Unique(desired.UniqueKey{Kind: desired.UniqueCredentialKey, Value: key})
}

// CredentialPart implements engine.Programmer.
func (r *rooms) CredentialPart(owner desired.Owner, key string) (part string, found bool) {
	sum := keySum(r, key)
	for _, o := range r.held.Of(owner) {
		if slices.Contains(o.Unique, sum) {
			return o.Part, true
		}
	}
	return "", false
}

// PublicKeyHolder implements engine.Programmer. A Secret that cannot be read is taken for one with the public key.
func (r *rooms) PublicKeyHolder(ctx context.Context, key, publicKeyPEM string) (owner desired.Owner, part string, found bool) {
	owner, found = r.held.Holder(keySum(r, key), desired.Owner{})
	if !found {
		return desired.Owner{}, "", false
	}
	part, _ = r.CredentialPart(owner, key)
	held, found, err := r.Credential(ctx, desired.CredentialID(r.Scope(), owner, part))
	if err != nil {
		return owner, part, true
	}
	same := strings.TrimSpace(desired.MaterialOf(held).PublicKeyPEM) == strings.TrimSpace(publicKeyPEM)
	return owner, part, found && same
}

// CredentialIDs implements engine.Programmer.
func (r *rooms) CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string {
	var ids []string
	for _, o := range r.held.Of(owner) {
		if o.Entity == kong.KindJWT && wanted(o.Part) {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// HasCredentials implements engine.Programmer.
func (r *rooms) HasCredentials(set desired.Set) bool {
	for _, entity := range set.Entities {
		if entity.Kind != kong.KindJWT {
			continue
		}
		o, found := r.held.Find(entity.ID)
		if !found || o.Epoch > r.barrier.Confirmed() ||
			cmp.Or(o.StandsFor, o.Name) != r.objects.CredentialName(set.Owner, entity) {
			return false
		}
	}
	return true
}
