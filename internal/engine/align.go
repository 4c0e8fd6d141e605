package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// survey is what a node runs.
type survey struct {
	node *node
	// hash is Kong's name for it.
	hash string
	// confirmed says that it was seen to run what it was given last.
	confirmed bool
	// ours by id, what deleted resources left included.
	ours map[string]kong.Entity
	// strangers counts what is not ours, by kind.
	strangers map[kong.Kind]int
}

// surveysAtOnce is how often a node is listed that is given another configuration meanwhile.
const surveysAtOnce = 3

// survey lists all that a node runs: one configuration, and not parts of two.
func (g *Engine) survey(ctx context.Context, n *node) (survey, error) {
	for range surveysAtOnce {
		before, err := n.api.Status(ctx)
		if err != nil {
			return survey{}, err
		}
		found, err := g.surveyOnce(ctx, n)
		if err != nil {
			return survey{}, err
		}
		after, err := n.api.Status(ctx)
		if err != nil {
			return survey{}, err
		}
		if found.hash = after.ConfigurationHash; found.hash == before.ConfigurationHash {
			return found, nil
		}
	}
	return survey{}, fmt.Errorf("list what the node runs: %w", n.named(errRestless))
}

func (g *Engine) surveyOnce(ctx context.Context, n *node) (survey, error) {
	s := survey{node: n, confirmed: g.fleet.hashOf(n) != "", ours: map[string]kong.Entity{}, strangers: map[kong.Kind]int{}}
	for _, kind := range kinds {
		for e, err := range n.api.List(ctx, kind, kong.ListOptions{}) {
			if err != nil {
				return s, fmt.Errorf("list %s: %w", kind, err)
			}
			ownership, ours := desired.ParseTags(e.Fields.Tags())
			if ours && ownership.Scope == g.scope || slices.Contains(e.Fields.Tags(), tagRetained) {
				s.ours[e.ID] = e
				continue
			}
			s.strangers[kind]++
		}
	}
	return s, nil
}

// strangersError says that a node runs what is not ours.
type strangersError struct {
	address   string
	strangers map[kong.Kind]int
}

func (e *strangersError) Error() string {
	text := ""
	for _, kind := range kinds {
		if n := e.strangers[kind]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, kind)
		}
	}
	return fmt.Sprintf("this Kong has no database and runs a configuration that is not of this KongGateway (%s)%s; a configuration is replaced as a whole: "+
		"set spec.takeover to true to have it replaced, or use another Kong", text[2:], e.at())
}

func (e *strangersError) at() string {
	if e.address == "" {
		return ""
	}
	return " on node " + e.address
}

var (
	errPodsUnnamed = errors.New("Kong has no database; finding its pods") //nolint:staticcheck // Kong is a name, and this is a status.
	errRestless    = errors.New("it is given one configuration after the other by somebody else")
)

// refreshDeclared brings every node to the configuration that is ours, and the mirror to what they run.
func (g *Engine) refreshDeclared(ctx context.Context, about kong.Node) error {
	g.declared.active.Store(true)
	if !g.fleet.complete() {
		g.setNode(about)
		return errPodsUnnamed
	}
	if err := g.alignNodes(ctx); err != nil {
		return err
	}
	return g.refresh(ctx, about)
}

// alignNodes looks what every node runs, and gives ours to those that run something else. The hash alone is not relied on: where somebody else, a former leader say,
// gave it another configuration right after ours, it is the hash of that.
func (g *Engine) alignNodes(ctx context.Context) error {
	g.fleet.posting.Lock()
	defer g.fleet.posting.Unlock()
	if _, err := g.fleet.changed(ctx); err != nil {
		return err
	}
	return g.align(ctx, g.fleet.present())
}

// catchUp takes up what other processes had a Kong run since this one did: each push replaces it as a whole. The caller is the one that posts.
func (g *Engine) catchUp(ctx context.Context) error {
	if g.options.InScope == nil {
		return nil
	}
	others, err := g.fleet.changed(ctx)
	if err != nil {
		return err
	}
	return g.align(ctx, others)
}

func (g *Engine) align(ctx context.Context, nodes []*node) error {
	var surveys []survey
	for _, n := range nodes {
		found, err := g.survey(ctx, n)
		if g.fleet.dispensable(n, err) {
			continue
		}
		if err != nil {
			return err
		}
		if len(found.strangers) > 0 && !g.settings.Takeover {
			return &strangersError{address: n.address, strangers: found.strangers}
		}
		surveys = append(surveys, found)
	}
	return g.level(ctx, surveys)
}

