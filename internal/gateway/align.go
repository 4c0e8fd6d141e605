package gateway

import (
	"context"
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// survey is what a node runs.
type survey struct {
	node *node
	// ours by id, what deleted resources left included.
	ours map[string]kong.Entity
	// strangers counts what is not ours, by kind.
	strangers map[kong.Kind]int
}

// survey lists all that a node runs.
func (g *Gateway) survey(ctx context.Context, n *node) (survey, error) {
	s := survey{node: n, ours: map[string]kong.Entity{}, strangers: map[kong.Kind]int{}}
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

// refreshDeclared brings every node to the configuration that is ours, and the mirror to what they run.
func (g *Gateway) refreshDeclared(ctx context.Context, about kong.Node) error {
	g.declared.active.Store(true)
	if err := g.alignNodes(ctx); err != nil {
		return err
	}
	return g.refresh(ctx, about)
}

// alignNodes finds the nodes that run something else than they were given, and gives them ours.
func (g *Gateway) alignNodes(ctx context.Context) error {
	g.fleet.posting.Lock()
	defer g.fleet.posting.Unlock()
	others, err := g.fleet.changed(ctx)
	if err != nil {
		return err
	}
	var surveys []survey
	for _, n := range others {
		found, err := g.survey(ctx, n)
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
func (g *Gateway) level(ctx context.Context, surveys []survey) error {
	g.mu.Lock()
	first := g.filled.IsZero()
	g.mu.Unlock()
	var source *node
	if first && len(surveys) > 0 {
		most := slices.MaxFunc(surveys, func(a, b survey) int { return len(a.ours) - len(b.ours) })
		source = most.node
		g.declared.mu.Lock()
		g.declared.rebase(most.ours)
		g.declared.mu.Unlock()
	}
	g.declared.mu.Lock()
	base := g.declared.base
	g.declared.mu.Unlock()
	for _, s := range surveys {
		// An empty configuration is not pushed over anything: the first push comes with something to say.
		if s.node == source || len(base) == 0 && len(s.ours) == 0 {
			if err := g.fleet.accept(ctx, s.node); err != nil {
				return err
			}
			continue
		}
		entities := make([]kong.Entity, 0, len(base))
		for _, e := range base {
			entities = append(entities, e)
		}
		slices.SortFunc(entities, func(a, b kong.Entity) int { return compare(a.ID, b.ID) })
		g.log.Info("A node runs another configuration; it is given ours", "node", s.node.address, "entities", len(entities))
		if err := g.fleet.postTo(ctx, []*node{s.node}, entities); err != nil {
			return err
		}
	}
	return nil
}

// heartbeatNodes asks every node how it is, and asks for a look where one runs something else than it was given.
func (g *Gateway) heartbeatNodes(ctx context.Context) (reason, message string) {
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
func (g *Gateway) SetNodes(nodes []Node) error {
	changed, err := g.fleet.set(nodes)
	if changed {
		g.suspectLoss()
	}
	return err
}
