package engine

import (
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// verb is what an op does.
type verb string

const (
	put    verb = "put"
	remove verb = "delete"
)

// wanted is an entity that an owner wants, with what the plan needs to know of it.
type wanted struct {
	entry
	entity kong.Entity
}

// op is one request of a plan.
type op struct {
	verb   verb
	target wanted
	// create says of a put that the entity is not in Kong, as far as is known, or of a route that it is under another service.
	create bool
	// swap says of a delete that the same plan puts the entity again: unique values go round in a circle, and one has to let go.
	swap bool
	// needs are the ids whose ops come earlier and have to be done before this one: parents, children, holders of unique values.
	needs []string
}

// diff says how to get from what Kong holds of one owner to what the owner wants: in order, one request an op. It is pure.
//
// In: consumer, credentials, groups; service, plugins, routes. Out: the reverse. What frees a unique value goes before what needs it.
// Plugins of a service, route or consumer that goes get no op of their own: Kong takes them along, so that no worker is left with a
// route and without its plugins.
func diff(current []entry, want []wanted) []op {
	p := plan{held: make(map[string]entry, len(current)), want: make(map[string]wanted, len(want)), byID: map[string]*step{}}
	for _, e := range current {
		p.held[e.id] = e
	}
	for _, w := range want {
		p.want[w.id] = w
	}
	p.collect(current, want)
	return p.order()
}

type plan struct {
	held  map[string]entry
	want  map[string]wanted
	steps []*step
	byID  map[string]*step
}

// step is an op that waits for its place.
type step struct {
	op   op
	rank int
	// after are the steps that have to be done first; those of frees only because they let go of a unique value.
	after, frees map[*step]bool
	done         bool
	// untied: its entity is deleted first.
	untied bool
}

// collect finds what has to be done, without order.
func (p *plan) collect(current []entry, want []wanted) {
	for _, w := range want {
		held, there := p.held[w.id]
		if !there || !held.is(w.hash) {
			p.add(op{verb: put, target: w, create: !there || held.unknown || held.moves(w.entry)})
		}
	}
	for _, e := range current {
		if _, stays := p.want[e.id]; !stays && !p.goesAlong(e) {
			p.add(op{verb: remove, target: wanted{entry: e}})
		}
	}
}

// moves says whether an entry is a route that is to change its service: what protected it there does so no more.
func (e entry) moves(to entry) bool { return e.kind == kong.KindRoute && e.service != to.service }

// leaves says whether an entry is a plugin that protects a service and is to protect something else instead.
func (e entry) leaves(to entry) bool { return e.guards() && e.service != to.service }

// goesAlong says whether an entry is a plugin of something that goes.
func (p *plan) goesAlong(e entry) bool {
	return e.kind == kong.KindPlugin && slices.ContainsFunc(e.parents(), func(id string) bool {
		_, held := p.held[id]
		_, stays := p.want[id]
		return held && !stays
	})
}

func (p *plan) add(o op) *step {
	s := &step{op: o, rank: p.rank(o), after: map[*step]bool{}, frees: map[*step]bool{}}
	p.steps = append(p.steps, s)
	p.byID[o.target.id] = s
	return s
}

// rank orders what nothing else orders.
func (p *plan) rank(o op) int {
	rank := rankOf(o.target.entry)
	if o.verb == remove {
		return 100 - rank
	}
	if _, held := p.held[o.target.service]; held && o.target.guards() {
		return 0 // the service and perhaps its routes are there: what protects them comes first of all
	}
	return rank
}

func rankOf(e entry) int {
	switch e.kind {
	case kong.KindConsumer:
		return 1
	case kong.KindJWT:
		return 2
	case kong.KindACL:
		return 3
	case kong.KindService:
		return 5
	case kong.KindRoute:
		return 7
	case kong.KindPlugin:
		switch {
		case e.route != "":
			return 8
		case e.service != "":
			return 6
		}
		return 4
	}
	return 9
}

// guards says whether an entry is a plugin that runs for every route of a service.
func (e entry) guards() bool {
	return e.kind == kong.KindPlugin && e.service != "" && e.route == "" && e.consumer == ""
}

// parents are the ids of what an entry hangs on.
func (e entry) parents() []string {
	return slices.DeleteFunc([]string{e.consumerID, e.consumer, e.service, e.route}, func(id string) bool { return id == "" })
}

// unique lists the values of an entry that Kong gives once.
func (e entry) unique() []string {
	var values []string
	for _, claim := range e.claims {
		if claim.Kind != desired.UniqueRoute {
			values = append(values, string(claim.Kind)+"\x00"+claim.Value)
		}
	}
	switch e.kind {
	case kong.KindACL:
		values = append(values, strings.Join(append([]string{"acl", e.consumerID}, e.groups...), "\x00"))
	case kong.KindPlugin:
		values = append(values, strings.Join([]string{"plugin", e.plugin, e.service, e.route, e.consumer}, "\x00"))
	}
	return values
}
