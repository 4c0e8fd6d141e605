package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// State is what is known of a gateway.
type State struct {
	// Ready says that Kong answers and that it is known what it holds.
	Ready bool
	// Reason and Message say why it is not ready.
	Reason, Message string
	// Kong is what it says of itself; zero before it answered.
	Kong backend.Description
	// KongVersion and Database are of the same answer: "3.9.3"; "postgres" or "off".
	KongVersion, Database string
	// PropagationDelay is how long a change may take to reach every worker of every node.
	PropagationDelay time.Duration
	Counts           Counts
	// Reported are the counts that the last event told of. They change once a heartbeat, not with every write.
	Reported Counts
}

// monitor connects to a Kong, asks for it, and lists what it holds.
type monitor struct {
	*rooms
	// suspect asks for a heartbeat at once, relist for a listing.
	suspect, relist chan struct{}

	mu sync.Mutex
	// ready, reason and message are as in State.
	ready           bool
	reason, message string
	// connected says that Kong was listed at least once.
	connected bool
	reported  Counts
	// absent are the owners to wake when the gateway is back.
	absent map[desired.Owner]bool
	// rehash says that hashes of before mean nothing until Kong is listed: its schemas changed.
	rehash bool

	license license
}

func newMonitor(r *rooms) *monitor {
	return &monitor{
		rooms: r, suspect: make(chan struct{}, 1), relist: make(chan struct{}, 1),
		reason: v1alpha1.ReasonProgressing, message: "connecting to " + r.settings.Client.URL,
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

// run connects and keeps looking until ctx ends.
func (m *monitor) run(ctx context.Context) {
	heartbeat := time.NewTicker(m.options.Heartbeat)
	defer heartbeat.Stop()
	listing := time.NewTicker(max(m.settings.DriftInterval, time.Second))
	defer listing.Stop()
	m.look(ctx)
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

// look asks whether Kong is there. One that comes, or comes back, is listed before anything is written to it.
func (m *monitor) look(ctx context.Context) {
	if !m.isReady() {
		if m.license.due(m.options.Now()) {
			m.check(ctx)
		}
		return
	}
	var err error
	for range heartbeatTries {
		if err = m.healthy(ctx); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeatPause):
		}
	}
	m.lose(m.describeFailure(err))
}

// healthy is one heartbeat.
func (m *monitor) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	return m.link.current().Healthy(ctx)
}

// check asks Kong what it is, and lists what it holds.
func (m *monitor) check(ctx context.Context) {
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

// open asks Kong what it is. Where it is another than before, what was known of it goes, and what was refused is tried
// again.
func (m *monitor) open(ctx context.Context) error {
	changes, err := m.link.open(ctx)
	if err != nil {
		return err
	}
	delay := m.link.describe().Delay + m.options.Margin
	m.clocks.SetDelay(delay)
	if changes.replaced {
		m.lose(v1alpha1.ReasonProgressing, "Kong changed its database setting; reading what it holds")
		m.reset()
		m.mu.Lock()
		m.connected = false
		m.mu.Unlock()
	}
	if !changes.upgraded {
		return nil
	}
	for _, owner := range m.memory.takeRejected() {
		m.wake(owner, EventFreed)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rehash = true
	if m.ready {
		m.ready, m.reason, m.message = false, v1alpha1.ReasonProgressing,
			"Kong's version, plugins or settings changed; reading what it holds"
	}
	return nil
}

// fail decides what a failed look means. A gateway that is ready stays so as long as it answers: the listing is tried
// again.
func (m *monitor) fail(ctx context.Context, err error) {
	current := m.link.current()
	if ambiguous(err) && current != nil {
		// The status knows better: that it is the database, say, whose lack every other request answers with 500.
		unhealthy := m.healthy(ctx)
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

// failed records that the gateway cannot be used, and why.
func (m *monitor) failed(err error) {
	m.license.note(err, m.options.Now())
	m.lose(m.describeFailure(err))
}

// describeFailure says why a gateway cannot be used.
func (m *monitor) describeFailure(err error) (reason, message string) {
	var unusable *backend.UnusableError
	var unauthorized *kong.UnauthorizedError
	var unlicensed *kong.UnlicensedError
	client := m.settings.Client
	switch {
	case errors.As(err, &unusable):
		return unusable.Reason, unusable.Message
	case errors.As(err, &unlicensed):
		return v1alpha1.ReasonLicenseMissing, "Kong takes no writes: its Enterprise license is missing or expired. " +
			"Give Kong a valid license; the operator notices by itself"
	case errors.As(err, &unauthorized):
		return v1alpha1.ReasonKongUnreachable, fmt.Sprintf(
			"the Admin API at %s refuses the token; check spec.adminAPI.auth and the token's rights", client.URL)
	case isNotFound(err):
		return v1alpha1.ReasonKongUnreachable, fmt.Sprintf(
			"%s answers 404; check that spec.adminAPI.url is the Admin API and that workspace %q exists",
			client.URL, client.Workspace)
	}
	return v1alpha1.ReasonKongUnreachable, fmt.Sprintf(
		"the Admin API at %s does not answer as it should: %v; it is asked again every %s",
		client.URL, err, m.options.Heartbeat)
}

// State gives what is known of the gateway.
func (m *monitor) State() State {
	about := m.link.describe()
	m.mu.Lock()
	defer m.mu.Unlock()
	return State{
		Ready: m.ready, Reason: m.reason, Message: m.message,
		Kong: about, KongVersion: about.Version, Database: about.Database,
		PropagationDelay: m.clocks.Delay(), Counts: m.observed.Counts(), Reported: m.reported,
	}
}

func (m *monitor) isReady() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready
}

// lose records that the gateway cannot be used.
func (m *monitor) lose(reason, message string) {
	m.mu.Lock()
	if !m.ready && m.reason == reason && m.message == message {
		m.mu.Unlock()
		return
	}
	var waiting []desired.Owner
	if m.reason == v1alpha1.ReasonProgressing {
		waiting = keysOf(m.absent) // those that wait were told nothing so far
	}
	m.ready, m.reason, m.message = false, reason, message
	m.mu.Unlock()
	m.log.Info("Gateway cannot be used", "reason", reason, "message", message)
	for _, owner := range waiting {
		m.wake(owner, EventRecovered)
	}
	m.changed(EventChanged)
}

// gain records that the gateway is there, and wakes those that waited for it.
func (m *monitor) gain() {
	m.mu.Lock()
	if m.ready {
		m.mu.Unlock()
		return
	}
	m.ready, m.reason, m.message = true, v1alpha1.ReasonSucceeded, ""
	m.reported = m.observed.Counts()
	waiting, first := keysOf(m.absent), !m.connected
	m.connected = true
	clear(m.absent)
	m.mu.Unlock()
	m.clocks.Fill()
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

// usable says whether the gateway can be written to now: the error is a *status.WaitError where it cannot. An owner
// that comes while it is away is woken when it is back, or when it is known why it does not come.
func (m *monitor) usable(owner desired.Owner) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready {
		return nil
	}
	m.absent[owner] = true
	wait := status.Wait(0, v1alpha1.ReasonKongUnreachable, "KongGateway %s: %s", m.scope.Gateway, m.message)
	switch m.reason {
	case v1alpha1.ReasonProgressing:
		wait.Reason, wait.Quiet = v1alpha1.ReasonGatewayNotReady, true
	case v1alpha1.ReasonLicenseMissing:
		wait.Reason = v1alpha1.ReasonGatewayNotReady // Kong answers
	}
	return wait
}

// ask asks for a heartbeat at once. Where it fails, the owner is woken when Kong is back.
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
