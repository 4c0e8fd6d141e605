// Package ingress is the engine of a gateway whose Kong belongs to an ingress controller: it writes Kubernetes objects
// (internal/objects), which the controller makes Kong's configuration of. Controllers use it as they use the engine of
// an Admin API, see engine.Programmer.
//
// What the controller says of single objects is not enough to know what Kong runs: after a change that ends where it
// began its word stays behind, and it stays good for what was dropped. Hence the barrier: one KongConsumer of the
// gateway's own whose custom_id changes each time, so that the push with it differs from the one before and is
// reported. When it is, everything that was written before the barrier is in Kong, on every node.
package ingress

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/arbiter"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/prune"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Settings of an engine.
type Settings struct {
	// Class is the ingress class that the controller takes.
	Class string
	// Namespace is the operator's own.
	Namespace string
	// DriftInterval is the time between two looks at all objects.
	DriftInterval time.Duration
	// Key of the sums of contents; it is the installation's own.
	Key string
}

// Pace are the times of an engine; a test hurries them.
type Pace struct {
	// Look is the time between two looks at the barrier.
	Look time.Duration
	// Settle is how long after the last write the barrier is written: the controller watches each kind by itself.
	Settle time.Duration
	// Blame is how long a push may take until the controller's events are read, Late until it is said that it is late.
	Blame, Late time.Duration
}

// RealPace fits a controller that looks every three seconds.
func RealPace() Pace {
	return Pace{Look: 500 * time.Millisecond, Settle: 400 * time.Millisecond, Blame: 8 * time.Second,
		Late: 40 * time.Second}
}

// Engine is the engine of one KongGateway. Its methods may be called from many goroutines.
type Engine struct {
	start    engine.Start
	settings Settings
	pace     Pace
	objects  objects.Settings
	cluster  cluster
	held     *held
	arbiter  *arbiter.Arbiter
	orphans  *prune.Ledger
	relist   chan struct{}
	stopped  <-chan struct{}

	mu    sync.Mutex
	state engine.State
	// filled says that all objects were listed once.
	filled  bool
	barrier barrier
	// refusals are what Kong refuses of owners.
	refusals map[desired.Owner]refusal
	// hidden are the KongPlugins that are taken instead of an owner's KongClusterPlugin.
	hidden map[desired.Owner]objects.Reference
	// asked are the texts that owners asked for a listing with.
	asked map[desired.Owner]string
	known others
}

var _ engine.Programmer = (*Engine)(nil)

// Run starts an engine, which runs until ctx ends.
func Run(ctx context.Context, kube client.Client, settings Settings, pace Pace, s engine.Start) *Engine {
	e := &Engine{
		start: s, settings: settings, pace: pace, held: newHeld(), orphans: prune.NewLedger(),
		cluster: cluster{kube}, relist: make(chan struct{}, 1), stopped: ctx.Done(),
		objects: objects.Settings{
			Scope: s.Scope, Class: settings.Class, Namespace: settings.Namespace, Key: []byte(settings.Key),
		},
		refusals: map[desired.Owner]refusal{}, asked: map[desired.Owner]string{},
	}
	e.arbiter = arbiter.New(func(owner desired.Owner) { e.wake(owner, engine.EventFreed) }, settings.DriftInterval)
	e.state = engine.State{Reason: v1alpha1.ReasonProgressing, Message: "looking for the objects of this gateway"}
	go e.run(ctx)
	return e
}

