package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/rivals"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// finder looks in Kong for who has what an owner asks for. It reads Kong and writes nothing. Its errors are Kong's.
type finder struct{ *rooms }

// mayBeThere says whether to look for somebody else's before something is created. Under a parent that is the
// operator's own there is hardly anything: there, Kong's refusal is soon enough. Each look is a request before a
// write: with thousands of credentials they would double what a first rollout sends.
func (f finder) mayBeThere(w plan.Wanted) bool {
	if w.Kind == kong.KindConsumer || w.Kind == kong.KindService {
		return true
	}
	return slices.ContainsFunc(w.Parents(), func(id string) bool {
		parent, known := f.observed.Get(id)
		return !known || f.observed.Given(parent) != id
	})
}

// inPlaceOf finds the entities in Kong that hold what a new one needs to be the only one of, by id, as they are now.
func (f finder) inPlaceOf(ctx context.Context, w plan.Wanted) (map[string]kong.Entity, error) {
	found := map[string]kong.Entity{}
	if w.Kind == kong.KindPlugin || w.Kind == kong.KindACL {
		for child, err := range f.link.current().Children(ctx, w.ParentKind(), w.Parents()[0], w.Kind) {
			if kong.IsNotFound(err) {
				return nil, nil // the put says so too, and what to do
			}
			if err != nil {
				return nil, err
			}
			other := plan.Describe(child, desired.Owner{}, "", plan.Hash{})
			if child.ID != w.ID && slices.Equal(other.UniqueValues(), w.UniqueValues()) {
				found[child.ID] = child
			}
		}
		return found, nil
	}
	for _, key := range w.Keys {
		holder, there, err := f.lookUp(ctx, key)
		if err != nil {
			return nil, err
		}
		if there && holder.ID != w.ID {
			found[holder.ID] = holder
		}
	}
	if w.Kind != kong.KindRoute {
		return found, nil
	}
	return found, f.addMatching(ctx, w, found)
}

// addMatching adds the routes that match the very same requests.
func (f finder) addMatching(ctx context.Context, w plan.Wanted, found map[string]kong.Entity) error {
	routes, err := f.foreign.list(ctx, f.rooms)
	if err != nil {
		return err
	}
	for _, key := range w.Keys {
		for _, e := range routes[withoutMethods(key)] {
			if found[e.ID].ID != "" || !sameMatch(e, w) || e.ID == w.ID {
				continue
			}
			now, err := f.link.current().Get(ctx, kong.KindRoute, e.ID)
			if kong.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			if !f.adoptable(now, w) || !sameMatch(now, w) {
				f.foreign.forget()
				// The listing is not true any more: who holds the route now is looked at again.
				return errReplan
			}
			found[now.ID] = now
		}
	}
	return nil
}

// adoptable says whether an entity may be taken over for another that is wanted: no tags claim it, and it stays where
// it is. What belongs to another consumer or service is not moved: that would give somebody's credential, or traffic,
// away.
func (f finder) adoptable(e kong.Entity, w plan.Wanted) bool {
	if !f.adopts() || !desired.Unclaimed(e.Fields.Tags()) {
		return false
	}
	switch e.Kind {
	case kong.KindJWT, kong.KindACL:
		return e.ConsumerID == w.ConsumerID
	case kong.KindRoute:
		return e.Fields.Ref("service") == w.Service
	case kong.KindPlugin:
		// What it has is somebody's own program, which the operator's would end.
		return w.Plugin != desired.PluginClaims
	}
	return true
}

// ambiguous refuses to choose: one has the username, another the custom ID.
func (f finder) ambiguous(w plan.Wanted, found map[string]kong.Entity) error {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(found)) {
		names = append(names, f.describeForeign(found[id]))
	}
	stalled := status.Stalled(v1alpha1.ReasonConflict,
		"%s: the %s cannot be adopted, because what it asks for is held by several (%s). Ask for what one of them has alone.",
		entityField(w.Entry), w.Kind.Singular(), strings.Join(names, " and "))
	stalled.RetryAfter = f.arbiter.Retry(w.Owner)
	return stalled
}

