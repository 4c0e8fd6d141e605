package plan

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Verb is what an Op does.
type Verb string

// The verbs.
const (
	Put    Verb = "put"
	Delete Verb = "delete"
)

// Op is one request of a plan.
type Op struct {
	Verb   Verb
	Target Wanted
	// Create says of a put that the entity is not in Kong, as far as is known, or that a route changes its
	// service. It is true for an uncertain entity too: it may be missing, so that gates and reservations are those
	// of a creation.
	Create bool
	// Swap says of a delete that the same plan puts the entity again: unique values go round in a circle, and one
	// entity has to let go of its value.
	Swap bool
	// Needs are the ids whose ops come earlier and have to be done before this one: parents, children, holders of
	// unique values.
	Needs []string
}

// Diff says how to get from what Kong holds of one owner to what the owner wants: in order, one request an op.
//
// In: consumer, credentials, groups; service, plugins, routes. Out: the reverse. What only takes access away comes
// before anything else. What frees a unique value comes before what needs it. Plugins of a service, route or consumer
// that goes get no op of their own: Kong takes them along, so that no worker has a route without its plugins. Diff of
// what is wanted with itself is empty. The caller leaves out of current what it keeps: what is there and not wanted
// gets a delete.
func Diff(current []Entry, want []Wanted) []Op {
	p := plan{
		held: make(map[string]Entry, len(current)), want: make(map[string]Wanted, len(want)),
		byID: map[string]*step{}, creates: map[kong.Kind]bool{},
	}
	for _, e := range current {
		p.held[e.ID] = e
	}
	for _, w := range want {
		p.want[w.ID] = w
	}
	p.collect(current, want)
	return p.order()
}

type plan struct {
	held  map[string]Entry
	want  map[string]Wanted
	steps []*step
	byID  map[string]*step
	// creates are the kinds of which the plan creates an entity.
	creates map[kong.Kind]bool
}

// step is an op that waits for its place.
type step struct {
	op   Op
	rank int
	// after are the steps that have to be done first; those of frees only because they let go of a unique value.
	after, frees map[*step]bool
	done         bool
	// untied: its entity is deleted first.
	untied bool
}

// collect finds what has to be done, without order.
func (p *plan) collect(current []Entry, want []Wanted) {
	for _, w := range want {
		held, there := p.held[w.ID]
		if !there || !held.Is(w.Hash) {
			p.creates[w.Kind] = p.creates[w.Kind] || !there
			p.add(Op{Verb: Put, Target: w, Create: !there || held.Uncertain || changesService(held, w.Entry)})
		}
	}
	for _, e := range current {
		if _, stays := p.want[e.ID]; !stays && !p.goesAlong(e) {
			p.add(Op{Verb: Delete, Target: Wanted{Entry: e}})
		}
	}
}

// changesService says whether a route is to change its service: the plugins that protect it there do so no more.
func changesService(held, want Entry) bool {
	return held.Kind == kong.KindRoute && held.Service != want.Service
}

// goesAlong says whether an entry is a plugin of something that goes.
func (p *plan) goesAlong(e Entry) bool {
	return e.Kind == kong.KindPlugin && slices.ContainsFunc(e.Parents(), func(id string) bool {
		_, held := p.held[id]
		_, stays := p.want[id]
		return held && !stays
	})
}

// add adds an op, before its order is known.
func (p *plan) add(o Op) *step {
	s := &step{op: o, rank: p.rank(o), after: map[*step]bool{}, frees: map[*step]bool{}}
	p.steps = append(p.steps, s)
	p.byID[o.Target.ID] = s
	return s
}

// rank orders what nothing else orders. Smaller goes first. Ranks are for ops that have no rule between them;
// linkFamily and linkUnique have the rules.
func (p *plan) rank(o Op) int {
	rank := rankOf(o.Target.Entry)
	_, serviceHeld := p.held[o.Target.Service]
	switch {
	case o.Verb == Delete && TakesAccess(o.Target.Kind):
		if p.creates[o.Target.Kind] {
			return rank + 1 // after what may replace it: nobody is to be refused in between
		}
		return 0
	case o.Verb == Delete:
		return 1000 - rank
	case serviceHeld && o.Target.Guards():
		return 1 // the service, and perhaps its routes, are there: what protects them comes first
	}
	return rank
}

// TakesAccess says whether the end of an entity of a kind takes access away and exposes nothing: it need not wait for
// anything, and nothing that fails may hold it up.
func TakesAccess(kind kong.Kind) bool {
	return kind == kong.KindJWT || kind == kong.KindACL || kind == kong.KindRoute
}

// rankOf orders the kinds as they come in: what protects before what is protected.
func rankOf(e Entry) int {
	switch e.Kind {
	case kong.KindConsumer:
		return 10
	case kong.KindJWT:
		return 20
	case kong.KindACL:
		return 30
	case kong.KindService:
		return 50
	case kong.KindRoute:
		return 70
	case kong.KindPlugin:
		switch {
		case e.Route != "":
			return 80
		case e.Service != "":
			return 60
		}
		return 40
	}
	return 90
}
