package declarative

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// reader reads what nodes run.
type reader struct{ options Options }

// read lists all that a node runs: one configuration, and not parts of two.
func (r reader) read(ctx context.Context, n *node) (content, error) {
	for range listAttempts {
		before, err := n.api.Status(ctx)
		if err != nil {
			return content{}, err
		}
		found, err := r.list(ctx, n)
		if err != nil {
			return content{}, err
		}
		after, err := n.api.Status(ctx)
		if err != nil {
			return content{}, err
		}
		if found.hash = after.ConfigurationHash; found.hash == before.ConfigurationHash {
			return found, nil
		}
	}
	return content{}, fmt.Errorf("list what the node runs: %w",
		n.name(errors.New("it is given one configuration after the other by somebody else")))
}

func (r reader) list(ctx context.Context, n *node) (content, error) {
	c := content{node: n, confirmed: n.lastGiven().hash != "", ours: configuration{}, foreign: map[kong.Kind]int{}}
	for _, kind := range backend.Kinds {
		for e, err := range n.api.List(ctx, kind, kong.ListOptions{}) {
			if err != nil {
				return c, fmt.Errorf("list %s: %w", kind, err)
			}
			if err := r.add(ctx, &c, e); err != nil {
				return c, err
			}
		}
	}
	c.verified = c.revision.number > 0 &&
		c.revision.hash == contentHash(sorted(c.ours), r.options.Schemas.Canonical)
	return c, nil
}

// add adds an entity that a node shows.
func (r reader) add(ctx context.Context, c *content, e kong.Entity) error {
	ownership, ours := desired.ParseTags(e.Fields.Tags())
	carried, isRevision := revisionOf(e)
	switch {
	case isRevision && e.ID == carrierID(r.options.Scope):
		c.revision = carried
		return nil
	case ours && ownership.Scope == r.options.Scope || slices.Contains(e.Fields.Tags(), tagRetained):
		c.ours[e.ID] = e
	default:
		c.foreign[e.Kind]++
		c.ingress = c.ingress || isOfIngressController(e)
		return nil
	}
	var rejected *status.StalledError
	if err := r.options.Schemas.Load(ctx, e); err != nil && !errors.As(err, &rejected) {
		return err
	}
	return nil
}

// equal says whether a configuration, as Kong shows it, is the one that it was given.
func (o Options) equal(shown, given configuration) bool {
	if len(shown) != len(given) {
		return false
	}
	for id := range shown {
		if !o.same(shown, given, id) {
			return false
		}
	}
	return true
}

// same says whether an entity, as a node shows it, is the one that it was given, or is in neither.
func (o Options) same(shown, given configuration, id string) bool {
	is, there := shown[id]
	was, sent := given[id]
	return there == sent &&
		(!there || bytes.Equal(o.Schemas.Canonical(is), o.Schemas.Canonical(was)))
}

// isOfIngressController says whether an ingress controller made an entity: Kong's tags all that it makes
// (--kong-admin-filter-tag), and what it makes of an object with the object's kind.
func isOfIngressController(e kong.Entity) bool {
	return slices.ContainsFunc(e.Fields.Tags(), func(tag string) bool {
		return tag == "managed-by-ingress-controller" || strings.HasPrefix(tag, "k8s-kind:")
	})
}