// lookUp finds the entity in Kong that holds a unique key. The Admin API takes a name, a key or a username in the path
// in place of an id.
func (f finder) lookUp(ctx context.Context, key desired.UniqueKey) (holder kong.Entity, found bool, err error) {
	kind := map[desired.UniqueKind]kong.Kind{
		desired.UniqueUsername: kong.KindConsumer, desired.UniqueCredentialKey: kong.KindJWT,
		desired.UniqueServiceName: kong.KindService, desired.UniqueRouteName: kong.KindRoute,
	}[key.Kind]
	switch {
	case key.Kind == desired.UniqueCustomID:
		return f.link.current().ConsumerByCustomID(ctx, key.Value)
	case kind == "":
		return kong.Entity{}, false, nil
	}
	holder, err = kong.Named(ctx, f.link.current(), kind, key.Value)
	if kong.IsNotFound(err) {
		return kong.Entity{}, false, nil
	}
	return holder, err == nil, err
}

// foreignRoutes keeps a listing of all routes for a moment: Kong takes two routes that match the same requests, so it
// has to be looked. It may be used from many goroutines.
type foreignRoutes struct {
	// mu is held while Kong is asked: of many owners that create routes at once, one lists and the others wait for
	// it.
	mu     sync.Mutex
	at     time.Time
	routes map[desired.UniqueKey][]kong.Entity
}

// routesAge is how long a listing of all routes serves.
const routesAge = 2 * time.Second

// forget has the routes listed anew by the next that asks.
func (f *foreignRoutes) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes = nil
}

// list gives the routes that are not of this installation and gateway, by their unique keys without methods.
func (f *foreignRoutes) list(ctx context.Context, r *rooms) (map[desired.UniqueKey][]kong.Entity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := r.options.Now()
	if f.routes != nil && now.Sub(f.at) < routesAge && !now.Before(f.at) {
		return f.routes, nil
	}
	routes := map[desired.UniqueKey][]kong.Entity{}
	for e, err := range r.link.current().List(ctx, kong.KindRoute, kong.ListOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("list all routes: %w", err)
		}
		if _, ours := r.ownership(e); ours {
			continue // what is observed is known better
		}
		for _, key := range desired.UniqueKeys(e) {
			if key.Kind == desired.UniqueRoute {
				routes[withoutMethods(key)] = append(routes[withoutMethods(key)], e)
			}
		}
	}
	f.at, f.routes = now, routes
	return routes, nil
}

// withoutMethods is a route's key that every route of the same host and path has.
func withoutMethods(key desired.UniqueKey) desired.UniqueKey {
	key.Methods = ""
	return key
}

// listRivals lists the post-functions on routes that are not this operator's, and all plugins that answer before
// claims are checked. One that is switched off runs nowhere.
func (r *rooms) listRivals(ctx context.Context) (found []rivals.Rival, err error) {
	var plugins []kong.Entity
	for e, err := range r.link.current().List(ctx, kong.KindPlugin, kong.ListOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("list all plugins: %w", err)
		}
		if e.Fields["enabled"] != false && (desired.AnswersBeforeClaims(e.Fields.Text("name")) || r.isForeignScript(e)) {
			plugins = append(plugins, e)
		}
	}
	routes, err := r.routesOf(ctx, plugins)
	if err != nil {
		return nil, err
	}
	for _, e := range plugins {
		id := e.Fields.Ref("route")
		route, isThere := routes[id]
		if id != "" && !isThere {
			continue
		}
		rival := rivals.Rival{
			Service: e.Fields.Ref("service"), Route: id, RouteService: route.Fields.Ref("service"),
			Answers:  desired.AnswersBeforeClaims(e.Fields.Text("name")),
			Consumer: e.Fields.Ref("consumer") != "" || e.Fields.Ref("consumer_group") != "",
		}
		if ownership, ours := r.ownership(e); ours {
			rival.Owner = ownership.Owner
		}
		on := "every route of this Kong"
		switch {
		case rival.Consumer:
			on = "consumer " + cmp.Or(e.Fields.Ref("consumer"), "group "+e.Fields.Ref("consumer_group"))
		case id != "":
			on = "route " + cmp.Or(route.Fields.Text("name"), id)
		case rival.Service != "":
			on = "the service"
		}
		rival.Says = on + " has " + r.describePlugin(e)
		found = append(found, rival)
	}
	return found, nil
}

// describePlugin says which plugin it is, and whose.
func (r *rooms) describePlugin(e kong.Entity) string {
	if _, tagged := desired.ParseTags(e.Fields.Tags()); tagged {
		return "plugin " + e.Fields.Text("name") + " of " + r.describeForeign(e)
	}
	return r.describeForeign(e)
}

// isForeignScript says whether a plugin is a post-function on a route that is not this operator's.
func (r *rooms) isForeignScript(e kong.Entity) bool {
	_, ours := r.ownership(e)
	return !ours && e.Fields.Text("name") == desired.PluginClaims && e.Fields.Ref("route") != ""
}

