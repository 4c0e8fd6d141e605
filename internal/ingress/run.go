package ingress

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// run brings an owner's objects to what is wanted.
type run struct {
	*rooms
	owner desired.Owner
	aim
	own    map[objects.Reference]held.Object
	want   map[objects.Reference]objects.Object
	result engine.Result
	// open says that something has to wait for a push before it is written.
	open bool
	// early are the plugins that would let somebody in too early.
	early map[objects.Reference]bool
}

// aim is how an owner's objects are brought to what is wanted.
type aim struct {
	// target is what the plugins are attached to; zero where they are not.
	target desired.Target
	// refused says that Kong refuses what is there: until it is another, nothing that is written gets into Kong.
	refused bool
}

// ranks in the order of what comes in.
var ranks = []objects.Rank{objects.RankBase, objects.RankPlugin, objects.RankService, objects.RankTop}

// begin makes a run of an owner.
func (r *rooms) begin(owner desired.Owner, aim aim, want []objects.Object) *run {
	one := &run{
		rooms: r, owner: owner, aim: aim,
		own: map[objects.Reference]held.Object{}, want: map[objects.Reference]objects.Object{},
		early: map[objects.Reference]bool{},
	}
	for _, o := range r.held.Of(owner) {
		one.own[o.Reference] = o
	}
	for _, o := range want {
		one.want[o.Reference] = o
	}
	return one
}

// program writes and deletes what may be written and deleted now.
func (r *rooms) program(ctx context.Context, owner desired.Owner, aim aim, want []objects.Object) (engine.Result, error) {
	one := r.begin(owner, aim, want)
	if err := one.bringAll(ctx, want); err != nil {
		return one.result, one.unlessRefused(ctx, err)
	}
	for _, rank := range slices.Backward(ranks) {
		if err := one.takeAway(ctx, rank); err != nil {
			return one.result, err
		}
	}
	return one.result, one.conclude()
}

// bringAll writes what may be written now, rank by rank. Before anything that means something to Kong, all of it is
// validated.
func (r *run) bringAll(ctx context.Context, want []objects.Object) error {
	for _, rank := range ranks {
		for _, o := range want {
			if o.Rank() == rank {
				if err := r.bring(ctx, o); err != nil {
					return err
				}
			}
		}
		if rank == objects.RankBase {
			if err := r.validate(ctx, want); err != nil {
				return err
			}
			if err := r.bringGuards(ctx, want); err != nil {
				return err
			}
		}
	}
	return nil
}

// bring writes an object that is not there as it is wanted. A route comes guarded first: under a host and a header
// that nobody asks with. It, or a service that is reachable already, names plugins only once these are in Kong.
func (r *run) bring(ctx context.Context, o objects.Object) error {
	if o.Attached {
		return r.attach(ctx, o)
	}
	before, there := r.own[o.Reference]
	if there && o.Content != nil {
		var err error
		if o, err = r.guarded(ctx, o); err != nil {
			return err
		}
	}
	if there && before.Sum == o.Sum && !before.Stale || o.Content == nil {
		if before.Repairs > 0 && before.Epoch <= r.barrier.Confirmed() {
			r.held.Rests(o.Reference)
		}
		return nil
	}
	if r.early[o.Reference] {
		return nil
	}
	// A plugin whose configuration is its own needs nothing: whom it no longer admits is kept out at once.
	needsBelow := o.Entity == kong.KindRoute || o.Entity == kong.KindService ||
		o.Entity == kong.KindPlugin && o.Content["configFrom"] != nil
	switch {
	case o.Entity == kong.KindRoute && !there:
		r.open = true
		return r.apply(ctx, r.objects.Guard(o))
	case needsBelow && there && !r.settled(o.Rank(), before):
		if r.open = true; before.Guarded && before.Stale {
			return r.apply(ctx, r.objects.Guard(o)) // somebody may have opened it
		}
		return nil
	}
	return r.apply(ctx, o)
}

