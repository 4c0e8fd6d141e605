package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// fault is something that goes wrong until heal.
type fault struct {
	name  string
	begin func(context.Context, *world, *rand.Rand) error
	// fits says whether a world can have it; nil: every one.
	fits func(*world) bool
	// elsewhere than in the Admin API: it may come while that is gone.
	elsewhere bool
}

// inKong is a fault of every Admin API.
func inKong(name string, what ...kongsim.Fault) fault {
	return fault{name: name, begin: func(_ context.Context, w *world, random *rand.Rand) error {
		return w.eachNode(func(n *node) error {
			n.faults.Set(random.Uint64(), what...)
			return nil
		})
	}}
}

func elsewhere(name string, begin func(context.Context, *world, *rand.Rand) error) fault {
	return fault{name: name, begin: begin, elsewhere: true}
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
		w.sites[0].nodes[0].faults.SetDatabaseDown(true)
		return nil
	}, fits: func(w *world) bool { return !w.sites[0].real }},
	{name: "Admin API gone", begin: func(_ context.Context, w *world, _ *rand.Rand) error { return w.takeAway(time.Time{}) }},
	{name: "Kong without a database restarted, and empty", begin: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.sites[1].empty(ctx, random)
	}, fits: func(w *world) bool { return len(w.sites) > 1 }},
	{name: "Kong pod replaced", begin: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.sites[1].replacePod(ctx, w.env.Client, random)
	}, fits: func(w *world) bool { return len(w.sites) > 1 && w.sites[1].pods }},
	{name: "one of two nodes without a database away", begin: func(_ context.Context, w *world, random *rand.Rand) error {
		nodes := w.sites[1].nodes
		w.absent = nodes[random.IntN(len(nodes))]
		return w.absent.goAway()
	}, fits: func(w *world) bool { return len(w.sites) > 1 && len(w.sites[1].nodes) > 1 && !w.gone }},
	elsewhere("watches dropped", func(_ context.Context, w *world, _ *rand.Rand) error {
		w.api.drop()
		return nil
	}),
	elsewhere("kube-apiserver restarted", func(ctx context.Context, w *world, _ *rand.Rand) error {
		if err := errors.Join(w.api.point(""), w.env.RestartControlPlane(ctx)); err != nil {
			return err
		}
		return w.api.point(w.env.Config.Host)
	}),
	elsewhere("operator killed", func(ctx context.Context, w *world, _ *rand.Rand) error { return w.killAndStart(ctx) }),
	elsewhere("operator killed three times, in the middle of its start", func(ctx context.Context, w *world, random *rand.Rand) error {
		for range 3 {
			if err := w.killAndStart(ctx); err != nil {
				return err
			}
			pause(ctx, time.Duration(random.IntN(800))*time.Millisecond)
		}
		return nil
	}),
	elsewhere("two operators that do not know of each other", func(ctx context.Context, w *world, _ *rand.Rand) error { return w.startOperator(ctx) }),
	elsewhere("failover: the leader hangs until another leads, then goes on", func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.failOver(ctx, random, hang)
	}),
	elsewhere("failover: the leader goes on writing when another leads", func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.failOver(ctx, random, takeLease)
	}),
	elsewhere("a replica of the kube-apiserver that is late with some kinds", func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.freeze(ctx, someOf(watched, random))
	}),
	elsewhere("operator started at a replica of the kube-apiserver that is behind", startBehind),
	elsewhere("failover to a replica of the operator that watches late", func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.failOver(ctx, random, func(ctx context.Context, w *world, leader *stack.Operator, name string) error {
			if err := w.freeze(ctx, watched); err != nil {
				return err
			}
			pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond)
			return takeLease(ctx, w, leader, name)
		})
	}),
}

// deck deals faults at random, each once before one comes again.
type deck struct {
	random *rand.Rand
	left   []fault
}

func (d *deck) deal(fits func(fault) bool) fault {
	for {
		for i, f := range d.left {
			if fits(f) {
				d.left = append(d.left[:i:i], d.left[i+1:]...)
				return f
			}
		}
		for _, i := range d.random.Perm(len(faults)) {
			d.left = append(d.left, faults[i])
		}
	}
}

// takeAway has every Admin API refuse connections, until then or, if that is zero, until the next heal.
func (w *world) takeAway(until time.Time) error {
	w.gone, w.goneUntil = true, until
	return w.eachNode(func(n *node) error { return n.goAway() })
}

// bringBack ends takeAway, where it is over.
func (w *world) bringBack() error {
	if !w.gone || time.Now().Before(w.goneUntil) {
		return nil
	}
	w.gone = false
	return w.eachNode(func(n *node) error { return n.comeBack() })
}

func (w *world) eachNode(do func(*node) error) error {
	for _, s := range w.sites {
		if err := s.each(do); err != nil {
			return err
		}
	}
	return nil
}

// kill ends what runs, as a crash would.
func (w *world) kill() error {
	var errs []error
	for _, operator := range w.operators {
		errs = append(errs, operator.Kill())
	}
	w.operators = nil
	return errors.Join(errs...)
}

func (w *world) killAndStart(ctx context.Context) error {
	if err := w.kill(); err != nil {
		return err
	}
	return w.startOperator(ctx)
}

// heal ends all faults but a long absence that is not over. Of several operators the last stays.
func (w *world) heal(ctx context.Context) error {
	err := w.eachNode(func(n *node) error {
		n.faults.Set(0)
		n.faults.SetDatabaseDown(false)
		return nil
	})
	if w.absent != nil {
		err = errors.Join(err, w.absent.comeBack())
		w.absent = nil
	}
	if err := errors.Join(err, w.bringBack(), w.catchUp(ctx)); err != nil {
		return err
	}
	for len(w.operators) > 1 {
		if err := w.operators[0].Kill(); err != nil {
			return err
		}
		w.operators = w.operators[1:]
	}
	return w.revive(ctx)
}
