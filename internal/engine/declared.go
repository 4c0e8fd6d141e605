package engine

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// tagRetained marks what a deleted resource left in a Kong without a database: a configuration is replaced as a whole, so that what is to stay has to be
// carried along.
const tagRetained = desired.TagManaged + "-retained"

// declared stands before the Admin API of a Kong without a database, where nothing can be written but a whole configuration: what is written is
// staged, and goes in with the next push. With a database it passes everything on.
type declared struct {
	AdminAPI

	active atomic.Bool
	// kick asks for a push.
	kick chan struct{}

	mu sync.Mutex
	// base is what Kong was given last, by id; baseChildren are the ids in it that hang on one, nil until they are asked for.
	base         map[string]kong.Entity
	baseChildren map[string][]string
	// tried is what Kong was to be given last: it may run that, where its answer was lost.
	tried map[string]kong.Entity
	// staged is what differs from it by now, and changing how many of that are whose.
	staged   map[string]change
	changing map[desired.Owner]int
	// stagedChildren are the ids in staged that hang on one.
	stagedChildren map[string]map[string]bool
}

// change is one staged write.
type change struct {
	owner desired.Owner
	// entity is nil where it is deleted.
	entity *kong.Entity
}

// parents are the ids of what the entity is to hang on.
func (c change) parents() []string {
	if c.entity == nil {
		return nil
	}
	return parentsOf(*c.entity)
}

func newDeclared(api AdminAPI) *declared {
	return &declared{
		AdminAPI: api, kick: make(chan struct{}, 1), base: map[string]kong.Entity{},
		staged: map[string]change{}, changing: map[desired.Owner]int{}, stagedChildren: map[string]map[string]bool{},
	}
}

