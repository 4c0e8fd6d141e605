package declarative

import (
	"maps"
	"slices"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// tagRetained marks what a deleted resource left: a configuration is replaced as a whole, so that what is to stay has
// to be carried along.
const tagRetained = desired.TagManaged + "-retained"

// configuration is what a node runs or is to run, by id.
type configuration = map[string]kong.Entity

// staged is the configuration that Kong was given last, and what differs from it by now. It may be used from many
// goroutines.
type staged struct {
	// kick asks for a push.
	kick chan struct{}

	mu sync.Mutex
	// base is what Kong was given last; children are the ids in it that belong to one, nil until they are asked
	// for.
	base     configuration
	children map[string][]string
	// tried is what Kong was to be given last: it may run that, where its answer was lost.
	tried configuration
	// changes are what differs from base, changing how many of them are whose.
	changes  map[string]change
	changing map[desired.Owner]int
	// newChildren are the ids in changes that belong to one.
	newChildren map[string]map[string]bool
}

// change is one staged write.
type change struct {
	owner desired.Owner
	// entity is nil where it is deleted.
	entity *kong.Entity
}

// parents are the ids of what the entity belongs to.
func (c change) parents() []string {
	if c.entity == nil {
		return nil
	}
	return parentsOf(*c.entity)
}

func newStaged() *staged {
	return &staged{
		kick: make(chan struct{}, 1), base: configuration{},
		changes: map[string]change{}, changing: map[desired.Owner]int{}, newChildren: map[string]map[string]bool{},
	}
}

// put stages an entity.
func (s *staged) put(e kong.Entity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage(e.ID, change{ownerOf(e), &e})
}

// retag stages an entity's tags. One that is left without an owner is carried along from now on.
func (s *staged) retag(id string, tags []string) (kong.Entity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.effective(id)
	if !found {
		return kong.Entity{}, false
	}
	former := ownerOf(e)
	if _, ours := desired.ParseTags(tags); !ours {
		tags = append(slices.Clone(tags), tagRetained)
	}
	e.Fields = maps.Clone(e.Fields)
	e.Fields["tags"] = tags
	s.stage(id, change{former, &e})
	return e, true
}

// remove stages the end of an entity and of what belongs to it.
func (s *staged) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unset(id)
}

func (s *staged) unset(id string) {
	e, found := s.effective(id)
	if !found {
		return
	}
	for _, child := range s.childrenOf(id) {
		s.unset(child.ID)
	}
	s.stage(id, change{owner: ownerOf(e)})
}

// get gives an entity as it is staged.
func (s *staged) get(id string) (kong.Entity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.effective(id)
}

// all gives the configuration as it is staged.
func (s *staged) all() configuration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return withChanges(s.base, s.changes)
}

// listChildren gives what belongs to an entity, as it is staged.
func (s *staged) listChildren(id string) []kong.Entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.childrenOf(id)
}

// given is what Kong was given last. Whoever has it changes nothing in it.
func (s *staged) given() configuration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// lastTried is what Kong was to be given last, if anything was.
func (s *staged) lastTried() (c configuration, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried, s.tried != nil
}

// try records what Kong is about to be given: base with changes. A deletion among them is owned by whoever staged it.
func (s *staged) try(changes map[string]change) configuration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = withChanges(s.base, changes)
	return s.tried
}

// untry records that no node may go on with what it was to be given last.
func (s *staged) untry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = nil
}

// snapshot gives all changes.
func (s *staged) snapshot() map[string]change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.changes)
}

// commit records that Kong runs a configuration with these changes in it.
func (s *staged) commit(c configuration, changes map[string]change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rebase(c)
	for id, c := range changes {
		if s.changes[id] == c {
			s.unstage(id)
		}
	}
}

// drop takes back those changes that are an owner's, and what it staged since, which may rest on them: a route on its
// plugin. Access that is taken away since stays staged. It gives what is left of that owner: what Kong was given, with
// that.
func (s *staged) drop(owner desired.Owner, changes map[string]change) []kong.Entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	ending := removals(s.base, s.changes)
	for id, c := range maps.Clone(s.changes) {
		_, ends := ending[id]
		if c.owner == owner && (!ends || changes[id] == c) {
			s.unstage(id)
		}
	}
	var held []kong.Entity
	for id, e := range s.base {
		if _, changing := s.changes[id]; !changing && ownerOf(e) == owner {
			held = append(held, e)
		}
	}
	for _, c := range s.changes {
		if c.entity != nil && ownerOf(*c.entity) == owner {
			held = append(held, *c.entity)
		}
	}
	return held
}

// setBase makes this the configuration that Kong was given.
func (s *staged) setBase(base configuration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rebase(base)
}

// cut takes an entity out of what Kong was given, what belongs to it, and the routes that it protects.
func (s *staged) cut(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rebase(without(s.base, append(protectedBy(s.base, id), id)))
}

// pending says whether anything of an owner is staged.
func (s *staged) pending(owner desired.Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changing[owner] > 0
}

// pendingEntity says whether an entity is staged.
func (s *staged) pendingEntity(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.changes[id]
	return found
}

func (s *staged) nudge() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *staged) rebase(base configuration) { s.base, s.children = base, nil }

// childrenOf gives the entities that belong to one. They are asked for once for each kind of each entity that goes: to
// look through all entities for them would make the end of thousands take hours.
func (s *staged) childrenOf(id string) []kong.Entity {
	if s.children == nil {
		s.children = childrenByParent(s.base)
	}
	var found []kong.Entity
	for _, childID := range s.children[id] {
		if _, changing := s.changes[childID]; !changing {
			found = append(found, s.base[childID])
		}
	}
	for childID := range s.newChildren[id] {
		found = append(found, *s.changes[childID].entity)
	}
	return found
}

// stage adds a change, and asks for a push.
func (s *staged) stage(id string, c change) {
	s.unstage(id)
	s.changes[id] = c
	s.changing[c.owner]++
	for _, parent := range c.parents() {
		if s.newChildren[parent] == nil {
			s.newChildren[parent] = map[string]bool{}
		}
		s.newChildren[parent][id] = true
	}
	s.nudge()
}

func (s *staged) unstage(id string) {
	former, found := s.changes[id]
	if !found {
		return
	}
	delete(s.changes, id)
	for _, parent := range former.parents() {
		if delete(s.newChildren[parent], id); len(s.newChildren[parent]) == 0 {
			delete(s.newChildren, parent)
		}
	}
	if s.changing[former.owner]--; s.changing[former.owner] == 0 {
		delete(s.changing, former.owner)
	}
}

func (s *staged) effective(id string) (kong.Entity, bool) {
	if c, changing := s.changes[id]; changing {
		if c.entity == nil {
			return kong.Entity{}, false
		}
		return *c.entity, true
	}
	e, found := s.base[id]
	return e, found
}
