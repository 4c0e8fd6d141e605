package ingress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Usable implements engine.Programmer: an engine that knows the objects takes writes, whether or not the controller
// takes them now.
func (e *Engine) Usable(desired.Owner) error {
	select {
	case <-e.stopped:
		wait := status.Wait(time.Second, v1alpha1.ReasonGatewayNotReady, "KongGateway %s changed; looking again",
			e.start.Scope.Gateway)
		wait.Quiet = true
		return wait
	default:
	}
	if e.Filled() {
		return nil
	}
	state := e.State()
	return status.Wait(5*time.Second, v1alpha1.ReasonGatewayNotReady, "KongGateway %s cannot be used: %s",
		e.start.Scope.Gateway, state.Message)
}

// Sync implements engine.Programmer. It writes what may be written now; a *status.WaitError says that the rest, or the
// controller's push, is waited for.
func (e *Engine) Sync(ctx context.Context, set desired.Set, options engine.SyncOptions) (engine.Result, error) {
	owner := set.Owner
	if err := e.Usable(owner); err != nil {
		return engine.Result{}, err
	}
	if set.Attach != nil {
		return engine.Result{}, status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.attachTo: %s is no object of Kubernetes, and "+
				"behind an ingress controller plugins are put on objects only (KongGateway %s). Set spec.upstream and spec.routes.",
			set.Attach, e.start.Scope.Gateway)
	}
	claim, err := e.claims(ctx, set, options)
	if err != nil {
		return engine.Result{}, err
	}
	defer claim.end()
	if claim.lacksConsumer(set) {
		result, err := e.withdraw(ctx, owner, func(o seen) bool { return isAccess(o) && !wants(set, o.ID) })
		return result, errors.Join(claim.err(), err)
	}
	result, err := e.sync(ctx, claim.without(set))
	result.Undone = claim.refused
	if refused := claim.err(); refused != nil {
		return result, errors.Join(refused, waits(err))
	}
	e.arbiter.Succeeded(owner)
	return result, err
}

// wants says whether a set has an entity.
func wants(set desired.Set, id string) bool {
	return slices.ContainsFunc(set.Entities, func(e kong.Entity) bool { return e.ID == id })
}

func isAccess(o seen) bool { return o.Entity == kong.KindJWT || o.Entity == kong.KindACL }

// sync brings an owner's objects to a set whose keys are free.
func (e *Engine) sync(ctx context.Context, set desired.Set) (engine.Result, error) {
	var kept []objects.Object
	for _, o := range e.held.of(set.Owner) {
		if slices.Contains(set.Keep, o.ID) {
			kept = append(kept, o.Object)
		}
	}
	want, err := e.objects.Of(set, kept)
	if err != nil {
		return engine.Result{}, err
	}
	if why := e.refused(set.Owner, want); why != nil {
		result, err := e.program(ctx, set.Owner, nil)
		return result, errors.Join(why, waits(err))
	}
	result, err := e.program(ctx, set.Owner, want)
	if err == nil {
		err = e.checkConsumer(ctx, want)
	}
	return result, errors.Join(e.unprotected(set.Owner), err)
}

// unprotected says that a KongPlugin is taken instead of one of an owner's plugins.
func (e *Engine) unprotected(owner desired.Owner) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	by, hidden := e.hidden[owner]
	if !hidden {
		return nil
	}
	stalled := status.Stalled(v1alpha1.ReasonUnprotected,
		"spec.plugins: %s has the name of the operator's KongClusterPlugin, and the ingress controller takes it instead "+
			"(KongGateway %s). Have it renamed.", by, e.start.Scope.Gateway)
	stalled.RetryAfter = e.settings.DriftInterval
	return stalled
}

// waits drops a wait: what is stalled says more.
func waits(err error) error {
	var wait *status.WaitError
	if errors.As(err, &wait) {
		return nil
	}
	return err
}

