package holders

import (
	"context"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Holders say who has what, of this gateway and of others.
type Holders struct {
	Others  *Others
	Held    *held.Store
	Arbiter *arbiter.Arbiter
	// Unique gives a unique key as objects have it.
	Unique func(desired.UniqueKey) desired.UniqueKey
	// Older finds a resource that was created earlier and wants the same key. It is asked where nobody has the
	// key; it may be nil.
	Older func(desired.UniqueKey) (desired.Owner, bool)
	// TakenOver says whether the owner takes an object of somebody else over, with what it has; it may be nil.
	TakenOver func(objects.Reference) bool
}

// Refusal is a key that an owner cannot have.
type Refusal struct {
	Entity kong.Entity
	Key    desired.UniqueKey
	// By names who has it.
	By string
}

// Claim is an owner's turn to get the unique keys that it wants.
type Claim struct {
	Holders
	owner desired.Owner
	turn  *arbiter.Turn
	// reserved are keys that others are kept from until the turn ends, as objects have them, by the id of the
	// entity.
	reserved map[string][]desired.UniqueKey
	refusals []Refusal
}

// Claim keeps others from what an owner wants, until End is called, and finds what it cannot have.
func (h Holders) Claim(ctx context.Context, set desired.Set) (*Claim, error) {
	c := &Claim{
		Holders: h, owner: set.Owner, turn: h.Arbiter.Begin(set.Owner), reserved: map[string][]desired.UniqueKey{},
	}
	for _, entity := range set.Entities {
		keys := objects.UniqueKeys(entity)
		if len(keys) == 0 || c.has(entity.ID, keys) {
			continue
		}
		refusal, err := c.reserve(ctx, entity, keys)
		if err != nil {
			c.End()
			return nil, err
		}
		if refusal != nil {
			c.turn.Refused(c.Unique(refusal.Key))
			c.refusals = append(c.refusals, *refusal)
		}
	}
	return c, nil
}

// has says whether the owner's object of an entity has unique keys already.
func (c *Claim) has(id string, keys []desired.UniqueKey) bool {
	o, found := c.Held.Find(id)
	return found && o.Owner == c.owner &&
		!slices.ContainsFunc(c.asObjects(keys), func(key desired.UniqueKey) bool { return !slices.Contains(o.Unique, key) })
}

// asObjects gives unique keys as objects have them.
func (c *Claim) asObjects(keys []desired.UniqueKey) []desired.UniqueKey {
	have := make([]desired.UniqueKey, 0, len(keys))
	for _, key := range keys {
		have = append(have, c.Unique(key))
	}
	return have
}

// reserve keeps others from the keys of an entity; the order is arbiter.Arbiter's.
func (c *Claim) reserve(ctx context.Context, entity kong.Entity, keys []desired.UniqueKey) (*Refusal, error) {
	wanted := c.asObjects(keys)
	c.turn.Wait(wanted)
	if by, taken, ok := c.Arbiter.Reserve(entity.ID, c.owner, wanted); !ok {
		return &Refusal{entity, keys[slices.Index(wanted, taken)], by.String()}, nil
	}
	c.reserved[entity.ID] = wanted
	for i, key := range keys {
		by, err := c.holderOf(ctx, key, wanted[i])
		if err != nil {
			return nil, err
		}
		if by != "" {
			return &Refusal{entity, key, by}, nil
		}
	}
	c.turn.Got(wanted)
	return nil, nil
}

// holderOf names who has a key, or comes first; empty where nobody does.
func (c *Claim) holderOf(ctx context.Context, key, wanted desired.UniqueKey) (string, error) {
	if owner, found := c.Held.Holder(wanted, c.owner); found {
		return owner.String(), nil
	}
	if key.Kind != desired.UniqueRoute && key.Kind != desired.UniqueHost {
		by, found, err := c.Others.Holder(ctx, wanted)
		if err != nil {
			return "", err
		}
		if found && by.Owner != c.owner && (c.TakenOver == nil || !c.TakenOver(by.Reference)) {
			return by.String(), nil
		}
	}
	if c.Older != nil {
		if older, found := c.Older(key); found {
			return older.String() + ", which is older", nil
		}
	}
	return "", nil
}

// End lets others have what was not written.
func (c *Claim) End() {
	for id, keys := range c.reserved {
		o, _ := c.Held.Find(id)
		missed := slices.ContainsFunc(keys, func(key desired.UniqueKey) bool { return !slices.Contains(o.Unique, key) })
		c.Arbiter.Unreserve(id, keys, missed)
	}
	c.turn.End()
}

// Refusals are what the owner cannot have.
func (c *Claim) Refusals() []Refusal { return c.refusals }

// Refused gives the ids of the entities whose keys others have.
func (c *Claim) Refused() map[string]bool {
	ids := map[string]bool{}
	for _, refusal := range c.refusals {
		ids[refusal.Entity.ID] = true
	}
	return ids
}

// Granted gives a set without the entities that were refused. What is there of them stays as it is.
func (c *Claim) Granted(set desired.Set) desired.Set {
	refused := c.Refused()
	if len(refused) == 0 {
		return set
	}
	left := set
	left.Entities, left.Keep = nil, slices.Clone(set.Keep)
	for _, entity := range set.Entities {
		if refused[entity.ID] {
			left.Keep = append(left.Keep, entity.ID)
		} else {
			left.Entities = append(left.Entities, entity)
		}
	}
	return left
}

// LacksConsumer says whether the consumer itself was refused: nothing of it can be written then.
func (c *Claim) LacksConsumer() bool {
	return slices.ContainsFunc(c.refusals, func(r Refusal) bool { return r.Entity.Kind == kong.KindConsumer })
}
