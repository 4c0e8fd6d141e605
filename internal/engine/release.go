package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Release takes everything of an owner out of Kong, or, where retain is set, takes our tags off it and leaves it. It is done when it returns nil.
// The error is as Sync's.
func (g *Engine) Release(ctx context.Context, owner desired.Owner, retain bool) error {
	done, err := g.enter(ctx, owner)
	if err != nil {
		return err
	}
	defer done()
	g.detach(owner, nil)
	if retain {
		if err := g.letGo(ctx, owner); err != nil {
			return err
		}
		if err := g.inPush(owner); err != nil {
			return err
		}
		g.succeeded(owner)
		return nil
	}
	g.mu.Lock()
	g.forgetDrift(owner) // it goes, whatever somebody made of it
	g.mu.Unlock()
	return g.settle(ctx, &syncRun{set: desired.Set{Owner: owner}})
}

// letGo takes our tags off an owner's entities. The user's own stay.
func (g *Engine) letGo(ctx context.Context, owner desired.Owner) error {
	g.mu.Lock()
	held := g.mirror.of(owner)
	g.forgetDrift(owner)
	g.mu.Unlock()
	for _, e := range held {
		if err := g.untag(ctx, e); err != nil {
			return g.outcome(owner, fmt.Sprintf("%s %s", e.kind.Singular(), e.part), err)
		}
	}
	return nil
}

func (g *Engine) untag(ctx context.Context, e entry) error {
	defer g.inFlight(e.id)()
	entity, err := g.api.Get(ctx, e.kind, e.id)
	if err == nil {
		_, err = g.api.PatchTags(ctx, e.kind, e.consumerID, e.id, desired.WithoutOwnership(entity.Fields.Tags()))
	}
	if err != nil && !isNotFound(err) {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	g.forget(e)
	return nil
}

// childKinds are what is looked for before an entity goes. A route goes at once, whatever hangs on it: what is exposed is closed first.
var childKinds = map[kong.Kind][]kong.Kind{
	kong.KindConsumer: {
		kong.KindJWT, kong.KindACL, kong.KindPlugin, kong.KindKeyAuth, kong.KindBasicAuth, kong.KindHMACAuth, kong.KindOAuth2,
	},
	kong.KindService: {kong.KindRoute, kong.KindPlugin},
}

// checkChildren looks what others hung on an entity that is to go: Kong would take it along, or refuse.
func (g *Engine) checkChildren(ctx context.Context, o op) error {
	parent := o.target.entry
	if o.swap {
		return nil
	}
	var strangers []string
	leftover := false
	for _, kind := range childKinds[parent.kind] {
		for child, err := range g.api.ListChildren(ctx, parent.kind, parent.id, kind) {
			if isNotFound(err) && slices.Contains(kong.Kinds(), kind) {
				return nil // the parent is gone already
			}
			if isNotFound(err) {
				break // this Kong has no such plugin
			}
			if err != nil {
				return err
			}
			if stranger, found := g.judgeChild(child, parent); found {
				strangers = append(strangers, stranger)
			} else if g.takeIn(child, parent) {
				leftover = true
			}
		}
	}
	if len(strangers) > 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		stalled := status.Stalled(v1alpha1.ReasonConflict,
			"the %s is not deleted from Kong: others hung on it %s, which would go along; delete these in Kong, or set spec.deletionPolicy to Retain",
			parent.kind.Singular(), strings.Join(strangers, ", "))
		stalled.RetryAfter = g.backOff(parent.owner)
		return stalled
	}
	if leftover {
		return errReplan
	}
	return nil
}

// judgeChild names a child that is not the parent's owner's.
func (g *Engine) judgeChild(child kong.Entity, parent entry) (name string, stranger bool) {
	g.mu.Lock()
	known := g.mirror.entries[child.ID]
	g.mu.Unlock()
	ownership, tagged := desired.ParseTags(child.Fields.Tags())
	switch {
	case tagged && ownership.Scope == g.scope && ownership.Owner == parent.owner:
		return "", false
	case !tagged && known != nil && known.owner == parent.owner:
		return "", false // ours; somebody took the tags off
	}
	name = child.Kind.Singular() + " " + child.ID
	if text := child.Fields.Text("name"); text != "" {
		name = fmt.Sprintf("%s %s (%s)", child.Kind.Singular(), text, child.ID)
	}
	if tagged {
		name += " of " + ownership.Owner.String()
	}
	return name, true
}

// takeIn puts a child of ours into the mirror that it does not know and that Kong would not take along.
func (g *Engine) takeIn(child kong.Entity, parent entry) bool {
	g.mu.Lock()
	known := g.mirror.entries[child.ID] != nil
	g.mu.Unlock()
	if known || child.Kind != kong.KindRoute {
		return false
	}
	ownership, _ := desired.ParseTags(child.Fields.Tags())
	sum := g.sum(child)
	g.note(describe(child, parent.owner, ownership.Part, sum), sum)
	return true
}
