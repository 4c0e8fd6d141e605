package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// State is what is known of a gateway.
type State struct {
	// Ready says that Kong answers and that it is known what it holds.
	Ready bool
	// Reason and Message say why it is not ready.
	Reason, Message string
	// Stalled says that it is not ready for something that a person has to change, or for longer than a heartbeat.
	Stalled bool
	// Kong is what it says of itself; zero before it answered.
	Kong backend.Description
	// KongVersion and Database are of the same answer: "3.9.3"; "postgres" or "off".
	KongVersion, Database string
	// PropagationDelay is how long a change may take to reach every worker of every node.
	PropagationDelay time.Duration
	Counts           Counts
	// Reported are the counts that the last event told of. They change once a heartbeat, not with every write.
	Reported Counts
	// ClaimsBypassed is what answers requests of consumers before their claims are checked, where a service has
	// spec.claims.
	ClaimsBypassed string
	// LeftOut are objects that an ingress controller's fallback serves without their plugins, as far as it is
	// known.
	LeftOut string
}

// monitor connects to a Kong, asks for it, and lists what it holds.
//
// One goroutine does the looking (run), so that no two listings overtake each other. The fields below mu are shared
// with every Sync. A gateway is ready from the first listing on until a few heartbeats fail, and again after the next
// listing: nothing is written to a Kong of which it is not known what it holds.
type monitor struct {
	*rooms
	// suspect asks for a heartbeat at once, relist for a listing. looked is closed after the first look.
	suspect, relist, looked chan struct{}

	mu sync.Mutex
	health
	// connected says that Kong was listed at least once.
	connected bool
	// checking says that a check is under way, which looks at every node itself.
	checking bool
	reported Counts
	// absent are the owners to wake when the gateway is back.
	absent map[desired.Owner]bool
	// rehash says that hashes of before mean nothing until Kong is listed: its schemas changed.
	rehash  bool
	license license
}

// health is how a gateway fares, as State says it.
type health struct {
	ready           bool
	reason, message string
	stalled         bool
	// since is when it was lost.
	since time.Time
}

func newMonitor(r *rooms) *monitor {
	return &monitor{
		rooms: r, suspect: make(chan struct{}, 1), relist: make(chan struct{}, 1), looked: make(chan struct{}),
		health: health{reason: v1alpha1.ReasonProgressing, message: "connecting to " + r.settings.Client.URL},
		absent: map[desired.Owner]bool{},
	}
}

// A gateway is away when it fails a few heartbeats in a row: one lost answer is no reason to stop.
const (
	heartbeatTries = 3
	heartbeatPause = 300 * time.Millisecond
	// heartbeatTimeout is how long a heartbeat waits for its answer: one that hangs is as good as none.
	heartbeatTimeout = 3 * time.Second
)

// run connects and keeps looking until ctx ends. A request that was asked for while another look is under way is kept,
// and one is enough: see request.
func (m *monitor) run(ctx context.Context) {
	defer m.link.close()
	heartbeat := time.NewTicker(m.options.Heartbeat)
	defer heartbeat.Stop()
	listing := time.NewTicker(max(m.settings.DriftInterval, time.Second))
	defer listing.Stop()
	m.look(ctx)
	close(m.looked)
	for {
		select {
		case <-ctx.Done():
			return
		case <-heartbeat.C:
			m.look(ctx)
		case <-m.suspect:
			m.look(ctx)
		case <-m.relist:
			m.check(ctx)
		case <-listing.C:
			if m.isReady() {
				m.check(ctx)
			}
		}
		m.reportCounts()
	}
}

// look asks whether Kong is there. One that comes, or comes back, is listed before anything is written to it. A
// gateway that is not ready is tried each heartbeat; one without a license only when its pause is over.
func (m *monitor) look(ctx context.Context) {
	if !m.isReady() {
		if m.license.due(m.options.Now()) {
			m.check(ctx)
		}
		return
	}
	var err error
	for range heartbeatTries {
		if err = m.answers(ctx); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeatPause):
		}
	}
	m.lose(m.explain(err))
}