// settled says whether an object that is there may name what is below it. The controller has to have read all of that:
// then no Kong gets the one without the other. A route that opens waits for every data plane beside, and nothing else
// does: what keeps somebody out waits for no data plane that does not answer.
func (r *run) settled(rank objects.Rank, is held.Object) bool {
	b := r.barrier.State()
	enough := b.Pushed
	if is.Guarded {
		enough = b.Confirmed
	}
	if is.Guarded && is.Since > enough {
		return false
	}
	for _, o := range r.own {
		if o.Rank() < rank && o.Since > enough {
			return false
		}
	}
	return true
}

func (r *run) apply(ctx context.Context, o objects.Object) error {
	before, there := r.own[o.Reference]
	if before.Sum == o.Sum && pauses(r, before) {
		return nil
	}
	narrows := there && r.narrows(ctx, o, before)
	defer r.held.Writing(o.Reference)()
	print, uid, err := r.cluster.apply(ctx, o)
	if err != nil {
		return r.failed(o, err)
	}
	now := held.Object{Object: o, Print: print, Made: before.Made, UID: string(uid), Written: before.Written}
	now.Content = nil
	if before.Print == print { // it was as it should be
		now.Epoch, now.Since, now.Repairs = before.Epoch, before.Since, before.Repairs
		r.note(now)
		return nil
	}
	now.Epoch, now.Written = r.barrier.Wrote(), r.start.Now()
	now.Repaired(before)
	if !there {
		now.Made = now.Epoch
	}
	if narrows || o.Entity == kong.KindConsumer && r.withdraws() {
		r.held.Withdrew(r.owner, now.Epoch)
	}
	r.note(now)
	r.result.Writes++
	return nil
}

// pauses says whether an object that somebody changed is put right later: they change it all the time.
func pauses(r *run, before held.Object) bool {
	still := r.start.Now().Sub(before.Written) < before.Pause()
	r.open = r.open || still
	return still
}

// note records an object as it was written. Its owner looks again where somebody may have changed it since.
func (r *run) note(now held.Object) {
	r.own[now.Reference] = now
	r.arbiter.Free(r.held.Put(now))
	if is, _ := r.held.Get(now.Reference); is.Stale {
		r.wake(r.owner, engine.EventDrift)
	}
}

// withdraws says whether the owner has a credential or a group that nobody wants.
func (r *run) withdraws() bool {
	for reference, is := range r.own {
		if _, wanted := r.want[reference]; !wanted && is.IsAccess() {
			return true
		}
	}
	return false
}

// takeAway deletes the objects of a rank that nobody wants. What is exposed goes at once; what protects it, and what a
// consumer names, goes when Kong no longer has what names it.
func (r *run) takeAway(ctx context.Context, rank objects.Rank) error {
	unnamed := rank == objects.RankTop || r.unnamed(rank)
	for reference, is := range r.own {
		if _, wanted := r.want[reference]; wanted || is.Rank() != rank {
			continue
		}
		if !unnamed || is.Attached && r.attaches() {
			r.open = true
			continue
		}
		remove := r.cluster.remove
		if is.Attached {
			remove = r.detach
		}
		if err := remove(ctx, reference); err != nil {
			return fmt.Errorf("take away %s: %w", reference, err)
		}
		r.drop(is)
		delete(r.own, reference)
		r.result.Writes++
	}
	return nil
}

// attaches says whether the plugins are on their way to another object: they stay on the former until they are there.
func (r *run) attaches() bool {
	confirmed := r.barrier.Confirmed()
	for reference, o := range r.want {
		if is, there := r.own[reference]; o.Attached && (!there || is.Epoch > confirmed) {
			return true
		}
	}
	return false
}

// unnamed says whether what may name objects of a rank is in Kong as it is now, or out of it.
func (r *run) unnamed(rank objects.Rank) bool {
	confirmed := r.barrier.Confirmed()
	if r.open || r.held.LastAccess(r.owner) > confirmed {
		return false
	}
	for _, o := range r.own {
		if o.Rank() > rank && o.Epoch > confirmed {
			return false
		}
	}
	return r.held.LastRemoved(r.owner) <= confirmed // what was deleted of a higher rank is out too
}

// again is when an owner looks again, beside being woken.
const again = 5 * time.Second

