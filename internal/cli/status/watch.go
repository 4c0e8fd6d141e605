package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

const (
	// settle is how long changes are gathered: one rotation is several.
	settle = 300 * time.Millisecond
	// refresh is how often the ages are counted anew where nothing changes, and a lost watch is opened again.
	refresh = 30 * time.Second
	// clearScreen puts a terminal's cursor home and empties it (ECMA-48: CUP, ED).
	clearScreen = "\x1b[H\x1b[2J"
)

// follow prints a report now and with every change, until the context ends.
func (o *options) follow(ctx context.Context, e *env.Env, kube client.WithWatch, namespace string) error {
	changes := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	for _, kind := range v1alpha1.ResourceKinds() {
		group.Go(func() error { watchOne(ctx, kube, kind, namespace, changes); return nil })
	}
	group.Go(func() error {
		var last string
		for {
			report, err := o.look(ctx, e, kube, namespace)
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := o.printFor(e, &text, report); err != nil {
				return err
			}
			if text.String() != last {
				if err := o.replace(e, text.String(), last == ""); err != nil {
					return err
				}
				last = text.String()
			}
			if !waitForChange(ctx, changes) {
				return nil
			}
		}
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// printFor prints into a buffer what is meant for the Env's output, with the colors of that.
func (o *options) printFor(e *env.Env, text *bytes.Buffer, report Report) error {
	if o.output.Structured() {
		return o.print(text, report)
	}
	return render{out: text, style: output.StyleOf(e.Out), wide: o.output.Wide(), limit: o.limit, report: report}.all()
}

// replace puts one report in place of the former on a terminal, and below it elsewhere.
func (o *options) replace(e *env.Env, text string, first bool) error {
	before := ""
	switch {
	case env.Color(e.Out):
		before = clearScreen
	case o.output.Structured() || first:
	default:
		before = "\n--- " + e.Clock.Now().UTC().Format(time.RFC3339) + "\n"
	}
	_, err := fmt.Fprint(e.Out, before+text)
	return err
}

// waitForChange waits until something changed and what else is about to has, or until ages are due. It is false when
// the context ended.
func waitForChange(ctx context.Context, changes <-chan struct{}) bool {
	due := time.NewTimer(refresh)
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-due.C:
		return true
	case <-changes:
	}
	gather := time.NewTimer(settle)
	defer gather.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-gather.C:
		return true
	}
}

// watchOne tells of every change of one kind. Watches end now and then, and are opened again; a kind that may not be
// watched is looked at with every refresh.
func watchOne(ctx context.Context, kube client.WithWatch, kind v1alpha1.ResourceKind, namespace string, changes chan<- struct{}) {
	tell := func() {
		select {
		case changes <- struct{}{}:
		default: // it is told already
		}
	}
	for ctx.Err() == nil {
		events, err := kube.Watch(ctx, kind.NewList(), inventory.Scope(kind, namespace)...)
		if err != nil && !apierrors.IsForbidden(err) {
			tell()
		}
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(refresh):
			}
			continue
		}
		drain(ctx, events, tell)
		tell()
	}
}

func drain(ctx context.Context, events watch.Interface, tell func()) {
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-events.ResultChan():
			if !open || event.Type == watch.Error {
				return
			}
			tell()
		}
	}
}
