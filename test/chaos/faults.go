package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// fault is something that goes wrong until heal.
type fault struct {
	name  string
	begin func(context.Context, *world, *rand.Rand) error
	// simulated faults need a simulated Kong.
	simulated bool
}

// inKong is a fault of the Admin API.
func inKong(name string, what ...kongsim.Fault) fault {
	return fault{name: name, begin: func(_ context.Context, w *world, random *rand.Rand) error {
		w.kong.faults.Set(random.Uint64(), what...)
		return nil
	}}
}

var writes = []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete}

var faults = []fault{
	inKong("30% server errors", kongsim.Fault{Probability: 0.1, Status: 500}, kongsim.Fault{Probability: 0.1, Status: 502}, kongsim.Fault{Probability: 0.1, Status: 503}),
	inKong("resets before the request", kongsim.Fault{Probability: 0.3, ResetBefore: true}),
	inKong("resets after the request was processed", kongsim.Fault{Methods: writes, Probability: 0.3, ResetAfter: true}),
	inKong("answers that never come", kongsim.Fault{Methods: writes, Probability: 0.05, Hang: true}),
	inKong("throttling", kongsim.Fault{Probability: 0.5, Status: 429, RetryAfter: time.Second}),
	inKong("slow pages", kongsim.Fault{Methods: []string{http.MethodGet}, Latency: 400 * time.Millisecond}),
	{name: "Kong's database down", begin: func(_ context.Context, w *world, _ *rand.Rand) error {
		w.kong.faults.SetDatabaseDown(true)
		return nil
	}, simulated: true},
	{name: "Admin API gone", begin: func(_ context.Context, w *world, _ *rand.Rand) error {
		w.adminGone = true
		return w.kong.goAway()
	}},
	{name: "watches dropped", begin: func(_ context.Context, w *world, _ *rand.Rand) error {
		w.api.drop()
		return nil
	}},
	{name: "kube-apiserver restarted", begin: func(ctx context.Context, w *world, _ *rand.Rand) error {
		w.api.point("")
		// It is started whether the time is over or not.
		if err := w.env.RestartControlPlane(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		w.api.point(w.env.Config.Host)
		return nil
	}},
	{name: "operator killed", begin: func(ctx context.Context, w *world, _ *rand.Rand) error { return w.killAll(ctx) }},
	{name: "operator killed three times, in the middle of its start", begin: func(ctx context.Context, w *world, random *rand.Rand) error {
		// Again and again, in the middle of whatever it begins.
		for range 3 {
			if err := w.killAll(ctx); err != nil {
				return err
			}
			pause(ctx, time.Duration(random.IntN(800))*time.Millisecond)
		}
		return nil
	}},
	{name: "a second operator, and the former goes on writing", begin: func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.startOperator(context.WithoutCancel(ctx))
	}},
}

// killAll kills what runs, as a crash would, and starts one operator.
func (w *world) killAll(ctx context.Context) error {
	for _, operator := range w.operators {
		if err := operator.Kill(); err != nil {
			return err
		}
	}
	w.operators = nil
	return w.startOperator(context.WithoutCancel(ctx))
}

// heal ends all faults. Of several operators the last stays.
func (w *world) heal(ctx context.Context) error {
	w.kong.faults.Set(0)
	w.kong.faults.SetDatabaseDown(false)
	if w.adminGone {
		w.adminGone = false
		if err := w.kong.comeBack(); err != nil {
			return err
		}
	}
	for len(w.operators) > 1 {
		if err := w.operators[0].Kill(); err != nil {
			return err
		}
		w.operators = w.operators[1:]
	}
	if len(w.operators) == 0 {
		return w.startOperator(ctx)
	}
	return nil
}