// run looks again and again, until ctx ends.
func (e *Engine) run(ctx context.Context) {
	ticker := time.NewTicker(e.pace.Look)
	defer ticker.Stop()
	var listed time.Time
	for {
		if now := e.start.Now(); !e.Filled() || now.Sub(listed) > e.settings.DriftInterval || e.wantsList() {
			if e.fill(ctx) {
				listed = now
			}
		}
		if e.Filled() {
			e.lookAtBarrier(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *Engine) wantsList() bool {
	select {
	case <-e.relist:
		return true
	default:
		return false
	}
}

// fill lists all objects of the gateway. What somebody else changed is applied again by its owner.
func (e *Engine) fill(ctx context.Context) bool {
	found, err := e.cluster.list(ctx, e.objects)
	var plugins map[objects.Reference]bool
	if err == nil {
		plugins, err = e.cluster.plugins(ctx)
	}
	if err != nil {
		if ctx.Err() == nil && !e.Filled() {
			e.setState(engine.State{Reason: v1alpha1.ReasonGatewayNotReady, Message: unavailable(err)})
		}
		return false
	}
	if !e.Filled() {
		e.wrote() // the first barrier: is there a controller at all?
	}
	changed := e.held.replace(found, e.wrote)
	e.noteHidden(plugins, changed)
	e.orphans.Listed()
	e.mu.Lock()
	first := !e.filled
	if e.filled = true; first {
		e.barrier.found = e.barrier.written
	}
	e.mu.Unlock()
	if first {
		e.start.Log.Info("Connected to the ingress controller's objects", "class", e.settings.Class)
		e.start.Notify(engine.Event{Gateway: e.start.Scope.Gateway, Reason: engine.EventConnected})
	}
	for owner := range changed {
		e.wake(owner, engine.EventDrift)
	}
	e.judge()
	return true
}

// noteHidden notes whose KongClusterPlugins are hidden, and adds the owners for whom that is new.
func (e *Engine) noteHidden(plugins map[objects.Reference]bool, changed map[desired.Owner]bool) {
	hidden := e.held.hidden(plugins)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, all := range []map[desired.Owner]objects.Reference{e.hidden, hidden} {
		for owner := range all {
			if e.hidden[owner] != hidden[owner] {
				changed[owner] = true
			}
		}
	}
	e.hidden = hidden
}

// unavailable says why objects cannot be listed.
func unavailable(err error) string {
	if isNoKind(err) {
		return "spec.ingressController: the cluster has no " + objects.GroupKong + " KongConsumers. " +
			"Install the custom resource definitions of Kong Ingress Controller; this gateway goes on when they are there."
	}
	if isForbidden(err) {
		return "spec.ingressController: the operator may not read the ingress controller's objects. " +
			"Set ingressController.enabled in the operator's chart."
	}
	return fmt.Sprintf("spec.ingressController: its objects cannot be listed: %v", err)
}

// setState changes what is said of the gateway, and tells its resource.
func (e *Engine) setState(now engine.State) {
	e.mu.Lock()
	former := e.state
	e.state = now
	e.mu.Unlock()
	if former.Ready != now.Ready || former.Message != now.Message || former.Reported != now.Reported {
		e.start.Notify(engine.Event{Gateway: e.start.Scope.Gateway, Reason: engine.EventChanged})
	}
	if now.Ready && !former.Ready {
		e.start.Log.Info("The ingress controller takes this gateway's objects")
	}
}

func (e *Engine) wake(owner desired.Owner, reason string) {
	e.start.Notify(engine.Event{Gateway: e.start.Scope.Gateway, Owner: &owner, Reason: reason})
}

// judge says how the gateway fares: it is ready once a barrier was taken, until one is late.
func (e *Engine) judge() {
	counts := e.held.reported()
	e.mu.Lock()
	b, now := e.barrier, e.start.Now()
	e.mu.Unlock()
	state := engine.State{Counts: counts, Reported: counts}
	switch {
	case b.late(now, e.pace.Late):
		state.Reason = v1alpha1.ReasonAwaitingController
		state.Message = "spec.ingressController: " + b.lateness(e.settings.Class, e.pace.Late)
	case b.confirmed == 0:
		state.Reason = v1alpha1.ReasonProgressing
		state.Message = "waiting until the ingress controller takes the first object"
	default:
		state.Ready = true
	}
	e.setState(state)
}
