package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// order puts the steps in a row that keeps every rule between them. Parents and children alone make no circle. Unique
// values can: two consumers that swap their usernames each wait for the other. Such a knot is opened by a delete,
// after which one of them is put again as new. Every turn ends a step or unties one, and each is untied once: there is
// an end to it.
func (p *plan) order() []Op {
	for _, s := range p.steps {
		p.linkFamily(s)
	}
	p.linkUnique()
	p.sort()
	ops := make([]Op, 0, len(p.steps))
	for {
		if s := p.next(); s != nil {
			s.done = true
			// What is not done of these keeps the op from being sent (attempt.holdsBack).
			s.op.Needs = s.needs()
			ops = append(ops, s.op)
			continue
		}
		s := p.knot()
		if s == nil {
			return ops
		}
		ops = append(ops, p.untie(s))
	}
}

// sort makes the order of equals the same each time.
func (p *plan) sort() {
	slices.SortFunc(p.steps, func(a, b *step) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return strings.Compare(a.op.Target.ID, b.op.Target.ID)
	})
}

// linkFamily lets children wait for their parents on the way in, and parents for their children on the way out.
func (p *plan) linkFamily(s *step) {
	for _, id := range s.op.Target.Parents() {
		parent := p.byID[id]
		switch {
		case parent == nil:
		case s.op.Verb == Put && parent.op.Verb == Put:
			// A parent that is there already may be written later: that its plugins are right comes first.
			if parent.op.Create || s.rank > parent.rank {
				s.after[parent] = true
			}
		// Kong refuses to delete a service that has routes (kong/db/schema/entities/routes.lua).
		case s.op.Verb == Delete && parent.op.Verb == Delete:
			parent.after[s] = true
		}
	}
	if s.op.Verb != Put {
		return
	}
	// What moves to another parent leaves the old one before that goes.
	held := p.held[s.op.Target.ID]
	for _, id := range held.Parents() {
		if parent := p.byID[id]; parent != nil && parent.op.Verb == Delete {
			parent.after[s] = true
		}
	}
	if s.op.Target.MovesFrom(held) {
		p.linkRoutes(s, held.Service)
	}
}

// linkRoutes lets what protects a service stay on it until its routes are gone. It takes the routes of this plan
// alone: those that left before are the gates' (gates.ofMove).
func (p *plan) linkRoutes(s *step, service string) {
	for _, route := range p.steps {
		if route.op.Verb == Delete && route.op.Target.Kind == kong.KindRoute && route.op.Target.Service == service {
			s.after[route] = true
		}
	}
}

// linkUnique lets what needs a unique value wait for whoever holds it and lets go of it. A value that an entity of
// another owner has is none of the plan's: Kong refuses it, and conflicts.go says who has it.
func (p *plan) linkUnique() {
	holders := map[string]*step{}
	for id, held := range p.held {
		for _, value := range held.UniqueValues() {
			if s := p.byID[id]; s != nil {
				holders[value] = s
			}
		}
	}
	for _, s := range p.steps {
		if s.op.Verb != Put {
			continue
		}
		for _, value := range s.op.Target.UniqueValues() {
			if holder := holders[value]; holder != nil && holder != s {
				s.after[holder], s.frees[holder] = true, true
			}
		}
	}
}

// next is the first step that waits for nothing.
func (p *plan) next() *step {
	for _, s := range p.steps {
		if !s.done && s.ready() {
			return s
		}
	}
	return nil
}

// ready says whether everything that has to be before is done.
func (s *step) ready() bool {
	for other := range s.after {
		if !other.done {
			return false
		}
	}
	return true
}

// knot finds a put in a circle of unique values, whose entity can be deleted to free its value: the one that has the
// fewest children.
func (p *plan) knot() *step {
	var best *step
	for _, s := range p.steps {
		if s.done || s.untied || s.op.Verb != Put || !s.blocksItself() {
			continue
		}
		if best == nil || weight(s.op.Target.Entry) < weight(best.op.Target.Entry) {
			best = s
		}
	}
	return best
}

// weight says how much hangs on an entity: a circle is opened where least does.
func weight(e Entry) int {
	switch e.Kind {
	case kong.KindConsumer, kong.KindService:
		return 2
	case kong.KindRoute:
		return 1
	}
	return 0
}

// blocksItself says whether a step waits, through others, for a unique value of its own entity.
func (s *step) blocksItself() bool {
	seen := map[*step]bool{}
	todo := slices.Collect(maps.Keys(s.after))
	for len(todo) > 0 {
		other := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if other.done || seen[other] {
			continue
		}
		seen[other] = true
		if other.frees[s] {
			return true
		}
		todo = slices.AppendSeq(todo, maps.Keys(other.after))
	}
	return false
}

// untie deletes the entity of a step, whose put comes later as a new one. What Kong deletes with it is put again. The
// delete is a Swap: gates let it pass, since the same plan puts the entity again.
func (p *plan) untie(s *step) Op {
	held := p.held[s.op.Target.ID]
	s.op.Create, s.untied = true, true
	for _, other := range p.steps {
		if other.frees[s] {
			delete(other.after, s)
			delete(other.frees, s)
			other.op.Needs = append(other.op.Needs, held.ID)
		}
	}
	for id, child := range p.held {
		if !slices.Contains(child.Parents(), held.ID) {
			continue
		}
		again, stays := p.want[id]
		step := p.byID[id]
		if step == nil && stays {
			step = p.add(Op{Verb: Put, Target: again})
		}
		// Done or not: Kong has deleted it with its parent, and it has to be put after that.
		if step != nil && step.op.Verb == Put {
			step.op.Create, step.done = true, false
			step.after[s] = true
		}
	}
	p.sort()
	return Op{Verb: Delete, Swap: true, Target: Wanted{Entry: held}}
}

// needs lists the ids of the ops that this one relies on.
func (s *step) needs() []string {
	ids := s.op.Needs
	for other := range s.after {
		ids = append(ids, other.op.Target.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
