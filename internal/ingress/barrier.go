package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// barrier says which writes the controller has taken. Writes have epochs, in order.
type barrier struct {
	// written is the epoch of the last write, confirmed the last one that is in Kong.
	written, confirmed uint64
	// found is the epoch of what was there when this process began.
	found     uint64
	lastWrite time.Time
	// asked is the epoch that the barrier under way confirms; zero where there is none.
	asked      uint64
	askedAt    time.Time
	generation int64
	// waiting are the owners that are woken once an epoch is confirmed.
	waiting map[desired.Owner]uint64
	// blame says what holds up pushes.
	blame string
}

func (b barrier) late(now time.Time, limit time.Duration) bool {
	return b.asked > 0 && now.Sub(b.askedAt) > limit
}

// lateness says for how long nothing was taken, and why.
func (b barrier) lateness(class string, limit time.Duration) string {
	text := fmt.Sprintf("not taken for %s", limit)
	switch {
	case b.blame != "":
		return text + "; Kong refuses " + b.blame
	case b.confirmed == 0:
		return text + fmt.Sprintf("; nobody takes objects of the class %q. Name the class of a running ingress controller.",
			class)
	}
	return text + "; look whether the ingress controller runs, and at its events"
}

// wrote gives the epoch of a write that is done now.
func (e *Engine) wrote() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.barrier.written++
	e.barrier.lastWrite = e.start.Now()
	return e.barrier.written
}

func (e *Engine) confirmed() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.barrier.confirmed
}

// await has an owner woken once an epoch is confirmed, and says how long that may take.
func (e *Engine) await(owner desired.Owner, epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.barrier.waiting == nil {
		e.barrier.waiting = map[desired.Owner]uint64{}
	}
	e.barrier.waiting[owner] = epoch
}

// lookAtBarrier writes the next barrier where there are writes that none confirms, or looks at the one under way.
func (e *Engine) lookAtBarrier(ctx context.Context) {
	e.mu.Lock()
	b, now := e.barrier, e.start.Now()
	e.mu.Unlock()
	switch {
	case b.asked > 0:
		e.lookAt(ctx, b)
	case b.written > b.confirmed && now.Sub(b.lastWrite) >= e.pace.Settle || b.written > b.confirmed &&
		now.Sub(b.lastWrite) < 0:
		e.ask(ctx, b.written)
	}
	e.judge()
}

// ask writes a barrier that confirms all up to an epoch.
func (e *Engine) ask(ctx context.Context, epoch uint64) {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails, see its documentation
	o := e.objects.Barrier(hex.EncodeToString(nonce[:]))
	if _, err := e.cluster.apply(ctx, o); err != nil {
		e.start.Log.Error(err, "Cannot write the barrier", "object", o.String())
		return
	}
	live, err := e.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return // it is written again
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.barrier.asked, e.barrier.askedAt = epoch, e.start.Now()
	e.barrier.generation, e.barrier.blame = live.GetGeneration(), ""
}

// lookAt looks whether the barrier under way is in Kong.
func (e *Engine) lookAt(ctx context.Context, b barrier) {
	live, err := e.cluster.get(ctx, e.objects.Barrier("").Reference)
	if err != nil {
		return
	}
	if live == nil || live.GetAnnotations()[objects.AnnotationClass] != e.settings.Class ||
		live.GetGeneration() < b.generation {
		e.ask(ctx, b.asked) // somebody took it away, or changed it
		return
	}
	if isProgrammed(live, b.generation) {
		e.confirm(b.asked)
		return
	}
	if e.start.Now().Sub(b.askedAt) > e.pace.Blame {
		e.findBlame(ctx, b.askedAt)
	}
}

// isProgrammed says whether the controller says of an object that Kong has it as of a generation, or a later one:
// another process of the same installation may have written the barrier since.
func isProgrammed(o *unstructured.Unstructured, generation int64) bool {
	condition := programmed(o)
	observed, _ := condition["observedGeneration"].(int64)
	return condition["status"] == "True" && observed >= generation
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

// confirm notes that an epoch is in Kong, and wakes those that wait for it.
func (e *Engine) confirm(epoch uint64) {
	e.mu.Lock()
	e.barrier.confirmed, e.barrier.asked, e.barrier.blame = epoch, 0, ""
	var woken []desired.Owner
	for owner, at := range e.barrier.waiting {
		if at <= epoch {
			woken = append(woken, owner)
			delete(e.barrier.waiting, owner)
		}
	}
	e.mu.Unlock()
	for _, owner := range woken {
		e.wake(owner, engine.EventFreed)
	}
}

// refusal is what Kong refuses of an owner, and of which wishes.
type refusal struct {
	message string
	// digest stands for what the owner wanted; empty until its next Sync.
	digest string
	until  time.Time
}

// findBlame reads whose objects hold up the pushes: an owner of this gateway's takes its own away.
func (e *Engine) findBlame(ctx context.Context, since time.Time) {
	refused, err := e.cluster.refused(ctx, since)
	if err != nil {
		e.start.Log.Error(err, "Cannot read why the ingress controller pushes nothing")
		return
	}
	var blame []string
	for _, r := range slices.SortedFunc(maps.Keys(refused), func(a,
		b objects.Reference) int {
		return strings.Compare(a.String(), b.String())
	}) {
		message := r.String() + ": " + refused[r]
		blame = append(blame, message)
		if own, found := e.held.get(r); found {
			e.mu.Lock()
			e.refusals[own.Owner] = refusal{message: message, until: e.start.Now().Add(e.settings.DriftInterval)}
			e.mu.Unlock()
			e.wake(own.Owner, engine.EventFreed)
		}
	}
	const most = 3
	if len(blame) > most {
		blame = append(blame[:most], fmt.Sprintf("and %d more", len(blame)-most))
	}
	e.mu.Lock()
	e.barrier.blame = strings.Join(blame, "; ")
	e.mu.Unlock()
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
