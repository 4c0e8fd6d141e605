package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

const (
	leaseName = "kong-jwt-operator"
	// succession bounds the time until somebody leads, and until a former leader has noticed that it does not. It
	// takes a few seconds on an idle machine.
	succession = time.Minute
)

// election are the flags of replicas of which one leads. Others wait for a silent leader for less long than by
// default.
var election = []string{"--leader-elect", "--leader-elect-lease-duration", "6s", "--leader-elect-renew-deadline", "4s", "--leader-elect-retry-period", "500ms"}

// failOver starts two replicas, and deposes the one that leads while it works. It writes for a while after the other
// has begun to lead; then it has to end.
func (w *world) failOver(ctx context.Context, random *rand.Rand, depose func(context.Context, *world, *stack.Operator, string) error) error {
	if err := w.kill(); err != nil {
		return err
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: stack.OperatorNamespace, Name: leaseName}}
	if err := client.IgnoreNotFound(w.env.Client.Delete(ctx, lease)); err != nil { // of one that was killed
		return err
	}
	if err := w.startOperator(ctx, election...); err != nil {
		return err
	}
	first, err := w.awaitLeader(ctx, "")
	if err != nil {
		return err
	}
	if err := w.startOperator(ctx, election...); err != nil {
		return err
	}
	former := w.operators[0]
	for _, operator := range w.operators {
		w.elected[operator] = true
	}
	pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
	if err := depose(ctx, w, former, first); err != nil {
		return err
	}
	select {
	case <-former.Ended():
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(succession):
		return fmt.Errorf("%s lost its lease, and goes on", first)
	}
	if !former.Failed() {
		return fmt.Errorf("%s lost its lease, and ended as if nothing was wrong", first)
	}
	w.operators = w.operators[1:]
	return nil
}

// revive starts an operator where the one that is meant to run has ended, as a kubelet would: that is due to one
// alone that could not renew its lease in time.
func (w *world) revive(ctx context.Context) error {
	current := w.operators[len(w.operators)-1]
	select {
	case <-current.Ended():
	default:
		return nil
	}
	if !w.elected[current] {
		return errors.New("the operator ended by itself")
	}
	return w.killAndStart(ctx)
}

// hang freezes the leader until another leads. What it was doing it goes on doing then, until it looks at its clock.
func hang(ctx context.Context, w *world, leader *stack.Operator, name string) (err error) {
	if err := leader.Freeze(); err != nil {
		return err
	}
	_, err = w.awaitLeader(ctx, name)
	return errors.Join(err, leader.Thaw())
}

// takeLease gives the lease to nobody for a second, so that another gets it. The leader tries to have it back for as
// long as a renewal may take, and works meanwhile. Where it does have it back, it is taken again.
func takeLease(ctx context.Context, w *world, _ *stack.Operator, name string) error {
	const nobody = "nobody"
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, succession, true, func(ctx context.Context) (bool, error) {
		lease, err := w.lease(ctx)
		if err != nil || *lease.Spec.HolderIdentity == nobody {
			return false, err
		}
		if *lease.Spec.HolderIdentity != name {
			return true, nil
		}
		lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = new(nobody), new(int32(1))
		lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
		_ = w.env.Client.Update(ctx, lease) // it is renewed all the time: the next try may be in between
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("take the lease from %s: %w", name, err)
	}
	return nil
}

// awaitLeader waits until somebody leads, and another than that one.
func (w *world) awaitLeader(ctx context.Context, other string) (leader string, err error) {
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, succession, true, func(ctx context.Context) (bool, error) {
		lease, err := w.lease(ctx)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		leader = ""
		if lease.Spec.HolderIdentity != nil {
			leader = *lease.Spec.HolderIdentity
		}
		return leader != "" && leader != other, nil
	})
	if err != nil {
		return "", fmt.Errorf("nobody leads but %q: %w", leader, err)
	}
	return leader, nil
}

func (w *world) lease(ctx context.Context) (*coordinationv1.Lease, error) {
	lease := &coordinationv1.Lease{}
	return lease, w.env.Client.Get(ctx, client.ObjectKey{Namespace: stack.OperatorNamespace, Name: leaseName}, lease)
}