// fewRoutes are as many as are asked for one by one: beyond them, a list of all costs less.
const fewRoutes = 20

// routesOf gets the routes that plugins are on, by id. One that is gone is not among them.
func (r *rooms) routesOf(ctx context.Context, plugins []kong.Entity) (map[string]kong.Entity, error) {
	routes := map[string]kong.Entity{}
	wanted := map[string]bool{}
	for _, e := range plugins {
		if id := e.Fields.Ref("route"); id != "" {
			wanted[id] = true
		}
	}
	if len(wanted) > fewRoutes {
		for route, err := range r.link.current().List(ctx, kong.KindRoute, kong.ListOptions{}) {
			if err != nil {
				return nil, fmt.Errorf("list all routes: %w", err)
			}
			if wanted[route.ID] {
				routes[route.ID] = route
			}
		}
		return routes, nil
	}
	for id := range wanted {
		route, err := r.link.current().Get(ctx, kong.KindRoute, id)
		if kong.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		routes[id] = route
	}
	return routes, nil
}

// known answers what controllers ask of what Kong is known to hold. Nothing of it is a request to Kong.
type known struct{ *rooms }

// Filled says whether it is known what Kong holds: since the first listing, also while Kong is away.
func (k known) Filled() bool { return k.clocks.Filled() }

// Holds says whether an owner has anything in Kong.
func (k known) Holds(owner desired.Owner) bool { return len(k.observed.Of(owner)) > 0 }

// ActualID gives the id that something has in Kong: where it was adopted, another than the operator gives.
func (k known) ActualID(given string) string { return k.observed.Actual(given) }

// Standing says whether Kong is known to hold an entity of this operator's, and how long it takes until every worker
// of every node has to know it as it is now: zero where the propagation delay has passed since Kong acknowledged it,
// or since this process first saw it. An entity whose last write was not answered is not held: nobody knows which of
// two contents it has.
func (k known) Standing(id string) (held bool, remaining time.Duration) {
	entry, found := k.observed.GetGiven(id)
	if !found || entry.Uncertain {
		return false, 0
	}
	return true, k.clocks.Remaining(entry.Since)
}

// InKong says whether Kong has an entity of this operator's. Where the last write of it was not answered, it is as
// before.
func (k known) InKong(id string, before bool) bool {
	entry, found := k.observed.GetGiven(id)
	if found && entry.Uncertain {
		return before
	}
	return found
}

// RevocationRemaining says how long it takes until no worker of any node can know a former credential of an owner any
// more.
func (k known) RevocationRemaining(owner desired.Owner) time.Duration {
	return k.clocks.CredentialsRemaining(owner)
}

// Overdue says that Kong may still accept what was taken away from an owner, where that takes longer than it may; look
// is when to ask again, zero where nothing is waited for. said is whether its status says so. Here it never does: what
// the Admin API has acknowledged is out of Kong after RevocationRemaining.
func (k known) Overdue(desired.Owner, bool) (look time.Duration, overdue error) { return 0, nil }

// Unprotected says that Kong is given something else instead of a plugin of an owner. Here it never is.
func (k known) Unprotected(desired.Owner) error { return nil }

// CredentialPart finds the part of an owner's credential that has a key in Kong.
func (k known) CredentialPart(owner desired.Owner, key string) (part string, found bool) {
	held, found := k.observed.Credential(owner, key)
	return held.Part, found
}

// PublicKeyHolder finds whose credential in Kong has a key together with a public key, and which part it is.
func (k known) PublicKeyHolder(_ context.Context, key, publicKeyPEM string) (owner desired.Owner, part string, found bool) {
	held, found := k.observed.Holder(desired.UniqueKey{Kind: desired.UniqueCredentialKey, Value: key}, "")
	if !found || held.PublicKey != plan.PublicKeyHash(publicKeyPEM) || held.PublicKey == (plan.Hash{}) {
		return desired.Owner{}, "", false
	}
	return held.Owner, held.Part, true
}

// CredentialIDs lists the ids, as the operator gives them, of an owner's credentials in Kong whose parts are wanted.
func (k known) CredentialIDs(owner desired.Owner, wanted func(part string) bool) []string {
	var ids []string
	for _, held := range k.observed.Of(owner) {
		if held.Kind == kong.KindJWT && wanted(held.Part) {
			ids = append(ids, k.observed.Given(held))
		}
	}
	return ids
}