// refused says what Kong refuses of the very same wishes; nil where it is not known to.
func (e *Engine) refused(owner desired.Owner, want []objects.Object) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	held, found := e.refusals[owner]
	if !found {
		return nil
	}
	digest := digestOf(want)
	if held.digest == "" {
		held.digest = digest
		e.refusals[owner] = held
	}
	if held.digest != digest || e.start.Now().After(held.until) {
		delete(e.refusals, owner)
		return nil
	}
	stalled := status.Stalled(v1alpha1.ReasonKongRejected,
		"spec: Kong refuses %s, and would take nobody's changes with it: it is taken out again (KongGateway %s). "+
			"Change what it is made of.",
		held.message, e.start.Scope.Gateway)
	stalled.RetryAfter = e.settings.DriftInterval
	return stalled
}

func digestOf(want []objects.Object) string {
	sums := make([]string, 0, len(want))
	for _, o := range want {
		sums = append(sums, o.Sum)
	}
	slices.Sort(sums)
	sum := sha256.Sum256([]byte(strings.Join(sums, "\x00")))
	return hex.EncodeToString(sum[:])
}

// run brings an owner's objects to what is wanted.
type run struct {
	*Engine
	owner  desired.Owner
	own    map[objects.Reference]seen
	want   map[objects.Reference]objects.Object
	result engine.Result
	// open says that something has to wait for a push before it is written.
	open bool
}

// ranks in the order of what comes in.
var ranks = []objects.Rank{objects.RankBase, objects.RankPlugin, objects.RankService, objects.RankTop}

// program writes and deletes what may be written and deleted now.
func (e *Engine) program(ctx context.Context, owner desired.Owner, want []objects.Object) (engine.Result, error) {
	r := &run{Engine: e, owner: owner, own: map[objects.Reference]seen{}, want: map[objects.Reference]objects.Object{}}
	for _, o := range e.held.of(owner) {
		r.own[o.Reference] = o
	}
	for _, o := range want {
		r.want[o.Reference] = o
	}
	for _, rank := range ranks {
		for _, o := range want {
			if o.Rank() == rank {
				if err := r.bring(ctx, o); err != nil {
					return r.result, err
				}
			}
		}
	}
	for _, rank := range slices.Backward(ranks) {
		if err := r.takeAway(ctx, rank); err != nil {
			return r.result, err
		}
	}
	return r.result, r.conclude()
}

// bring writes an object that is not there as it is wanted. A route comes guarded first: under a host and a header that
// nobody asks with. It, or a service that is reachable already, names plugins only once these are in Kong.
func (r *run) bring(ctx context.Context, o objects.Object) error {
	held, there := r.own[o.Reference]
	if there && held.Sum == o.Sum || o.Content == nil {
		return nil
	}
	needsBelow := o.Entity == kong.KindRoute || o.Entity == kong.KindService || o.Entity == kong.KindPlugin
	switch {
	case o.Entity == kong.KindRoute && !there:
		r.open = true
		return r.apply(ctx, r.objects.Guard(o))
	case needsBelow && there && !r.settled(o.Rank(), held):
		r.open = true
		return nil
	}
	return r.apply(ctx, o)
}

// settled says whether a held object, and all below it, are in Kong.
func (r *run) settled(rank objects.Rank, held seen) bool {
	confirmed := r.confirmed()
	if held.Guarded && held.epoch > confirmed {
		return false
	}
	for _, o := range r.own {
		if o.Rank() < rank && o.epoch > confirmed {
			return false
		}
	}
	return true
}

func (r *run) apply(ctx context.Context, o objects.Object) error {
	print, err := r.cluster.apply(ctx, o)
	if err != nil {
		return r.failed(o, err)
	}
	now, before := seen{Object: o, print: print}, r.own[o.Reference]
	now.Content = nil
	if before.print == print { // it was as it should be
		now.epoch = before.epoch
		r.own[o.Reference] = now
		r.held.put(now)
		return nil
	}
	now.epoch = r.wrote()
	if o.Entity == kong.KindConsumer {
		r.noteAccess(now.epoch)
	}
	r.own[o.Reference] = now
	r.arbiter.Free(r.held.put(now), r.owner)
	r.result.Writes++
	return nil
}

