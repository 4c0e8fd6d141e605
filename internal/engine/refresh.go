package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/observed"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// refresh lists what Kong holds of this operator's, and takes it over. Owners of what differs are woken. The mark is
// taken before the listing begins: what a Sync writes while pages are read is newer than the pages, and is not judged
// by them (observed.Judge).
func (m *monitor) refresh(ctx context.Context) error {
	mark := m.observed.Mark()
	listing, err := m.list(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	connected, rehash := m.connected, m.rehash
	// Only after a listing that was complete: one that fails leaves it for the next.
	m.rehash = false
	m.mu.Unlock()
	if rehash {
		m.drifts.Rehash()
	}
	for _, finding := range m.observed.Judge(listing, mark, rehash) {
		m.take(finding, mark, connected)
	}
	m.clocks.Expire()
	for _, owner := range m.memory.differing(m.observed) {
		m.wake(owner, EventDrift)
	}
	return nil
}

// list reads all entities that carry the operator's tags.
func (m *monitor) list(ctx context.Context) ([]plan.Entry, error) {
	lists := make([][]plan.Entry, len(backend.Kinds))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, kind := range backend.Kinds {
		if !m.link.describe().Capabilities.HasKind(kind) {
			continue
		}
		group.Go(func() (err error) {
			lists[i], err = m.listKind(groupCtx, kind)
			return err
		})
	}
	group.Go(func() error { return m.refreshTargets(groupCtx) })
	group.Go(func() error { return m.refreshRivals(groupCtx) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []plan.Entry
	for _, entries := range lists {
		all = append(all, entries...)
	}
	return all, nil
}

// listKind lists the entities of a kind that carry this gateway's tags.
func (m *monitor) listKind(ctx context.Context, kind kong.Kind) ([]plan.Entry, error) {
	var entries []plan.Entry
	for e, err := range m.link.current().List(ctx, kind, kong.ListOptions{Tags: m.scope.ListTags()}) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind, err)
		}
		ownership, ours := desired.ParseTags(e.Fields.Tags())
		if !ours || ownership.Scope != m.scope {
			continue
		}
		var rejected *status.StalledError
		if err := m.link.schemas.Load(ctx, e); err != nil && !errors.As(err, &rejected) {
			return nil, err
		}
		entries = append(entries, plan.Describe(e, ownership.Owner, ownership.Part, m.sum(e)))
	}
	return entries, nil
}

// take does what a finding means: somebody else changed Kong, or it is known now what came of a write. connected is
// false at the first listing: what is there then was made by an earlier process of this operator, and is no drift.
func (m *monitor) take(f observed.Finding, mark uint64, connected bool) {
	owner := f.Entry().Owner
	switch f.Verdict {
	case observed.Settled:
		m.wake(owner, EventFreed)
	case observed.Rehashed:
		m.wake(owner, EventDrift)
	case observed.Appeared:
		if connected {
			m.drifted(f, mark)
		}
	default:
		m.drifted(f, mark)
	}
	m.release(f.Change)
}

// drifted records that somebody else changed an entity, and wakes its owner.
func (m *monitor) drifted(f observed.Finding, mark uint64) {
	e := f.Entry()
	if m.options.InScope != nil && !m.options.InScope(e.Owner) {
		return
	}
	over := m.drifts.Note(f)
	// A Sync wrote the entity after the finding was made, and before it is noted here.
	if m.observed.WrittenSince(e.ID, mark) {
		m.drifts.Written(e.ID)
		return
	}
	m.wake(e.Owner, EventDrift)
	if over {
		m.log.Info("Kong is as it was again",
			"kind", e.Kind.Singular(), "plugin", e.Plugin, "owner", e.Owner.String(), "part", e.Part)
		return
	}
	m.countDrift(e, f.Verdict)
}

// countDrift logs and counts an entity that somebody else changed.
func (r *rooms) countDrift(e plan.Entry, how observed.Verdict) {
	policy := "Correct"
	if r.settings.ReportDrift {
		policy = "Report"
	}
	r.log.Info("Kong was changed by somebody else", "kind", e.Kind.Singular(), "plugin", e.Plugin,
		"owner", e.Owner.String(), "part", e.Part, "how", strings.ToLower(string(how)), "policy", policy)
	if r.options.Drifted != nil {
		r.options.Drifted(r.scope.Gateway, e.Kind)
	}
}

// Relist asks for a listing at once, instead of at the next drift interval: once for every new request of an owner,
// whatever it says. A request that is there when this process first sees the owner is an old one.
func (e *Engine) Relist(owner desired.Owner, text string) {
	if e.memory.asks(owner, text) {
		request(e.monitor.relist)
	}
}
