package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// listsEvery is the drift interval.
const listsEvery = time.Hour

// world is an operator whose controllers do no more than they have to, the Kong it writes to, and everybody who
// disturbs them. Its time is that of a synctest bubble, and but for the monitor it has one goroutine.
type world struct {
	*rapid.T
	bubble   *testing.T
	kong     *modelKong   // the first of nodes
	nodes    []*modelKong // one, where there is a database
	front    *modelKong   // what answers at the gateway's address
	session  *session
	registry *Registry
	gateway  *Engine
	actors   []*actor
	rotation *rotation // of the last actor
	mu       sync.Mutex
	woken    map[desired.Owner]bool
	story    []string
	// alone says that nobody else writes to Kong.
	alone bool
	// adopts is spec.adoption: Unowned.
	adopts bool
	// reports is spec.drift.policy: Report. touched are the owners of what somebody else changed then, which stays
	// so, and drifts what the engine told of it: the status keeps it.
	reports bool
	touched map[desired.Owner]bool
	drifts  map[desired.Owner][]string
	// others counts what somebody else made.
	others int
}

// actor is what controllers do for one owner: a reconcile when its spec changes, when the engine wakes it, and when it
// asked for it.
type actor struct {
	owner         desired.Owner
	wants, former desired.Set
	// gone says that the resource is being deleted, and retains that its deletion policy is Retain.
	gone, retains bool
	due           time.Time // zero: never
	// withdraws says that what is to go goes in a request of its own, before anything else.
	withdraws bool
	// program is another way to bring Kong to what the owner wants; nil: world.program.
	program func() error
	// leaving is what was to go with the next configuration.
	leaving leaving
}

func newWorld(t *rapid.T, bubble *testing.T) *world {
	w := &world{
		T: t, bubble: bubble, alone: rapid.Bool().Draw(t, "alone"), adopts: rapid.Bool().Draw(t, "adopts"),
		reports: rapid.Bool().Draw(t, "reports"), touched: map[desired.Owner]bool{}, drifts: map[desired.Owner][]string{},
	}
	w.makeNodes(rapid.Bool().Draw(t, "without a database"))
	for _, name := range []string{"one", "two"} {
		for _, kind := range []string{"JwtConsumer", "JwtProtectedService"} {
			w.actors = append(w.actors, &actor{owner: desired.Owner{Kind: kind, Namespace: "team", Name: kind + " " + name}, gone: true})
		}
	}
	w.rotation = newRotation(w)
	w.actors = append(w.actors, w.rotation.actor)
	w.start()
	return w
}