// level gives the nodes that run something else what they should run. A process that has just started takes that from the node that has the most of it.
func (g *Engine) level(ctx context.Context, surveys []survey) error {
	g.mu.Lock()
	first := g.filled.IsZero()
	g.mu.Unlock()
	if first && len(surveys) > 0 {
		most := slices.MaxFunc(surveys, func(a, b survey) int { return len(a.ours) - len(b.ours) })
		g.setBase(most.ours)
	}
	for _, s := range surveys {
		base := g.baseWith(s)
		fine, err := g.runs(ctx, s, base)
		if err != nil {
			return err
		}
		if fine {
			g.fleet.setHash(s.node, s.hash)
		} else {
			g.log.Info("A node runs another configuration; it is given ours", "node", s.node.address, "entities", len(base))
			if err = g.restore(ctx, s.node); err == nil {
				g.noteRestored(s, base)
			}
		}
		if err != nil && !g.fleet.dispensable(s.node, err) {
			return err
		}
	}
	return nil
}

// restore gives a node the configuration that the others run. What it refuses of it, perhaps a newer Kong, goes, and its owners are told.
func (g *Engine) restore(ctx context.Context, n *node) error {
	for {
		g.declared.mu.Lock()
		base := g.declared.base
		g.declared.mu.Unlock()
		err := g.fleet.postTo(ctx, []*node{n}, sorted(base))
		var refused *kong.ConfigError
		if !errors.As(err, &refused) || len(refused.Entities) == 0 {
			return err
		}
		if _, cut := g.leaveOut(base, nil, refused.Entities); !cut {
			return err
		}
	}
}

func (g *Engine) setBase(base map[string]kong.Entity) {
	g.declared.mu.Lock()
	defer g.declared.mu.Unlock()
	g.declared.rebase(base)
}

// baseWith gives what the nodes should run. What other processes write is as a node has it, unless the node is new and has nothing.
func (g *Engine) baseWith(s survey) map[string]kong.Entity {
	g.declared.mu.Lock()
	defer g.declared.mu.Unlock()
	if g.options.InScope == nil || len(s.ours) == 0 {
		return g.declared.base
	}
	g.declared.rebase(combine(g.declared.base, s.ours, g.options.InScope))
	return g.declared.base
}

// combine makes a configuration of what is this process's own in ours, and what is others' in theirs. It is pure.
func combine(ours, theirs map[string]kong.Entity, own func(desired.Owner) bool) map[string]kong.Entity {
	combined := map[string]kong.Entity{}
	for id, e := range theirs {
		if ownership, owned := desired.ParseTags(e.Fields.Tags()); !owned || !own(ownership.Owner) {
			combined[id] = e
		}
	}
	for id, e := range ours {
		// What a deleted resource left is nobody's, and everybody's to carry along.
		if ownership, owned := desired.ParseTags(e.Fields.Tags()); !owned || own(ownership.Owner) {
			combined[id] = e
		}
	}
	return combined
}

// runs says whether a node runs what it should, or what it was to be given last and did not answer to: that is not taken back. An empty configuration is not
// pushed over anything: the first push comes with something to say.
func (g *Engine) runs(ctx context.Context, s survey, base map[string]kong.Entity) (bool, error) {
	if len(base) == 0 && len(s.ours) == 0 {
		return true, nil
	}
	if len(s.strangers) > 0 {
		return false, nil
	}
	for _, e := range s.ours {
		var rejected *status.StalledError
		if err := g.schemas.load(ctx, e); err != nil && !errors.As(err, &rejected) {
			return false, err
		}
	}
	g.declared.mu.Lock()
	tried := g.declared.tried
	g.declared.mu.Unlock()
	return g.equal(s.ours, base) || g.equal(s.ours, tried), nil
}

// equal says whether a configuration, as Kong shows it, is the one that it was given.
func (g *Engine) equal(shown, given map[string]kong.Entity) bool {
	if len(shown) != len(given) {
		return false
	}
	for id := range shown {
		if !g.same(shown, given, id) {
			return false
		}
	}
	return true
}

func sorted(configuration map[string]kong.Entity) []kong.Entity {
	return slices.SortedFunc(maps.Values(configuration), func(a, b kong.Entity) int { return compare(a.ID, b.ID) })
}

// heartbeatNodes asks every node how it is, and asks for a look where one runs something else than it was given.
func (g *Engine) heartbeatNodes(ctx context.Context) (reason, message string) {
	if !g.fleet.posting.TryLock() {
		return "", "" // they are being given a configuration, and say by that how they are
	}
	defer g.fleet.posting.Unlock()
	others, err := g.fleet.changed(ctx)
	if err != nil {
		return g.unready(err)
	}
	if len(others) > 0 && g.ready() {
		g.relook()
	}
	return "", ""
}

// SetNodes names the nodes of a gateway that has no database. None: the Admin API's own address.
func (g *Engine) SetNodes(nodes []Node) error {
	changed, err := g.fleet.set(nodes)
	if changed {
		g.suspectLoss()
	}
	return err
}