// conclude says whether all is in Kong.
func (r *run) conclude() error {
	last, confirmed := r.held.LastWrite(r.owner), r.barrier.Confirmed()
	if !r.open && last <= confirmed {
		r.result.Applied = true
		return nil
	}
	r.barrier.Await(r.owner, max(last, confirmed+1), r.open)
	b := r.barrier.State()
	lost := r.targets.LastLost(r.owner) > confirmed
	if lost && !b.Late {
		return r.reattached()
	}
	message := "waiting until the ingress controller has given Kong what was written"
	switch {
	case b.Late:
		message = b.Lateness(r.settings.Class)
	case b.Behind != "":
		message = "waiting until every data plane has what was written: " + b.Behind
	}
	if lost {
		message += "; until then " + withoutPlugins
	}
	reason := reasonOf(b.Late, r.mayAccept(confirmed))
	if b.Behind != "" && reason != v1alpha1.ReasonRevocationPending {
		reason = v1alpha1.ReasonAwaitingDataPlane
	}
	wait := status.Wait(again, reason, "%s", message)
	// All was there when this process began.
	wait.Quiet = !b.Late && !r.open && last <= b.Found && r.result.Writes == 0
	return wait
}

// mayAccept says whether Kong may still accept what was taken away. Of what a former process took away, something is
// left that nobody wants: it goes once the controller has confirmed.
func (r *run) mayAccept(confirmed uint64) bool {
	last := r.held.LastAccess(r.owner)
	if last <= confirmed || last > r.held.Begun() {
		return last > confirmed
	}
	for reference := range r.own {
		if _, wanted := r.want[reference]; !wanted {
			return true
		}
	}
	return false
}

// reasonOf is the reason of a wait.
func reasonOf(late, access bool) string {
	switch {
	case late && access:
		return v1alpha1.ReasonRevocationPending
	case late:
		return v1alpha1.ReasonAwaitingController
	}
	return v1alpha1.ReasonProgressing
}

// checkConsumer asks what the controller says of a consumer that has to be in Kong: one whose credentials or name
// somebody else has too is dropped.
func checkConsumer(ctx context.Context, r *rooms, want []objects.Object) error {
	for _, o := range want {
		if o.Entity != kong.KindConsumer {
			continue
		}
		live, err := r.cluster.get(ctx, o.Reference)
		if err != nil {
			return fmt.Errorf("get %s: %w", o.Reference, err)
		}
		if live == nil || live.GetAnnotations()[objects.AnnotationClass] != r.settings.Class || !sameCredentials(live, o) {
			print := gone
			if live != nil {
				print = fingerprint(o.Kind, live)
			}
			if r.held.Changed(o.Reference, print) {
				r.wake(o.Owner, engine.EventDrift)
			}
			return status.Wait(again, v1alpha1.ReasonProgressing, "%s was changed by somebody else; writing it again",
				o.Reference)
		}
		if condition := programmed(live); condition["status"] == "False" {
			stalled := status.Stalled(v1alpha1.ReasonConflict,
				"spec.credentials: the ingress controller drops this consumer: somebody else "+
					"has one of its keys, or its username (%s). Look at the events of %s, and choose another.",
				o.Reference, o.Reference)
			stalled.RetryAfter = r.arbiter.Retry(o.Owner) // it may be taken again without a word
			return stalled
		}
	}
	return nil
}

func programmed(o *unstructured.Unstructured) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, one := range conditions {
		if condition, is := one.(map[string]any); is && condition["type"] == "Programmed" {
			return condition
		}
	}
	return nil
}

// sameCredentials says whether a KongConsumer names the Secrets that are wanted, and no other.
func sameCredentials(live *unstructured.Unstructured, want objects.Object) bool {
	is, wanted := credentialNames(live), credentialNames(&unstructured.Unstructured{Object: want.Content})
	slices.Sort(is)
	slices.Sort(wanted)
	return slices.Equal(is, wanted)
}

// credentialNames are the Secrets that a KongConsumer names.
func credentialNames(o *unstructured.Unstructured) []string {
	names, _, _ := unstructured.NestedStringSlice(o.Object, "credentials")
	return names
}
