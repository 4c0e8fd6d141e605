// Package rivals knows the plugins in Kong that keep the operator's program from checking the claims of requests. Kong
// runs one post-function for a request, the most specific (kong/runloop/plugins_iterator.lua): one that somebody has
// on a single route runs there instead of the program, which is on the service. It can be on no consumer
// (kong/plugins/pre-function/_schema.lua). Other plugins answer before post-function has its turn.
//
// They are looked for by the engine when it writes a program, and again with each listing of Kong. The finding is a
// message and a conflict: what belongs to somebody else is not changed.
package rivals

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Rival is a plugin that runs instead of a program, or answers before it.
type Rival struct {
	// Service and Route are the ids that it is on; both are empty where it runs for all requests, and either may
	// be. RouteService is the service of its route.
	Service, Route, RouteService string
	// Answers says that it answers requests before the program runs. Else it is a post-function on a route.
	Answers bool
	// Consumer says that it is on a consumer or a group of them: it runs for their requests alone, which a service
	// need not let in.
	Consumer bool
	// Owner is whose it is, where this operator has it there.
	Owner desired.Owner
	// Says is what messages call it.
	Says string
}

// Place is where a program of the operator's is: a service, or a route of the service.
type Place struct{ Service, Route string }

// against says whether it keeps a program at a place from checking requests.
func (r Rival) against(at Place) bool {
	switch {
	case r.Consumer:
		return false
	case r.Answers:
		return r.answers(at)
	}
	return r.replaces(at)
}

// answers says whether it runs for requests to a place.
func (r Rival) answers(at Place) bool {
	switch {
	case r.Service != "" && r.Service != at.Service:
		return false
	case r.Route == "":
		return true
	case at.Route == "":
		return r.RouteService == at.Service
	}
	return r.Route == at.Route
}

// replaces says whether it runs for a request instead of a program at a place.
func (r Rival) replaces(at Place) bool {
	switch {
	case r.RouteService != at.Service, r.Service != "" && r.Service != at.Service:
		return false
	case at.Route == "":
		return true
	}
	// One on the route alone is in the very place, and Kong takes no two.
	return r.Route == at.Route && r.Service != ""
}

// To gives the first that keeps an owner's program at a place from checking requests. An owner's own are none: they go
// as its program comes.
func To(found []Rival, owner desired.Owner, at Place) (rival Rival, is bool) {
	for _, one := range found {
		if one.Owner != owner && one.against(at) {
			return one, true
		}
	}
	return Rival{}, false
}

// Ledger keeps what was found last, and which owner was told of what. It is safe for concurrent use.
type Ledger struct {
	// listing is held while Kong is asked: others wait for what it says.
	listing sync.Mutex

	mu    sync.Mutex
	at    time.Time
	found []Rival
	told  map[desired.Owner]told
}

type told struct {
	at   Place
	says string
}

// NewLedger makes an empty one.
func NewLedger() *Ledger { return &Ledger{told: map[desired.Owner]told{}} }

// Look gives what was found last, if that is not older than an age. Zero takes any, and below zero none: it lists
// anew. It waits for a listing that is under way. An error leaves what was found before, and is given to this caller
// alone.
func (l *Ledger) Look(now time.Time, age time.Duration, list func() ([]Rival, error)) ([]Rival, error) {
	l.listing.Lock()
	defer l.listing.Unlock()
	l.mu.Lock()
	at, found := l.at, l.found
	l.mu.Unlock()
	if !at.IsZero() && (age == 0 || now.Sub(at) < age && !now.Before(at)) {
		return found, nil
	}
	found, err := list()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.found = now, found
	return found, nil
}

// Tell records what an owner is told of its program at a place.
func (l *Ledger) Tell(owner desired.Owner, at Place, says string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[owner] = told{at, says}
}

// PlaceOf gives where an owner had its program when it was told last.
func (l *Ledger) PlaceOf(owner desired.Owner) (at Place, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, found := l.told[owner]
	return last.at, found
}

// Wanted says whether anybody has a program.
func (l *Ledger) Wanted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.told) > 0
}

// OfConsumers says what answers the requests of consumers before claims are checked: the first, and how many more
// there are. It is empty where there is none, and where nobody has a program.
func (l *Ledger) OfConsumers() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, one := range l.found {
		if one.Consumer && len(l.told) > 0 {
			all = append(all, one.Says)
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return fmt.Sprintf("%s, and %d more", slices.Min(all), len(all)-1)
}

// Changed lists the owners that were told otherwise.
func (l *Ledger) Changed(found []Rival) (owners []desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for owner, last := range l.told {
		if rival, _ := To(found, owner, last.at); rival.Says != last.says {
			owners = append(owners, owner)
		}
	}
	return owners
}

// Forget forgets an owner that has no program.
func (l *Ledger) Forget(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.told, owner)
}

// Reset forgets all.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.found, l.told = time.Time{}, nil, map[desired.Owner]told{}
}
