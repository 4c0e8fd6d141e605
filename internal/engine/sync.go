package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// SyncOptions are what Sync asks of its caller.
type SyncOptions struct {
	// KeyInSecret says whether the key of a credential comes from a Secret, so that no message shows it. Nil: of
	// none.
	KeyInSecret func(credential string) bool
	// Older finds a resource that was created earlier and has the same unique key. It is asked where nobody holds
	// the key in Kong.
	Older func(desired.UniqueKey) (desired.Owner, bool)
	// Drifted are the ids of what another process left as somebody else made it, where that is to be reported.
	Drifted []string
	// TakeOver is the name of a KongConsumer that becomes the owner's, behind an ingress controller.
	TakeOver string
	// Attached says that the owner's plugins were on the object that it names now, as far as its status tells.
	Attached bool
}

// Result says what a Sync did.
type Result struct {
	// Writes is the number of requests that changed something in Kong.
	Writes int
	// Applied says that the plan was gone through to its end, though some of it may have been refused or has to
	// wait. What is on its way into a configuration is not: Kong holds nothing of it yet.
	Applied bool
	// Undone are the ids of the entities that were refused or have to wait. Kong does not hold them as they are
	// wanted.
	Undone map[string]bool
	// Drifts are what somebody else had changed in Kong, and what became of it.
	Drifts []Drift
	// ServedBy are the Gateways (namespace/name) that take the HTTPRoute that the plugins were put on.
	ServedBy []string
}

// syncRun is one owner's way into Kong.
type syncRun struct {
	*rooms
	set     desired.Set
	options SyncOptions
	// withdraws says that access goes whatever the drift policy is.
	withdraws bool
	visit     *visit
	turn      *arbiter.Turn
	result    Result
	attempt
}

// attempt is one plan of a run, and what became of it. Its ids are those in Kong.
type attempt struct {
	want map[string]plan.Wanted
	keep []string
	// blocked are the entities whose op was refused, or has to wait.
	blocked map[string]bool
	// left are the entities that somebody else changed and that are left as they are.
	left    map[string]bool
	refused *status.StalledError
	waiting *status.WaitError
	// failed is what ended the plan: only access that is taken away goes on.
	failed error
}

// Sync brings Kong to what an owner wants: nothing is sent where nothing differs. It does not sleep: a
// *status.WaitError says when to go on, a *status.StalledError that somebody has to change something. What does not
// depend on what waits or is refused is done all the same.
func (e *Engine) Sync(ctx context.Context, set desired.Set, options SyncOptions) (Result, error) {
	return e.sync(ctx, &syncRun{rooms: e.rooms, set: set, options: options})
}

// sync does a run: it takes the owner's slot and its turn, plans and applies. Schemas are loaded before the turn, as
// hashes rest on them. An error leaves what has been done, and recorded, as it is: the next Sync goes on from there.
func (e *Engine) sync(ctx context.Context, run *syncRun) (Result, error) {
	owner := run.set.Owner
	if err := e.reachable(owner); err != nil {
		return run.result, err
	}
	var err error
	if run.visit, err = e.admission.enter(ctx, owner); err != nil {
		return run.result, err
	}
	defer run.visit.leave()
	// A plan that finds nothing to do needs no slot: after a start nearly all are such (apply).
	if run.asks() {
		if err := run.visit.takeSlot(run.withdraws); err != nil {
			return run.result, err
		}
	}
	// They are told once, also where the rest fails.
	run.result.Drifts = e.drifts.Take(owner)
	e.attachments.detach(owner, run.set.Attach)
	for _, entity := range run.set.Entities {
		if err := e.link.schemas.Load(ctx, entity); err != nil {
			return run.result, e.outcome(owner, "spec.plugins", "plugin "+entity.Fields.Text("name"), err)
		}
	}
	run.turn = e.arbiter.Begin(owner)
	defer run.turn.End()
	err = run.settle(ctx)
	if err == nil {
		// What went wrong before is forgotten.
		e.arbiter.Succeeded(owner)
		e.monitor.forget(owner)
		e.memory.succeeded(owner, e.observed.Fingerprint(owner))
	}
	return run.result, err
}

// asks says whether Kong is asked for something before there is a plan: for the target of attachTo, for what else runs
// where claims are checked, or for a schema.
func (r *syncRun) asks() bool {
	return r.set.Attach != nil || slices.ContainsFunc(r.set.Entities, func(e kong.Entity) bool {
		return e.Kind == kong.KindPlugin && e.Fields.Text("name") == desired.PluginClaims || !r.link.schemas.Has(e)
	})
}

// plansAtOnce is how often a plan is made anew before others get their turn.
const plansAtOnce = 3

// settle plans and applies, and plans once more where Kong turned out to hold something else than was known. A plan
// that is made anew repeats no write: what was written is observed, and differs no more.
func (r *syncRun) settle(ctx context.Context) error {
	owner := r.set.Owner
	for plans := 0; plans < plansAtOnce; plans++ {
		r.attempt = attempt{blocked: map[string]bool{}, left: map[string]bool{}}
		err := r.locate(ctx)
		if err == nil {
			err = r.refusedBefore()
		}
		if err == nil {
			err = r.apply(ctx)
		}
		switch {
		case errors.Is(err, errAdopted):
			plans-- // each is adopted once: there is an end to it
			continue
		case errors.Is(err, errReplan):
			continue
		}
		// Kong without a database: the writes are staged, and none has reached it.
		if r.link.current().Pending(owner) {
			r.result.Applied = false // the push wakes the owner
			if err == nil {
				err = waitForPush()
			}
		}
		return err
	}
	return status.Wait(jitter(time.Second), v1alpha1.ReasonProgressing,
		"Kong is being changed by somebody else; looking again")
}

