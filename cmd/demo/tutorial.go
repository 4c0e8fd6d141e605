package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// tutorial is the story that the demo tells.
type tutorial struct {
	stack   *stack.Stack
	screen  *screen
	samples string
	objects []*unstructured.Unstructured
	// policies have the API server warn.
	policies []*unstructured.Unstructured
	// propagation is how long is waited for an answer: Kong's workers may lag behind. The gateway's status says
	// how far.
	propagation time.Duration
}

const (
	pollInterval = 100 * time.Millisecond
	// busy is what a step may take on a busy machine, Kong's own delays aside.
	busy = time.Minute
	// defaultPropagation is a stock Kong's, and some more for the machine.
	defaultPropagation = 15 * time.Second
	// delays is how many propagation delays of Kong a step may take: new plugins have to stand before a route is
	// opened, and every worker has to have the route then.
	delays = 4
)

func (t *tutorial) play(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{t.apply, t.status, t.john, t.admin, t.changeSecret, t.rotate, t.identityProvider} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// apply applies the samples as `kubectl apply -f config/samples/tutorial` would, and waits until all are Ready.
func (t *tutorial) apply(ctx context.Context) error {
	t.screen.section("kubectl apply -f " + t.samples)
	files, err := filepath.Glob(filepath.Join(t.samples, "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("no samples in %s: run the demo from the repository's root", t.samples), err)
	}
	slices.Sort(files)
	if err := t.installWarnings(ctx); err != nil {
		return fmt.Errorf("install the warnings: %w", err)
	}
	began := time.Now()
	for _, file := range files {
		if err := t.applyFile(ctx, file); err != nil {
			return fmt.Errorf("apply %s: %w", file, err)
		}
	}
	if err := t.awaitReady(ctx); err != nil {
		return err
	}
	t.screen.progress("everything is Ready", time.Since(began))
	return nil
}

func (t *tutorial) applyFile(ctx context.Context, file string) error {
	content, err := os.ReadFile(file) //nolint:gosec // A sample of this repository.
	if err != nil {
		return err
	}
	return t.applyAll(ctx, content)
}

// applyAll applies manifests, with the addresses of what runs.
func (t *tutorial) applyAll(ctx context.Context, content []byte) error {
	content = bytes.ReplaceAll(content, []byte("http://127.0.0.1:8001"), []byte(t.stack.AdminURL))
	content = bytes.ReplaceAll(content, []byte("http://127.0.0.1:9000"), []byte(t.stack.Upstream.URL()))
	objects, err := documents(content)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := t.stack.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("demo")); err != nil {
			return err
		}
		t.objects = append(t.objects, object)
		t.screen.line("%s %s", strings.ToLower(object.GetKind()), object.GetName())
	}
	return nil
}

// ours says whether an object is one of the operator's kinds.
func ours(object *unstructured.Unstructured) bool {
	return strings.HasPrefix(object.GetAPIVersion(), "kongjwt.dev/")
}

func (t *tutorial) awaitReady(ctx context.Context) error {
	for _, object := range t.objects {
		if !ours(object) {
			continue
		}
		var message string
		err := wait.PollUntilContextTimeout(ctx, pollInterval, busy+delays*t.propagation, true, func(ctx context.Context) (bool, error) {
			current := object.DeepCopy()
			if err := t.stack.Client.Get(ctx, client.ObjectKeyFromObject(object), current); err != nil {
				return false, err
			}
			var ready string
			ready, message = readiness(current)
			t.notePropagation(current)
			return ready == "True", nil
		})
		if err != nil {
			return fmt.Errorf("%s %s does not become Ready (%s): %w", object.GetKind(), object.GetName(), message, err)
		}
	}
	return nil
}

// notePropagation reads how slow Kong may be, where an object says so: the gateway, which is the first that is waited
// for.
func (t *tutorial) notePropagation(object *unstructured.Unstructured) {
	text, _, _ := unstructured.NestedString(object.Object, "status", "propagationDelay")
	if delay, err := time.ParseDuration(text); err == nil {
		t.propagation = max(delay, defaultPropagation)
	}
}

// readiness reads the Ready condition.
func readiness(object *unstructured.Unstructured) (status, message string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok && fields["type"] == "Ready" {
			return fmt.Sprint(fields["status"]), fmt.Sprint(fields["message"])
		}
	}
	return "Unknown", "no Ready condition yet"
}

// status shows what `kubectl get` tells.
func (t *tutorial) status(ctx context.Context) error {
	t.screen.section("What Kubernetes says")
	for _, object := range t.objects {
		if !ours(object) {
			continue
		}
		current := object.DeepCopy()
		if err := t.stack.Client.Get(ctx, client.ObjectKeyFromObject(object), current); err != nil {
			return err
		}
		ready, message := readiness(current)
		t.screen.line("%-20s %-9s Ready=%-6s %s", object.GetKind(), object.GetName(), ready, message)
	}
	return nil
}

// cleanUp deletes what was applied, users before what they use, and waits until all of it is gone: from Kubernetes
// and so from Kong.
func (t *tutorial) cleanUp(ctx context.Context) error {
	if len(t.objects) == 0 {
		return nil
	}
	t.screen.section("kubectl delete -f " + t.samples)
	began := time.Now()
	if err := t.remove(ctx, t.objects); err != nil {
		return err
	}
	t.objects = nil
	for _, policy := range t.policies {
		if err := t.stack.Client.Delete(ctx, policy); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	t.screen.progress("everything is gone", time.Since(began))
	return t.checkEmpty(ctx)
}

// remove deletes objects, the last first, and waits until they are gone.
func (t *tutorial) remove(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range slices.Backward(objects) {
		if err := t.stack.Client.Delete(ctx, object.DeepCopy()); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	for _, object := range slices.Backward(objects) {
		if !ours(object) {
			continue
		}
		var message string
		err := wait.PollUntilContextTimeout(ctx, pollInterval, busy+delays*t.propagation, true, func(ctx context.Context) (bool, error) {
			current := object.DeepCopy()
			err := t.stack.Client.Get(ctx, client.ObjectKeyFromObject(object), current)
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			_, message = readiness(current)
			return false, err
		})
		if err != nil {
			return fmt.Errorf("%s %s is not deleted (%s): %w", object.GetKind(), object.GetName(), message, err)
		}
	}
	return nil
}
