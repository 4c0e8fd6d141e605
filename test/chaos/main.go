// Command chaos changes hundreds of resources at random while everything around the operator fails at random, then lets it heal, and looks: `make chaos`.
// Kong has to hold exactly what the resources say, nothing of ours may be left over, nothing of others touched, and no material lost.
//
// Environment:
//
//	DURATION        how long things fail; 5m
//	SEED            repeats the choices of another run; it is printed
//	WRITE           the page whose table is written anew
//	KONG_ADMIN_URL  a real Kong instead of the simulated one, with KONG_PROXY_URL; its database is not taken away
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

func main() {
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains where there is none
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// world is all that there is.
type world struct {
	duration time.Duration
	seed     uint64
	kong     *target
	env      *stack.Stack
	api      *apiProxy
	// operators that run; the last is the one that is meant to.
	operators []*stack.Operator
	storm     *storm
	foreign   map[string]string
	counts    map[string]int
	adminGone bool
}

func run(ctx context.Context) (err error) {
	w := &world{duration: 5 * time.Minute, seed: uint64(time.Now().UnixNano()), counts: map[string]int{}}
	if text := os.Getenv("DURATION"); text != "" {
		if w.duration, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	if text := os.Getenv("SEED"); text != "" {
		if w.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "kong-jwt-chaos-")
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, %s of faults; logs in %s\n", w.seed, w.duration, dir)
	defer func() {
		err = errors.Join(err, w.stop(context.WithoutCancel(ctx)))
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	if err := w.start(ctx, dir); err != nil {
		return err
	}
	if err := w.rage(ctx); err != nil {
		return err
	}
	return w.judge(ctx)
}

// frequency of the simulated Kong's updates: the first route of a service waits for two of them.
const frequency = 200 * time.Millisecond

func (w *world) start(ctx context.Context, dir string) (err error) {
	if w.kong, err = newTarget(ctx, w.seed); err != nil {
		return err
	}
	if w.kong.real {
		fmt.Println("a real Kong: all faults but the loss of its database")
	}
	w.env, err = stack.Start(ctx, stack.Options{Dir: dir, AdminURL: w.kong.adminURL, ProxyURL: w.kong.proxyURL})
	if err != nil {
		return err
	}
	if w.api, err = newAPIProxy(w.env, dir); err != nil {
		return err
	}
	if w.foreign, err = w.plant(ctx); err != nil {
		return fmt.Errorf("make what is not ours: %w", err)
	}
	if w.storm, err = newStorm(ctx, w); err != nil {
		return err
	}
	return w.startOperator(ctx)
}

func (w *world) startOperator(ctx context.Context) error {
	operator, err := w.env.StartOperator(ctx, "--kubeconfig", w.api.kubeconfig)
	if err != nil {
		return err
	}
	w.operators = append(w.operators, operator)
	return nil
}

func (w *world) stop(ctx context.Context) error {
	var errs []error
	if w.env != nil {
		errs = append(errs, w.env.Stop())
	}
	if w.api != nil {
		errs = append(errs, w.api.close())
	}
	if w.kong != nil && w.kong.real {
		errs = append(errs, w.uproot(ctx))
	}
	if w.kong != nil {
		errs = append(errs, w.kong.close())
	}
	return errors.Join(errs...)
}

// rage lets one fault follow the other, while resources change.
func (w *world) rage(ctx context.Context) error {
	random := rand.New(rand.NewPCG(w.seed, 1)) //nolint:gosec // repeatable
	raging, calm := context.WithTimeout(ctx, w.duration)
	defer calm()
	changed := make(chan error, 1)
	go func() { changed <- w.storm.run(raging) }()
	for raging.Err() == nil {
		fault := faults[random.IntN(len(faults))]
		if w.kong.real && fault.simulated {
			continue
		}
		w.counts[fault.name]++
		if err := fault.begin(raging, w, random); err != nil && raging.Err() == nil {
			return fmt.Errorf("%s: %w", fault.name, err)
		}
		pause(raging, 500*time.Millisecond+time.Duration(random.IntN(2500))*time.Millisecond)
		if err := w.heal(ctx); err != nil {
			return fmt.Errorf("heal after %s: %w", fault.name, err)
		}
		pause(raging, time.Duration(random.IntN(1000))*time.Millisecond)
	}
	return errors.Join(ctx.Err(), <-changed)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