// noteAccess notes that a consumer was written without a credential or a group that it has.
func (r *run) noteAccess(epoch uint64) {
	for reference, held := range r.own {
		if _, wanted := r.want[reference]; !wanted && isAccess(held) {
			r.held.withdrew(r.owner, epoch)
		}
	}
}

// failed says what an object that cannot be written means for its owner.
func (r *run) failed(o objects.Object, err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		reason := apierrors.ReasonForError(err)
		return status.Stalled(v1alpha1.ReasonKongRejected,
			"spec: the API server refuses %s: %s (KongGateway %s). Look into the operator's log, and change what it is made of.",
			o.Reference, reason, r.start.Scope.Gateway)
	}
	return fmt.Errorf("apply %s: %w", o.Reference, err)
}

// takeAway deletes the objects of a rank that nobody wants. What is exposed goes at once; what protects it, and what a
// consumer names, goes when Kong no longer has what names it.
func (r *run) takeAway(ctx context.Context, rank objects.Rank) error {
	unnamed := rank == objects.RankTop || r.unnamed(rank)
	for reference, held := range r.own {
		if _, wanted := r.want[reference]; wanted || held.Rank() != rank {
			continue
		}
		if !unnamed {
			r.open = true
			continue
		}
		if err := r.cluster.remove(ctx, reference); err != nil {
			return fmt.Errorf("delete %s: %w", reference, err)
		}
		r.drop(held)
		delete(r.own, reference)
		r.result.Writes++
	}
	return nil
}

// unnamed says whether what may name objects of a rank is in Kong as it is now, or out of it.
func (r *run) unnamed(rank objects.Rank) bool {
	confirmed := r.confirmed()
	if r.open || r.held.lastAccess(r.owner) > confirmed {
		return false
	}
	for _, o := range r.own {
		if o.Rank() > rank && o.epoch > confirmed {
			return false
		}
	}
	return r.held.lastRemoved(r.owner) <= confirmed // what was deleted of a higher rank is out too
}

// again is when an owner looks again, beside being woken.
const again = 5 * time.Second

// conclude says whether all is in Kong.
func (r *run) conclude() error {
	last, confirmed := r.held.lastWrite(r.owner), r.confirmed()
	if !r.open && last <= confirmed {
		r.result.Applied = true
		return nil
	}
	r.await(r.owner, max(last, confirmed+1))
	r.mu.Lock()
	b, now := r.barrier, r.start.Now()
	r.mu.Unlock()
	late := b.late(now, r.pace.Late)
	message := "waiting until the ingress controller has given Kong what was written"
	if late {
		message = b.lateness(r.settings.Class, r.pace.Late)
	}
	wait := status.Wait(again, reasonOf(late, r.held.lastAccess(r.owner) > confirmed), "%s", message)
	wait.Quiet = !late && !r.open && last <= b.found && r.result.Writes == 0 // all was there when this process began
	return wait
}

// checkConsumer asks what the controller says of a consumer that has to be in Kong: one whose credentials or name
// somebody else has too is dropped.
func (e *Engine) checkConsumer(ctx context.Context, want []objects.Object) error {
	for _, o := range want {
		if o.Entity != kong.KindConsumer {
			continue
		}
		live, err := e.cluster.get(ctx, o.Reference)
		if err != nil {
			return fmt.Errorf("get %s: %w", o.Reference, err)
		}
		if live == nil || live.GetAnnotations()[objects.AnnotationClass] != e.settings.Class {
			e.Relist(o.Owner, "changed")
			return status.Wait(again, v1alpha1.ReasonProgressing, "%s was changed by somebody else; writing it again",
				o.Reference)
		}
		if condition := programmed(live); condition["status"] == "False" {
			return status.Stalled(v1alpha1.ReasonConflict,
				"spec.credentials: the ingress controller drops this consumer: somebody else "+
					"has one of its keys, or its username (%s). Look at the events of %s, and choose another.",
				o.Reference, o.Reference)
		}
	}
	return nil
}

// credentialNames are the Secrets that a KongConsumer names.
func credentialNames(o *unstructured.Unstructured) []string {
	names, _, _ := unstructured.NestedStringSlice(o.Object, "credentials")
	return names
}
