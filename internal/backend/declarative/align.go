package declarative

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// content is what a node runs.
type content struct {
	node *node
	// hash is Kong's name of it.
	hash string
	// confirmed says that the node was seen to run what it was given last.
	confirmed bool
	revision  revision
	// verified says that the content is what was written under its revision.
	verified bool
	// ours by id, what deleted resources left included.
	ours configuration
	// foreign counts what is not this gateway's, by kind.
	foreign map[kong.Kind]int
	// ingress says that an ingress controller made some of it.
	ingress bool
}

// listAttempts is how often a node is listed that is given another configuration meanwhile.
const listAttempts = 3

// Align looks what every node runs, and gives ours to those that run something else. Kong's hash alone is not relied
// on: where somebody else, a former leader say, gave a node another configuration right after ours, it is the hash of
// that.
func (b *Backend) Align(ctx context.Context) error {
	if !b.nodes.complete() {
		return &backend.UnusableError{
			Reason: v1alpha1.ReasonProgressing, Message: "Kong has no database; finding its pods",
		}
	}
	if err := b.posting.take(ctx); err != nil {
		return err
	}
	defer b.posting.leave()
	if _, err := b.nodes.changed(ctx); err != nil {
		return err
	}
	if err := b.align(ctx, b.nodes.present()); err != nil {
		return err
	}
	b.aligned = true
	b.staged.nudge()
	return nil
}

// catchUp takes up what other processes had a Kong run since this one did: each push replaces it as a whole.
func (b *Backend) catchUp(ctx context.Context) error {
	if b.options.InScope == nil {
		return nil
	}
	others, err := b.nodes.changed(ctx)
	if err != nil {
		return err
	}
	return b.align(ctx, others)
}

func (b *Backend) align(ctx context.Context, nodes []*node) error {
	var contents []content
	for _, n := range nodes {
		found, err := reader{b.options}.read(ctx, n)
		if n.dispensable(err) {
			continue
		}
		if err != nil {
			return err
		}
		if len(found.foreign) > 0 && !b.options.Takeover {
			return foreignError(found)
		}
		b.revisions.saw(found.revision.number)
		contents = append(contents, found)
	}
	if !b.aligned && len(contents) > 0 {
		b.staged.setBase(slices.MaxFunc(contents, older).ours)
	}
	for _, c := range contents {
		if err := b.level(ctx, c); err != nil && !c.node.dispensable(err) {
			return err
		}
	}
	return nil
}

// older orders what nodes run by how much it is to be believed: content that is as it was written, then the higher
// revision, then the larger content, for configurations that carry no revision.
func older(a, b content) int {
	switch {
	case a.verified != b.verified && a.verified:
		return 1
	case a.verified != b.verified:
		return -1
	case a.revision.number != b.revision.number:
		return int(min(max(a.revision.number-b.revision.number, -1), 1))
	}
	return len(a.ours) - len(b.ours)
}

// foreignError says that a node runs what is not this gateway's.
func foreignError(c content) error {
	text := ""
	for _, kind := range backend.Kinds {
		if n := c.foreign[kind]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, kind)
		}
	}
	at := ""
	if c.node.address != "" {
		at = " on node " + c.node.address
	}
	wrong, todo := "runs a configuration that is not of this KongGateway",
		"A configuration is replaced as a whole: use another Kong, or set spec.adoption to Replace to have it replaced."
	if c.ingress {
		wrong, todo = "runs what an ingress controller gives it, and gives it again",
			"Use a Kong of the operator's own."
	}
	return &backend.UnusableError{Reason: v1alpha1.ReasonConflict, Message: fmt.Sprintf(
		"spec.adminAPI: this Kong has no database and %s (%s)%s. %s", wrong, text[2:], at, todo)}
}

// level gives a node that runs something else what it should run.
func (b *Backend) level(ctx context.Context, c content) error {
	base := b.baseWith(c)
	if b.runs(c, base) {
		c.node.setGiven(given{c.hash, c.revision.number})
		return nil
	}
	b.options.Log.Info("A node runs another configuration; it is given ours",
		"node", c.node.address, "entities", len(base))
	if err := b.restore(ctx, c.node); err != nil {
		return err
	}
	b.options.tellRestored(b.listener, c, base)
	return nil
}

// baseWith gives what the nodes should run. What other processes write is as a node has it, unless the node is new and
// has nothing.
func (b *Backend) baseWith(c content) configuration {
	base := b.staged.given()
	if b.options.InScope == nil || len(c.ours) == 0 {
		return base
	}
	base = combine(base, c.ours, b.options.InScope)
	b.staged.setBase(base)
	return base
}

// runs says whether a node runs what it should, or what it was to be given last and did not answer to: that is not
// taken back. An empty configuration is not pushed over anything: the first push comes with something to say.
func (b *Backend) runs(c content, base configuration) bool {
	if len(base) == 0 && len(c.ours) == 0 {
		return true
	}
	if len(c.foreign) > 0 {
		return false
	}
	// A default that Kong makes at random is shown, and was not given. It is ours all the same.
	asGiven := c.revision.number > 0 && c.node.lastGiven() == given{c.hash, c.revision.number}
	tried, found := b.staged.lastTried()
	return asGiven || b.options.equal(c.ours, base) || found && b.options.equal(c.ours, tried)
}

// restore gives a node the configuration that the others run. What it refuses of it, perhaps a newer Kong, goes, and
// the owners are told.
func (b *Backend) restore(ctx context.Context, n *node) error {
	for {
		base := b.staged.given()
		err := b.post(ctx, []*node{n}, base)
		var refused *kong.ConfigError
		if !errors.As(err, &refused) || len(refused.Entities) == 0 {
			return err
		}
		if _, cut := b.leaveOut(base, nil, refused.Entities); !cut {
			return err
		}
	}
}

// tellRestored tells what somebody else changed on a node that ran what it was given, and does not run it any more. A
// node that has nothing of ours is a new one, or has started again.
func (o Options) tellRestored(to Listener, c content, base configuration) {
	if !c.confirmed || len(c.ours) == 0 {
		return
	}
	ids := make(map[string]bool, len(base))
	for id := range base {
		ids[id] = true
	}
	for id := range c.ours {
		ids[id] = true
	}
	for id := range ids {
		if o.same(c.ours, base, id) {
			continue
		}
		var shown, given *kong.Entity
		if e, is := c.ours[id]; is {
			shown = &e
		}
		if e, was := base[id]; was {
			given = &e
		}
		to.Restored(shown, given)
	}
}