// refusedBefore says what Kong said of the very same writes after it had taken them. Only a configuration is refused
// after its writes were taken. Without this, the owner would stage the same again with each reconcile, and each push
// would fail for it.
func (r *syncRun) refusedBefore() error {
	if why, refused := r.memory.wants(r.set.Owner, r.hasher.Sum(digest(r.want)), r.about.options.Now()); refused {
		return why
	}
	return nil
}

// digest stands for all that the owner wants.
func digest(want map[string]plan.Wanted) []byte {
	var all []byte
	for _, id := range slices.Sorted(maps.Keys(want)) {
		all = append(all, id...)
		sum := want[id].Hash
		all = append(all, sum[:]...)
	}
	return all
}

// pushAgain is when an owner looks whether its push is through, beside being told.
const pushAgain = 5 * time.Second

// waitForPush is the wait of an owner whose entities are in the next configuration, or on their way with one.
func waitForPush() error {
	return status.Wait(jitter(pushAgain), v1alpha1.ReasonProgressing, "waiting until Kong runs the configuration with it")
}

// admission bounds how many owners ask Kong for something at once, and each to one Sync at a time. The bound is that
// of the client's connections: with more Syncs than connections, each would only wait longer for its answers. An owner
// has one Sync at a time: two plans at once would each take back what the other did.
type admission struct {
	gateway string
	slots   chan struct{}
	// reserved are slots beside them, for what takes access away: thousands of owners may want the others.
	reserved chan struct{}
	// stopped is closed when the engine is stopped.
	stopped <-chan struct{}
	mu      sync.Mutex
	inside  map[desired.Owner]bool
}

// reservedSlots is how many slots are for what takes access away.
const reservedSlots = 4

// defaultConcurrency is how many owners are synced at once where the client's settings do not say.
const defaultConcurrency = 50

func newAdmission(gateway string, concurrency int, stopped <-chan struct{}) *admission {
	if concurrency <= 0 {
		concurrency = defaultConcurrency
	}
	return &admission{
		gateway: gateway, slots: make(chan struct{}, concurrency), reserved: make(chan struct{}, reservedSlots),
		stopped: stopped, inside: map[desired.Owner]bool{},
	}
}

// visit is one owner inside, with a slot or without. It is for one goroutine.
type visit struct {
	*admission
	owner desired.Owner
	// slot is where one was taken; nil: none was.
	slot chan struct{}
}

// takeSlot is called before the first request of a visit; again, it does nothing. No worker waits here: those of other
// gateways would run out of workers. The error is the wait for a slot.
func (v *visit) takeSlot(withdraws bool) error {
	if v.slot != nil {
		return nil
	}
	from := []chan struct{}{v.slots}
	if withdraws {
		from = append(from, v.reserved)
	}
	for _, slots := range from {
		select {
		case slots <- struct{}{}:
			v.slot = slots
			return nil
		default:
		}
	}
	return v.busy()
}

func (v *visit) leave() {
	if v.slot != nil {
		<-v.slot
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.inside, v.owner)
}

// open says that the engine was not stopped. The wait is quiet: the status of the resource was true of the engine that
// is gone.
func (a *admission) open() error {
	select {
	case <-a.stopped:
		wait := status.Wait(time.Second, v1alpha1.ReasonGatewayNotReady,
			"KongGateway %s changed; looking again", a.gateway)
		wait.Quiet = true
		return wait
	default:
		return nil
	}
}

// busyPause is how long an owner stays away from a gateway whose slots are all taken.
const busyPause = 200 * time.Millisecond

// enter lets an owner in that is not inside. The error is a wait, or that of ctx.
func (a *admission) enter(ctx context.Context, owner desired.Owner) (*visit, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inside[owner] {
		return nil, a.busy()
	}
	a.inside[owner] = true
	return &visit{admission: a, owner: owner}, nil
}

// busy is the wait for a slot.
func (a *admission) busy() error {
	wait := status.Wait(jitter(busyPause), v1alpha1.ReasonProgressing, "KongGateway %s is busy", a.gateway)
	wait.Quiet = true
	return wait
}

// vacant says whether there is a slot at this moment; urgent is for an owner of whom access may be taken away.
func (a *admission) vacant(urgent bool) error {
	if len(a.slots) < cap(a.slots) || urgent && len(a.reserved) < cap(a.reserved) {
		return nil
	}
	return a.busy()
}

// Usable says whether the gateway can be written to now: the error is a *status.WaitError where it cannot. An owner
// that comes while it is away is woken when it is back, or when it is known why it does not come. It sends nothing.
// Where all slots are taken an owner is sent away here, before its Secrets are read for nothing. urgent says that
// access may have to be taken away: there are slots for that alone.
func (e *Engine) Usable(owner desired.Owner, urgent bool) error {
	if err := e.reachable(owner); err != nil {
		return err
	}
	return e.admission.vacant(urgent)
}

func (e *Engine) reachable(owner desired.Owner) error {
	if err := e.admission.open(); err != nil {
		return err
	}
	return e.monitor.usable(owner)
}
