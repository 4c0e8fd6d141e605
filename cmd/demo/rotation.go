package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// traffic counts the answers of a client that reads its Secret before each request and never pauses.
type traffic struct {
	sent, refused int
	// last is what refused a request, if anything did.
	last string
	stop context.CancelFunc
	done chan error
}

// worker is who the rotation is about.
var worker = client.ObjectKey{Namespace: "tutorial", Name: "worker"}

// rotate plays the fourth: a secret is replaced while a client works with it, and the former one ends when it is told
// to.
func (t *tutorial) rotate(ctx context.Context) error {
	t.screen.section("The worker's secret is rotated while it works")
	before, err := t.secret(ctx, "worker-credential")
	if err != nil {
		return err
	}
	old := request{name: "token of the former secret", path: "/api", token: t.signed(before)}
	old.expected = passed
	if err := t.table(ctx, []request{{name: "before", path: "/api", token: t.signed(before), expected: passed}}); err != nil {
		return err
	}
	flow := t.startTraffic(ctx)
	t.screen.line("kubectl annotate jwtconsumer -n tutorial worker %s=now", v1alpha1.AnnotationRotate)
	began := time.Now()
	if err := t.annotate(ctx, v1alpha1.AnnotationRotate); err != nil {
		return err
	}
	after, err := t.nextSecret(ctx, string(before["key"]))
	if err != nil {
		return err
	}
	t.screen.progress("the Secret has a new key after", time.Since(began))
	fresh := request{name: "token of the new secret", path: "/api", token: t.signed(after), expected: passed}
	if err := t.table(ctx, []request{fresh, old}); err != nil {
		return err
	}
	t.screen.line("kubectl annotate jwtconsumer -n tutorial worker %s=now", v1alpha1.AnnotationRevokePrevious)
	if err := t.annotate(ctx, v1alpha1.AnnotationRevokePrevious); err != nil {
		return err
	}
	old.expected = unknownKey
	if err := t.table(ctx, []request{old, fresh}); err != nil {
		return err
	}
	return t.endTraffic(flow)
}

func (t *tutorial) signed(secret map[string][]byte) string {
	return sign("HS256", string(secret["key"]), string(secret["secret"]), time.Minute)
}

// annotate sets an annotation of the worker to a new value.
func (t *tutorial) annotate(ctx context.Context, name string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, name, time.Now().Format(time.RFC3339Nano))
	object := &v1alpha1.JwtConsumer{}
	object.Namespace, object.Name = worker.Namespace, worker.Name
	return t.stack.Client.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// nextSecret waits until the worker's Secret has another key.
func (t *tutorial) nextSecret(ctx context.Context, former string) (next map[string][]byte, err error) {
	err = wait.PollUntilContextTimeout(ctx, pollInterval, busy+delays*t.propagation, true, func(ctx context.Context) (bool, error) {
		next, err = t.secret(ctx, "worker-credential")
		return err == nil && string(next["key"]) != former, err
	})
	if err != nil {
		return nil, fmt.Errorf("the worker's Secret has no new key: %w", err)
	}
	return next, nil
}

func (t *tutorial) startTraffic(ctx context.Context) *traffic {
	ctx, stop := context.WithCancel(ctx)
	flow := &traffic{stop: stop, done: make(chan error, 1)}
	go func() { flow.done <- t.send(ctx, flow) }()
	return flow
}

// send calls until it is stopped. A request that is under way then comes to its end: it counts as well.
func (t *tutorial) send(ctx context.Context, flow *traffic) error {
	for ctx.Err() == nil {
		if err := t.callAsWorker(context.WithoutCancel(ctx), flow); err != nil {
			return err
		}
	}
	return nil
}

func (t *tutorial) callAsWorker(ctx context.Context, flow *traffic) error {
	ctx, cancel := context.WithTimeout(ctx, busy)
	defer cancel()
	secret, err := t.secret(ctx, "worker-credential")
	if err != nil {
		return err
	}
	answered, err := t.ask(ctx, request{path: "/api", token: t.signed(secret)})
	if err != nil {
		return err
	}
	flow.sent++
	if answered != passed {
		flow.refused++
		flow.last = answered
	}
	return nil
}

// endTraffic stops the client, and says how it fared.
func (t *tutorial) endTraffic(flow *traffic) error {
	flow.stop()
	if err := <-flow.done; err != nil {
		return err
	}
	t.screen.line("The worker sent %d requests meanwhile; %d were refused.", flow.sent, flow.refused)
	if flow.refused > 0 {
		return fmt.Errorf("%d of %d requests were refused while the secret was rotated, the last with %s", flow.refused, flow.sent, flow.last)
	}
	return nil
}
