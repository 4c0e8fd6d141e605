package ingress

import (
	"context"
	"errors"

	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// others are the keys and names that the cluster's objects have, as of a moment ago: those of other controllers'
// users, of other installations, and of other processes of this one.
type others struct {
	at      time.Time
	holders map[desired.UniqueKey]holder
}

// holder is an object, and whose it is where it is this gateway's.
type holder struct {
	objects.Reference
	owner desired.Owner
}

func (h holder) String() string {
	if h.owner != (desired.Owner{}) {
		return h.owner.String()
	}
	return h.Reference.String()
}

// othersAge is how old what is known of others may be: many consumers that come at once are checked by one listing.
const othersAge = 2 * time.Second

func (e *Engine) others(ctx context.Context) (map[desired.UniqueKey]holder, error) {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	if known.holders != nil && e.start.Now().Sub(known.at) < othersAge {
		return known.holders, nil
	}
	now := others{at: e.start.Now(), holders: map[desired.UniqueKey]holder{}}
	if err := e.cluster.credentials(ctx, e.objects, now.holders); err != nil {
		return nil, err
	}
	if err := e.cluster.consumers(ctx, e.objects, now.holders); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.known = now
	e.mu.Unlock()
	return now.holders, nil
}

// claim is an owner's turn to get the unique keys that it wants.
type claim struct {
	*Engine
	owner   desired.Owner
	options engine.SyncOptions
	turn    *arbiter.Turn
	// reserved are keys that others are kept from until the turn ends, as objects have them, by the id of the entity.
	reserved map[string][]desired.UniqueKey
	// refused are the ids of entities whose keys others have.
	refused map[string]bool
	errs    []error
}

// claims keeps others from what an owner wants, until end is called, and finds what it cannot have: the controller
// would drop both holders. Whoever has a key keeps it.
func (e *Engine) claims(ctx context.Context, set desired.Set, options engine.SyncOptions) (*claim, error) {
	c := &claim{
		Engine: e, owner: set.Owner, options: options, turn: e.arbiter.Begin(set.Owner),
		reserved: map[string][]desired.UniqueKey{}, refused: map[string]bool{},
	}
	for _, entity := range set.Entities {
		keys := objects.UniqueKeys(entity)
		if has, held := e.held.find(entity.ID); len(keys) == 0 || held && has.Owner == set.Owner && e.hasAll(has, keys) {
			continue
		}
		err := c.reserve(ctx, entity, keys)
		var stalled *status.StalledError
		if errors.As(err, &stalled) {
			c.refused[entity.ID] = true
			c.errs = append(c.errs, err)
		} else if err != nil {
			c.end()
			return nil, err
		}
	}
	return c, nil
}

// hasAll says whether an object has unique keys already.
func (e *Engine) hasAll(o seen, keys []desired.UniqueKey) bool {
	return !slices.ContainsFunc(e.sums(keys), func(key desired.UniqueKey) bool { return !slices.Contains(o.Unique, key) })
}

// end lets others have what was not written.
func (c *claim) end() {
	for id, keys := range c.reserved {
		c.arbiter.Unreserve(id, keys)
		has, _ := c.held.find(id)
		c.arbiter.Free(slices.DeleteFunc(keys, func(key desired.UniqueKey) bool {
			return slices.Contains(has.Unique, key)
		}), c.owner)
	}
	c.turn.End()
}

func (c *claim) reserve(ctx context.Context, entity kong.Entity, keys []desired.UniqueKey) error {
	had := c.sums(keys)
	c.turn.Wait(had)
	if by, taken, ok := c.arbiter.Reserve(entity.ID, c.owner, had); !ok {
		return c.refuse(entity, keys[slices.Index(had, taken)], by.String())
	}
	c.reserved[entity.ID] = had
	for _, key := range keys {
		by, err := c.holderOf(ctx, key)
		if err != nil {
			return err
		}
		if by != "" {
			return c.refuse(entity, key, by)
		}
	}
	c.turn.Got(had)
	return nil
}

// sums gives unique keys as objects have them.
func (e *Engine) sums(keys []desired.UniqueKey) []desired.UniqueKey {
	sums := make([]desired.UniqueKey, 0, len(keys))
	for _, key := range keys {
		sums = append(sums, e.objects.Unique(key))
	}
	return sums
}

// holderOf names who else has a key, or comes first.
func (c *claim) holderOf(ctx context.Context, key desired.UniqueKey) (string, error) {
	had := c.objects.Unique(key)
	if owner, found := c.held.holder(had, c.owner); found {
		return owner.String(), nil
	}
	if key.Kind != desired.UniqueRoute && key.Kind != desired.UniqueHost {
		known, err := c.others(ctx)
		if err != nil {
			return "", err
		}
		if by, found := known[had]; found && by.owner != c.owner {
			return by.String(), nil
		}
	}
	if c.options.Older != nil {
		if older, found := c.options.Older(key); found {
			return older.String() + ", which is older", nil
		}
	}
	return "", nil
}

// refuse says that a key is held. The owner waits for it.
func (c *claim) refuse(entity kong.Entity, key desired.UniqueKey, by string) error {
	c.turn.Refused(c.objects.Unique(key))
	name := key.String()
	ownership, _ := desired.ParseTags(entity.Fields.Tags())
	if credential, is := desired.CredentialOf(ownership.Part); is && c.options.KeyInSecret != nil &&
		c.options.KeyInSecret(credential) {
		name = "the key that the Secret of credential " + credential + " has"
	}
	stalled := status.Stalled(v1alpha1.ReasonConflict,
		"%s: %s is held by %s, and an ingress controller drops both holders (KongGateway %s). Choose another.",
		engine.KeyField(key.Kind), name, by, c.start.Scope.Gateway)
	stalled.RetryAfter = c.arbiter.Retry(c.owner)
	return stalled
}

// without gives a set without the entities that were refused. What is there of them stays as it is.
func (c *claim) without(set desired.Set) desired.Set {
	if len(c.refused) == 0 {
		return set
	}
	left := set
	left.Entities, left.Keep = nil, slices.Clone(set.Keep)
	for _, entity := range set.Entities {
		if c.refused[entity.ID] {
			left.Keep = append(left.Keep, entity.ID)
		} else {
			left.Entities = append(left.Entities, entity)
		}
	}
	return left
}

// lacksConsumer says whether the consumer itself was refused: nothing of it can be written then.
func (c *claim) lacksConsumer(set desired.Set) bool {
	return slices.ContainsFunc(set.Entities, func(e kong.Entity) bool {
		return e.Kind == kong.KindConsumer && c.refused[e.ID]
	})
}

// err is what could not be had.
func (c *claim) err() error { return errors.Join(c.errs...) }

// keySum gives a credential's key as objects have it.
func (e *Engine) keySum(key string) desired.UniqueKey {
	return e.objects.Unique(desired.UniqueKey{Kind: desired.UniqueCredentialKey, Value: key})
}