// answers is one heartbeat.
func (m *monitor) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	return m.link.current().Healthy(ctx)
}

// check asks Kong what it is, and lists what it holds. The order matters: what Kong is decides about the backend, a
// license is asked for before owners are let in, and nodes that differ are brought together before one of them is
// listed. The event has the gateway's own resource look for orphans, also where gain has nothing to tell.
func (m *monitor) check(ctx context.Context) {
	m.setChecking(true)
	defer m.setChecking(false)
	err := m.open(ctx)
	if err == nil {
		err = m.tryLicense(ctx)
	}
	if err == nil {
		err = m.link.current().Align(ctx)
	}
	if err == nil {
		err = m.refresh(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.fail(ctx, err)
	default:
		m.orphans.Listed()
		m.changed(EventChanged)
		m.gain()
	}
}

func (m *monitor) setChecking(checking bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checking = checking
}

// differs has Kong listed, because a node runs something else than it was given. A check that fails meets such nodes
// too: the next heartbeat is soon enough to try again.
func (m *monitor) differs() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready && !m.checking {
		request(m.relist)
	}
}

// open asks Kong what it is. Where it is another than before, what was known of it goes, and what was refused is tried
// again.
func (m *monitor) open(ctx context.Context) error {
	changes, err := m.link.open(ctx)
	if err != nil {
		return err
	}
	delay := m.link.describe().Delay + m.options.Margin
	m.clocks.SetDelay(delay)
	// Users are kept out before what is known goes: a Sync in between would find nothing in Kong and create it
	// all.
	if changes.replaced {
		m.lose(failure{v1alpha1.ReasonProgressing, "Kong changed its database setting; reading what it holds", false})
		m.reset()
		m.mu.Lock()
		m.connected = false
		m.mu.Unlock()
	}
	if !changes.upgraded {
		return nil
	}
	// What the former version refused, this one may take.
	for _, owner := range m.memory.rejectedOwners() {
		m.wake(owner, EventFreed)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rehash = true
	// Hashes of before and after differ for entities that nobody changed: until Kong is listed again, each Sync
	// would write all that its owner has.
	if m.ready {
		m.health = health{reason: v1alpha1.ReasonProgressing, message: "Kong's version, plugins or settings changed; reading what it holds"}
	}
	return nil
}

// fail decides what a failed look means. A gateway that is ready stays so as long as it answers: the listing is tried
// again.
func (m *monitor) fail(ctx context.Context, err error) {
	current := m.link.current()
	if ambiguous(err) && current != nil {
		// The status knows better: that it is the database, say, whose lack every other request answers with
		// 500.
		unhealthy := m.answers(ctx)
		if unhealthy == nil && m.isReady() {
			m.log.Info("Kong could not be listed; it is tried again", "error", err.Error())
			return
		}
		if unhealthy != nil {
			err = unhealthy
		}
	}
	m.failed(err)
}

// failed records that the gateway cannot be used, and why. A backend calls it too, from its own goroutine.
func (m *monitor) failed(err error) {
	m.license.note(err, m.options.Now())
	m.lose(m.explain(err))
}

func (m *monitor) explain(err error) failure {
	return explainFailure(m.settings.Client, m.options.Heartbeat, err)
}

// State gives what is known of the gateway.
func (m *monitor) State() State {
	about := m.link.describe()
	m.mu.Lock()
	defer m.mu.Unlock()
	return State{
		Ready: m.ready, Reason: m.reason, Message: m.message, Stalled: m.stalled,
		Kong: about, KongVersion: about.Version, Database: about.Database,
		PropagationDelay: m.clocks.Delay(), Counts: m.observed.Counts(), Reported: m.reported,
		ClaimsBypassed: m.rivals.OfConsumers(),
	}
}

// isReady says whether Kong was there at the last look.
func (m *monitor) isReady() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready
}