// close ends what runs in the background: nothing of it is left when the next check begins.
func (w *world) close() {
	w.registry.Close()
	synctest.Wait()
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, time.Now().Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// holds fails where a promise is broken.
func (w *world) holds() {
	w.kong.mu.Lock()
	broken := w.kong.broken
	w.kong.mu.Unlock()
	if len(broken) > 0 {
		w.Fatalf("%s\n%s", broken[0], join(w.story))
	}
	w.rotation.holds()
}

func join(lines []string) (text string) {
	for _, line := range lines {
		text += line + "\n"
	}
	return text
}

// start starts an operator, instead of the former one if there is one.
func (w *world) start() {
	if w.registry != nil {
		w.say("another process")
		w.session.dead.Store(true)
		w.registry.Close()
		synctest.Wait()
	}
	w.session = &session{modelKong: w.kong, dead: &atomic.Bool{}}
	w.woken = map[desired.Owner]bool{}
	dead := w.session.dead
	w.registry = NewRegistry(Options{
		Installation: "here", Heartbeat: 30 * time.Second, Log: logr.Discard(), Drifted: w.drifted,
		Connect: func(to kong.Config) (AdminAPI, error) { return &session{modelKong: w.at(to.URL), dead: dead}, nil },
	})
	w.registry.Listen(w.hear)
	if !w.kong.declarative() { // where there is no database, what a pod has is all that is known at the start
		clear(w.kong.changed) // it lists first of all
	}
	gateway, err := w.registry.Ensure("default", Settings{
		DriftInterval: listsEvery, Adopt: w.adopts, ReportDrift: w.reports, Pods: w.kong.declarative(),
	})
	if err != nil {
		w.Fatal(err)
	}
	w.gateway = gateway
	w.namePods()
	for _, a := range w.actors {
		a.due, a.leaving = time.Now(), leaving{} // a controller that starts looks at everything
	}
	synctest.Wait()
}

func (w *world) hear(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Owner != nil {
		w.woken[*e.Owner] = true
	}
	for _, a := range w.actors {
		if e.Owner == nil && e.Reason == EventConnected {
			w.woken[a.owner] = true
		}
	}
}

// reconcile does for an owner what its controller would.
func (w *world) reconcile(a *actor) {
	w.mu.Lock()
	delete(w.woken, a.owner)
	w.mu.Unlock()
	a.due = time.Time{}
	w.hasLeft(a)
	w.noteWanted(a)
	going, hindered := w.going(a), w.kong.hindered.Load()
	err := w.program(a)
	w.say("%s: %v", a.owner.Name, err)
	var wait *status.WaitError
	var stalled *status.StalledError
	switch {
	case err == nil && len(w.kong.changed) == 0:
		w.isDone(a)
	case errors.As(err, &wait):
		a.again(wait.After)
	case errors.As(err, &stalled):
		a.again(stalled.RetryAfter)
	case err != nil:
		a.again(time.Second)
	}
	if strings.HasSuffix(fmt.Sprint(err), "is busy") {
		return // it is inside already
	}
	if w.kong.hindered.Load() > hindered || w.session.dead.Load() || !w.gateway.State().Ready {
		return
	}
	if w.kong.declarative() {
		a.leaving.with(going, hindered)
		return
	}
	for _, id := range going {
		if e, there := w.kong.held[id]; there {
			w.Fatalf("%s %s of %s is in Kong, and is to go: %v\n%s", e.Kind, id, a.owner.Name, err, join(w.story))
		}
	}
	if err != nil && strings.Contains(err.Error(), "somebody else; looking again") {
		w.Fatalf("%v\n%s", err, join(w.story))
	}
}

// program brings Kong to what an owner wants.
func (w *world) program(a *actor) error {
	ctx := w.bubble.Context()
	if a.program != nil {
		return a.program()
	}
	if a.gone && a.retains {
		return w.gateway.Orphan(ctx, a.owner)
	}
	if a.gone {
		return w.gateway.Delete(ctx, a.owner)
	}
	if a.withdraws {
		if _, err := w.gateway.RemoveAccess(ctx, a.owner, a.keeps); err != nil {
			return err
		}
	}
	result, err := w.gateway.Sync(ctx, a.wants, SyncOptions{Drifted: w.drifts[a.owner]})
	if result.Applied {
		w.drifts[a.owner] = nil
		for _, d := range result.Drifts {
			if !d.Corrected {
				w.drifts[a.owner] = append(w.drifts[a.owner], d.ID)
			}
		}
	}
	return err
}

// going are the ids of what gives access, as far as the operator knows, and is not wanted any more. Whatever is wrong
// with anything else, it goes.
func (w *world) going(a *actor) (ids []string) {
	if a.gone && a.retains {
		return nil
	}
	for _, e := range w.gateway.observed.Of(a.owner) {
		if plan.TakesAccess(e.Kind) && (a.gone || !a.keeps(e.Part)) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// isDone holds that Kong has what an owner wants, and no more. The engine said so, or had the time.
func (w *world) isDone(a *actor) {
	for _, node := range w.nodes {
		if !w.touched[a.owner] && !node.lost {
			w.isDoneAt(a, node)
		}
	}
}

func (w *world) isDoneAt(a *actor, node *modelKong) {
	want := map[string]kong.Entity{}
	for _, e := range w.actual(a) {
		if !a.gone {
			want[e.ID] = e
		}
	}
	for id, e := range node.all() {
		ownership, tagged := desired.ParseTags(e.Fields.Tags())
		wanted, is := want[id]
		if tagged && ownership.Owner == a.owner && (!is || !isSame(e, wanted)) {
			w.Fatalf("%s has %s %s, and should not, or not so: %v, want %v\n%s", a.owner.Name, e.Kind, id, e, wanted, join(w.story))
		}
		delete(want, id)
	}
	for _, e := range want {
		w.Fatalf("%s lacks %s %s\n%s", a.owner.Name, e.Kind, e.ID, join(w.story))
	}
}

// drifted hears that the engine takes something for somebody else's doing.
func (w *world) drifted(_ string, kind kong.Kind) {
	if w.alone {
		w.kong.mu.Lock()
		defer w.kong.mu.Unlock()
		w.kong.broken = append(w.kong.broken, fmt.Sprintf("somebody else is said to have changed %s", kind))
	}
}

// again asks for a reconcile after a pause. Pauses are made longer to what no jitter changes.
func (a *actor) again(pause time.Duration) {
	if pause > 0 {
		long := time.Second
		for long < pause {
			long *= 2
		}
		a.due = time.Now().Add(long)
	}
}

func (a *actor) keeps(part string) bool {
	return slices.ContainsFunc(a.wants.Entities, func(e kong.Entity) bool {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		return ownership.Part == part
	})
}

// actual is what an owner wants, under the ids that it has in Kong.
func (w *world) actual(a *actor) []kong.Entity {
	ids := w.gateway.observed.ActualIDs(a.wants.Entities)
	entities := make([]kong.Entity, 0, len(a.wants.Entities))
	for _, e := range a.wants.Entities {
		entities = append(entities, relocate(e, ids))
	}
	return entities
}

// noteWanted tells the model which plugins each route of an owner rests on, and whether what it has is to stay.
func (w *world) noteWanted(a *actor) {
	w.kong.mu.Lock()
	defer w.kong.mu.Unlock()
	w.kong.retained[a.owner] = a.gone && a.retains
	maps.DeleteFunc(w.kong.kept, func(_ string, owner desired.Owner) bool { return owner == a.owner && (!a.gone || !a.retains) })
	for _, e := range w.gateway.observed.Of(a.owner) {
		if a.gone && a.retains {
			w.kong.kept[e.ID] = a.owner
		}
	}
	w.kong.specs[a.owner] = append(w.kong.specs[a.owner], a.wants)
	w.kong.guards[a.owner] = func(service string) (guards []kong.Entity) {
		for _, e := range w.actual(a) {
			if !a.gone && e.Kind == kong.KindPlugin && e.Fields.Ref("service") == service {
				guards = append(guards, e)
			}
		}
		return guards
	}
}

// turn reconciles who is due until nobody is, and says when the next is; zero: nobody.
func (w *world) turn() (next time.Time) {
	for range 50 {
		synctest.Wait()
		if w.session.dead.Load() {
			w.start()
		}
		next = time.Time{}
		busy := false
		for _, a := range w.actors {
			w.mu.Lock()
			woken := w.woken[a.owner]
			w.mu.Unlock()
			switch {
			case woken, !a.due.IsZero() && !a.due.After(time.Now()):
				busy = true
				w.reconcile(a)
				w.holds()
			case !a.due.IsZero() && (next.IsZero() || a.due.Before(next)):
				next = a.due
			}
		}
		if !busy && !w.session.dead.Load() {
			return next
		}
	}
	w.Fatalf("the reconciles come to no end\n%s", join(w.story))
	return next
}

// pass lets time go by, in which everybody does what is due.
func (w *world) pass(d time.Duration) {
	end := time.Now().Add(d)
	for {
		next := w.turn()
		if next.IsZero() || next.After(end) {
			// Nobody knows of what a listing finds.
			next = time.Now().Add(min(listsEvery/3, time.Until(end)))
		}
		if !next.After(time.Now()) {
			return
		}
		_, before := w.gateway.orphans.Suspects(nil)
		time.Sleep(time.Until(next))
		synctest.Wait()
		w.listed(before)
	}
}
