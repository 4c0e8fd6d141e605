package ingress

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// seen is an object that is there.
type seen struct {
	objects.Object
	// print is its fingerprint after this process wrote it, or saw it first.
	print string
	// epoch is when it was written last; see barrier.
	epoch uint64
}

// held are the objects of a gateway that are there, as far as is known.
type held struct {
	mu     sync.Mutex
	owners map[desired.Owner]map[objects.Reference]seen
	// owner, byID and byKey find an object by its reference, its entity's id, and what must be unique of it.
	owner map[objects.Reference]desired.Owner
	byID  map[string]objects.Reference
	byKey map[lookupKey]map[objects.Reference]bool
	// removed is when anything of an owner was taken away last, and access when a credential or a route was.
	removed, access map[desired.Owner]uint64
	counts          engine.Counts
}

// lookupKey is what unique keys that overlap have in common.
type lookupKey struct {
	kind  desired.UniqueKind
	value string
}

func lookupOf(key desired.UniqueKey) lookupKey { return lookupKey{key.Kind, key.Value} }

func newHeld() *held {
	h := &held{removed: map[desired.Owner]uint64{}, access: map[desired.Owner]uint64{}}
	h.clear()
	return h
}

func (h *held) clear() {
	h.owners, h.owner = map[desired.Owner]map[objects.Reference]seen{}, map[objects.Reference]desired.Owner{}
	h.byID, h.byKey = map[string]objects.Reference{}, map[lookupKey]map[objects.Reference]bool{}
	h.counts = engine.Counts{}
}

// replace takes what a listing found. wrote gives the epoch of what was not known: nobody knows yet whether the
// controller has it. It gives the owners whose objects somebody else changed or deleted.
func (h *held) replace(found []seen, wrote func() uint64) map[desired.Owner]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	former, changed, epoch := h.owners, map[desired.Owner]bool{}, uint64(0)
	first := len(h.owner) == 0
	h.clear()
	for _, one := range found {
		if before, known := former[one.Owner][one.Reference]; known {
			one.epoch = before.epoch
			if before.print != one.print {
				one.Sum = "" // it is applied again
				changed[one.Owner] = true
			}
		} else {
			if epoch == 0 {
				epoch = wrote()
			}
			one.epoch, one.Sum = epoch, "" // it is applied again, whatever somebody did to it meanwhile
			if !first {
				changed[one.Owner] = true // it is nobody's wish, or a write that failed was done
			}
		}
		h.add(one)
	}
	for owner, objects := range former {
		for reference := range objects {
			if _, there := h.owners[owner][reference]; !there {
				changed[owner] = true
			}
		}
	}
	return changed
}

// put records an object as it is now. It gives the unique keys that it no longer has.
func (h *held) put(o seen) (freed []desired.UniqueKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.owners[o.Owner][o.Reference]
	h.remove(o.Reference)
	h.add(o)
	return slices.DeleteFunc(slices.Clone(before.Unique), func(key desired.UniqueKey) bool {
		return slices.Contains(o.Unique, key)
	})
}

// drop forgets an object that was deleted.
func (h *held) drop(o seen, epoch uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(o.Reference)
	if o.Rank() == objects.RankTop { // the rest means nothing to Kong once nothing names it
		h.removed[o.Owner] = epoch
	}
	if o.Entity == kong.KindConsumer || o.Entity == kong.KindRoute {
		h.access[o.Owner] = epoch
	}
}

func (h *held) add(o seen) {
	if h.owners[o.Owner] == nil {
		h.owners[o.Owner] = map[objects.Reference]seen{}
	}
	h.owners[o.Owner][o.Reference], h.owner[o.Reference] = o, o.Owner
	if o.ID != "" {
		h.byID[o.ID] = o.Reference
	}
	for _, key := range o.Unique {
		if h.byKey[lookupOf(key)] == nil {
			h.byKey[lookupOf(key)] = map[objects.Reference]bool{}
		}
		h.byKey[lookupOf(key)][o.Reference] = true
	}
	h.count(o, 1)
}

func (h *held) remove(r objects.Reference) {
	owner, known := h.owner[r]
	if !known {
		return
	}
	o := h.owners[owner][r]
	delete(h.owner, r)
	delete(h.owners[owner], r)
	if len(h.owners[owner]) == 0 {
		delete(h.owners, owner)
	}
	if h.byID[o.ID] == r {
		delete(h.byID, o.ID)
	}
	for _, key := range o.Unique {
		delete(h.byKey[lookupOf(key)], r)
		if len(h.byKey[lookupOf(key)]) == 0 {
			delete(h.byKey, lookupOf(key))
		}
	}
	h.count(o, -1)
}

func (h *held) count(o seen, by int) {
	switch o.Entity {
	case kong.KindConsumer:
		h.counts.Consumers += by
	case kong.KindJWT:
		h.counts.Credentials += by
	case kong.KindACL:
		h.counts.Groups += by
	case kong.KindService:
		h.counts.Services += by
	case kong.KindRoute:
		h.counts.Routes += by
	case kong.KindPlugin:
		h.counts.Plugins += by
	}
}

// withdrew notes when access of an owner was taken away.
func (h *held) withdrew(owner desired.Owner, epoch uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.access[owner] = epoch
}

// of gives an owner's objects.
func (h *held) of(owner desired.Owner) []seen {
	h.mu.Lock()
	own := slices.Collect(maps.Values(h.owners[owner]))
	h.mu.Unlock()
	slices.SortFunc(own, func(a, b seen) int { return strings.Compare(a.String(), b.String()) })
	return own
}

// lastWrite is when anything of an owner was written, deleted or taken away last.
func (h *held) lastWrite(owner desired.Owner) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := max(h.removed[owner], h.access[owner])
	for _, o := range h.owners[owner] {
		last = max(last, o.epoch)
	}
	return last
}

func (h *held) lastRemoved(owner desired.Owner) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.removed[owner]
}

func (h *held) lastAccess(owner desired.Owner) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.access[owner]
}

func (h *held) forget(owner desired.Owner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.removed, owner)
	delete(h.access, owner)
}

// find finds an entity's object.
func (h *held) find(id string) (seen, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, found := h.byID[id]
	return h.owners[h.owner[r]][r], found
}

// get finds an object by its reference.
func (h *held) get(r objects.Reference) (seen, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	owner, found := h.owner[r]
	return h.owners[owner][r], found
}

// holder finds who, but for one owner, has a unique key; its value is as objects have it.
func (h *held) holder(key desired.UniqueKey, but desired.Owner) (desired.Owner, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.byKey[lookupOf(key)] {
		owner := h.owner[r]
		if owner != but && slices.ContainsFunc(h.owners[owner][r].Unique, key.Overlaps) {
			return owner, true
		}
	}
	return desired.Owner{}, false
}

// hidden gives the owners of KongClusterPlugins that a KongPlugin of their namespace hides, and that KongPlugin.
func (h *held) hidden(plugins map[objects.Reference]bool) map[desired.Owner]objects.Reference {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := map[desired.Owner]objects.Reference{}
	for r, owner := range h.owner {
		by := objects.Reference{
			APIVersion: objects.GroupKong, Kind: objects.KindPlugin, Namespace: owner.Namespace, Name: r.Name,
		}
		if r.Kind == objects.KindClusterPlugin && plugins[by] {
			found[owner] = by
		}
	}
	return found
}

// entities counts the objects of each owner.
func (h *held) entities() map[desired.Owner]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := map[desired.Owner]int{}
	for owner, all := range h.owners {
		counts[owner] = len(all)
	}
	return counts
}

func (h *held) reported() engine.Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}