// lose records that the gateway cannot be used, and that it lasts. Those that wait for it are woken to say so. A
// failure counts as lasting from the second heartbeat on: a Kong that restarts is a wait for its users, and no stall.
func (m *monitor) lose(f failure) {
	now := m.options.Now()
	m.mu.Lock()
	former := m.health
	m.health = health{reason: f.reason, message: f.message, stalled: f.persistent, since: now}
	if !former.ready && former.reason != v1alpha1.ReasonProgressing {
		m.since = former.since
	}
	if f.reason != v1alpha1.ReasonProgressing && now.Sub(m.since) >= m.options.Heartbeat {
		m.stalled = true
	}
	if !former.ready && former.reason == f.reason && former.message == f.message && former.stalled == m.stalled {
		m.mu.Unlock()
		return
	}
	var waiting []desired.Owner
	if former.reason == v1alpha1.ReasonProgressing || former.stalled != m.stalled {
		// They stay in absent, to be woken again when it is back.
		waiting = keysOf(m.absent) // they say something else by now
	}
	m.mu.Unlock()
	m.log.Info("Gateway cannot be used", "reason", f.reason, "message", f.message)
	for _, owner := range waiting {
		m.wake(owner, EventRecovered)
	}
	m.changed(EventChanged)
}

// gain records that the gateway is there, and wakes those that waited for it.
func (m *monitor) gain() {
	// Before Kong is ready: what is written then asks how long ago something left it.
	m.clocks.Fill()
	m.mu.Lock()
	if m.ready {
		m.mu.Unlock()
		return
	}
	m.health = health{ready: true, reason: v1alpha1.ReasonSucceeded}
	m.reported = m.observed.Counts()
	waiting, first := keysOf(m.absent), !m.connected
	m.connected = true
	m.absent = map[desired.Owner]bool{} // cleared, it would keep room for thousands
	m.mu.Unlock()
	m.log.Info("Gateway is ready", "kongVersion", m.link.describe().Version,
		"propagationDelay", m.clocks.Delay().String())
	if first {
		m.changed(EventConnected) // which wakes everybody
		return
	}
	m.changed(EventChanged)
	for _, owner := range waiting {
		m.wake(owner, EventRecovered)
	}
}

// reportCounts says that the counts changed, at most once a heartbeat.
func (m *monitor) reportCounts() {
	m.mu.Lock()
	counts := m.observed.Counts()
	isNew := m.ready && counts != m.reported
	if isNew {
		m.reported = counts
	}
	m.mu.Unlock()
	if isNew {
		m.changed(EventChanged)
	}
}

// usable says whether the gateway can be written to now: the error is a *status.WaitError where it cannot, and a
// *status.StalledError where that lasts. An owner that comes while it is away is woken when it is back, or when it is
// known why it does not come.
func (m *monitor) usable(owner desired.Owner) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready {
		return nil
	}
	m.absent[owner] = true
	reason, message := v1alpha1.ReasonGatewayNotReady, fmt.Sprintf(
		"spec.gatewayRef: KongGateway %s is not Ready, reason %s: %s", m.scope.Gateway, m.reason, m.message)
	if m.reason == v1alpha1.ReasonKongUnreachable {
		reason = m.reason
	}
	if m.stalled {
		return status.Stalled(reason, "%s", message)
	}
	wait := status.Wait(0, reason, "%s", message)
	wait.Quiet = m.reason == v1alpha1.ReasonProgressing
	return wait
}

// ask asks for a heartbeat at once. Where it fails, the owner is woken when Kong is back. A write that failed is
// noticed so long before the next heartbeat.
func (m *monitor) ask(owner desired.Owner) {
	m.mu.Lock()
	m.absent[owner] = true
	m.mu.Unlock()
	request(m.suspect)
}

// forget drops an owner that does not wait any more.
func (m *monitor) forget(owner desired.Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.absent, owner)
}

// request puts a wish into a channel that keeps one.
func request(channel chan<- struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

func keysOf(set map[desired.Owner]bool) []desired.Owner {
	owners := make([]desired.Owner, 0, len(set))
	for owner := range set {
		owners = append(owners, owner)
	}
	return owners
}