// Put stages an entity, and answers it as it was sent.
func (d *declared) Put(ctx context.Context, e kong.Entity) (kong.Entity, error) {
	if !d.active.Load() {
		return d.AdminAPI.Put(ctx, e)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	d.stage(e.ID, change{ownership.Owner, &e})
	return e, nil
}

// PatchTags stages an entity's tags. One that is left without an owner is carried along from now on.
func (d *declared) PatchTags(ctx context.Context, kind kong.Kind, consumerID, id string, tags []string) (kong.Entity, error) {
	if !d.active.Load() {
		return d.AdminAPI.PatchTags(ctx, kind, consumerID, id, tags)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e, found := d.effective(id)
	if !found {
		return kong.Entity{}, &kong.NotFoundError{}
	}
	former, _ := desired.ParseTags(e.Fields.Tags())
	if _, ours := desired.ParseTags(tags); !ours {
		tags = append(slices.Clone(tags), tagRetained)
	}
	e.Fields = maps.Clone(e.Fields)
	e.Fields["tags"] = tags
	d.stage(id, change{former.Owner, &e})
	return e, nil
}

// Delete stages the end of an entity and of what hangs on it.
func (d *declared) Delete(ctx context.Context, kind kong.Kind, consumerID, id string) error {
	if !d.active.Load() {
		return d.AdminAPI.Delete(ctx, kind, consumerID, id)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(id)
	return nil
}

// remove stages the end of an entity, its children first. The caller holds the lock.
func (d *declared) remove(id string) {
	e, found := d.effective(id)
	if !found {
		return
	}
	for _, child := range d.children(id) {
		d.remove(child.ID)
	}
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	d.stage(id, change{owner: ownership.Owner})
}

// Get answers with an entity by its id, as it is staged.
func (d *declared) Get(ctx context.Context, kind kong.Kind, nameOrID string) (kong.Entity, error) {
	if !d.active.Load() {
		return d.AdminAPI.Get(ctx, kind, nameOrID)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, found := d.effective(nameOrID); found && e.Kind == kind {
		return e, nil
	}
	return kong.Entity{}, &kong.NotFoundError{}
}

// ConsumerByCustomID is asked who took a name before us: with a configuration that is all ours, nobody did.
func (d *declared) ConsumerByCustomID(ctx context.Context, customID string) (kong.Entity, bool, error) {
	if !d.active.Load() {
		return d.AdminAPI.ConsumerByCustomID(ctx, customID)
	}
	return kong.Entity{}, false, nil
}

// List gives what all nodes run, or are about to: they were asked before, each of them, and may not be asked as one.
func (d *declared) List(ctx context.Context, kind kong.Kind, opts kong.ListOptions) iter.Seq2[kong.Entity, error] {
	if !d.active.Load() {
		return d.AdminAPI.List(ctx, kind, opts)
	}
	d.mu.Lock()
	all := withChanges(d.base, d.staged)
	d.mu.Unlock()
	return func(yield func(kong.Entity, error) bool) {
		for _, e := range all {
			if e.Kind == kind && !yield(e, nil) {
				return
			}
		}
	}
}

// ListChildren gives what hangs on an entity, as it is staged.
func (d *declared) ListChildren(ctx context.Context, parent kong.Kind, parentID string, child kong.Kind) iter.Seq2[kong.Entity, error] {
	if !d.active.Load() {
		return d.AdminAPI.ListChildren(ctx, parent, parentID, child)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	children := d.children(parentID)
	return func(yield func(kong.Entity, error) bool) {
		for _, e := range children {
			if e.Kind == child && !yield(e, nil) {
				return
			}
		}
	}
}

// rebase notes what Kong was given. The caller holds the lock.
func (d *declared) rebase(base map[string]kong.Entity) { d.base, d.baseChildren = base, nil }

// cut takes an entity out of what Kong was given, and what hangs on it.
func (d *declared) cut(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	smaller := maps.Clone(d.base)
	for gone := []string{id}; len(gone) > 0; gone = gone[1:] {
		delete(smaller, gone[0])
		for childID, e := range smaller {
			if slices.Contains(parentsOf(e), gone[0]) {
				gone = append(gone, childID)
			}
		}
	}
	d.rebase(smaller)
}

// children are the entities that hang on one, as they are staged. They are asked for once for each kind of each entity that goes: to look through all
// entities for them would make the end of thousands take hours. The caller holds the lock.
func (d *declared) children(id string) []kong.Entity {
	if d.baseChildren == nil {
		d.baseChildren = map[string][]string{}
		for childID, e := range d.base {
			for _, parent := range parentsOf(e) {
				d.baseChildren[parent] = append(d.baseChildren[parent], childID)
			}
		}
	}
	var found []kong.Entity
	for _, childID := range d.baseChildren[id] {
		if _, changing := d.staged[childID]; !changing {
			found = append(found, d.base[childID])
		}
	}
	for childID := range d.stagedChildren[id] {
		found = append(found, *d.staged[childID].entity)
	}
	return found
}

// parentsOf are the ids of what an entity hangs on, each once.
func parentsOf(e kong.Entity) []string {
	parents := entry{consumerID: e.ConsumerID, consumer: e.Fields.Ref("consumer"), service: e.Fields.Ref("service"), route: e.Fields.Ref("route")}.parents()
	slices.Sort(parents)
	return slices.Compact(parents)
}

// stage notes a change, and asks for a push. The caller holds the lock.
func (d *declared) stage(id string, c change) {
	d.unstage(id)
	d.staged[id] = c
	d.changing[c.owner]++
	for _, parent := range c.parents() {
		if d.stagedChildren[parent] == nil {
			d.stagedChildren[parent] = map[string]bool{}
		}
		d.stagedChildren[parent][id] = true
	}
	d.nudge()
}

// unstage forgets a change. The caller holds the lock.
func (d *declared) unstage(id string) {
	former, found := d.staged[id]
	if !found {
		return
	}
	delete(d.staged, id)
	for _, parent := range former.parents() {
		if delete(d.stagedChildren[parent], id); len(d.stagedChildren[parent]) == 0 {
			delete(d.stagedChildren, parent)
		}
	}
	if d.changing[former.owner]--; d.changing[former.owner] == 0 {
		delete(d.changing, former.owner)
	}
}

func (d *declared) nudge() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// effective is an entity as it is staged. The caller holds the lock.
func (d *declared) effective(id string) (kong.Entity, bool) {
	if c, changing := d.staged[id]; changing {
		if c.entity == nil {
			return kong.Entity{}, false
		}
		return *c.entity, true
	}
	e, found := d.base[id]
	return e, found
}

// withChanges gives a configuration with changes. It is pure.
func withChanges(base map[string]kong.Entity, changes map[string]change) map[string]kong.Entity {
	result := maps.Clone(base)
	for id, c := range changes {
		if c.entity == nil {
			delete(result, id)
			continue
		}
		result[id] = *c.entity
	}
	return result
}

// staging says whether an entity is staged: Kong does not run it as it is wanted yet.
func (d *declared) staging(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, found := d.staged[id]
	return found
}

// pending says whether anything of an owner is staged.
func (d *declared) pending(owner desired.Owner) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changing[owner] > 0
}
