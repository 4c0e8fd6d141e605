// Command chaos changes hundreds of resources at random while everything around the operator fails at random, then
// lets it heal, and looks: `make chaos`. Kong has to hold exactly what the resources say, nothing of ours may be left
// over, nothing of others touched, and no material lost.
//
// Environment:
//
//	DURATION        how long things fail; 5m
//	SEED            repeats the choices of another run; it is printed
//	WRITE           the page whose table is written anew
//	KONG_ADMIN_URL  a real Kong instead of the simulated one; its database is not taken away
//	KONG_DBLESS_ADMIN_URL  a real Kong without a database, which has to be empty;
//	                       beside a real Kong there is none unless it is named
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

func main() {
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains where there is none
	klog.SetLogger(logr.Discard()) // client-go, of connections that are meant to break
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
	sites    []*site
	env      *stack.Stack
	api      *apiProxy
	// operators that run; the last is the one that is meant to.
	operators []*stack.Operator
	// elected are those that lead by a lease.
	elected map[*stack.Operator]bool
	storm   *storm
	tenant  *tenant
	// quiet ends what the tenant does.
	quiet func()
	// counts are of faults; each is written into the file diary with its time.
	counts map[string]int
	diary  *os.File
	// gone are the Admin APIs, goneUntil at least where that is set.
	gone      bool
	goneUntil time.Time
	// absent is the one node that is away, if any.
	absent *node
	// behind says that the replica of the kube-apiserver is, skips that watches told of all when it was last.
	behind, skips bool
}

func run(ctx context.Context) (err error) {
	w := &world{duration: 5 * time.Minute, seed: uint64(time.Now().UnixNano()), counts: map[string]int{}, elected: map[*stack.Operator]bool{}}
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
	if w.diary, err = os.Create(filepath.Join(dir, "faults.log")); err != nil { //nolint:gosec // The folder that was made above.
		return err
	}
	defer func() {
		err = errors.Join(err, w.stop(context.WithoutCancel(ctx)), w.diary.Close())
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	if err := w.start(ctx, dir); err != nil {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	var tenant sync.WaitGroup
	tenant.Go(func() { w.tenant.run(sending) })
	w.quiet = func() { stop(); tenant.Wait() }
	defer w.quiet()
	if err := w.rage(ctx); err != nil {
		return err
	}
	return w.judge(ctx) // the tenant goes on
}

// frequency of the simulated Kong's updates: the first route of a service waits for two of them.
const frequency = 200 * time.Millisecond

func (w *world) start(ctx context.Context, dir string) (err error) {
	if w.sites, err = newSites(ctx, w.seed); err != nil {
		return err
	}
	for _, s := range w.sites {
		fmt.Printf("KongGateway %s: %d nodes, database %v, a real Kong %v\n", s.gateway, len(s.nodes), s.database, s.real)
	}
	if w.env, err = stack.Start(ctx, stack.Options{Dir: dir, AdminURL: w.sites[0].nodes[0].truth}); err != nil {
		return err
	}
	if w.api, err = newAPIProxy(w.env, dir); err != nil {
		return err
	}
	for _, s := range w.sites {
		if s.pods {
			if err := w.env.AnswerForNames(s.anyPod); err != nil {
				return err
			}
		}
		if err := s.plant(ctx); err != nil {
			return fmt.Errorf("make what is not ours: %w", err)
		}
		if err := s.create(ctx, w.env.Client); err != nil {
			return err
		}
	}
	if w.storm, err = newStorm(ctx, w); err != nil {
		return err
	}
	if w.tenant, err = newTenant(ctx, w); err != nil {
		return err
	}
	return w.startOperator(ctx)
}

func (w *world) startOperator(ctx context.Context, flags ...string) error {
	operator, err := w.env.StartOperator(ctx, append([]string{"--kubeconfig", w.api.kubeconfig}, flags...)...)
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
	for _, s := range w.sites {
		if s.real {
			errs = append(errs, s.uproot(ctx))
		}
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// rage lets one fault follow the other, while resources change. Once, the Admin APIs are gone for a fifth to two
// fifths of the time: minutes of five.
func (w *world) rage(ctx context.Context) error {
	random := rand.New(rand.NewPCG(w.seed, 1)) //nolint:gosec // repeatable
	raging, calm := context.WithTimeout(ctx, w.duration)
	defer calm()
	w.api.failReads(true)
	defer w.api.failReads(false)
	changed := make(chan error, 1)
	go func() { changed <- w.storm.run(raging) }()
	cards := &deck{random: random}
	absent := time.Now().Add(part(w.duration, 0.1, 0.5, random))
	absence := part(w.duration, 0.2, 0.4, random).Round(time.Second)
	for raging.Err() == nil {
		if absence > 0 && time.Now().After(absent) {
			w.note(fmt.Sprintf("Admin API gone for %s, while others of these happen", absence))
			if err := w.takeAway(time.Now().Add(absence)); err != nil {
				return err
			}
			absence = 0
		}
		fault := cards.deal(func(f fault) bool { return (f.fits == nil || f.fits(w)) && (!w.gone || f.elsewhere) })
		w.note(fault.name)
		// What has begun ends, whether the time is over or not.
		if err := fault.begin(ctx, w, random); err != nil {
			return fmt.Errorf("%s: %w", fault.name, err)
		}
		pause(raging, 500*time.Millisecond+time.Duration(random.IntN(2500))*time.Millisecond)
		if err := w.heal(ctx); err != nil {
			return fmt.Errorf("heal after %s: %w", fault.name, err)
		}
		pause(raging, time.Duration(random.IntN(1000))*time.Millisecond)
	}
	w.goneUntil = time.Time{}
	w.api.failReads(false)
	return errors.Join(ctx.Err(), w.heal(ctx), <-changed)
}

// note counts a fault that begins.
func (w *world) note(fault string) {
	w.counts[fault]++
	_, _ = fmt.Fprintln(w.diary, time.Now().UTC().Format(time.RFC3339Nano), fault) // for who looks for a cause
}

// part is a random part of a time.
func part(whole time.Duration, least, most float64, random *rand.Rand) time.Duration {
	return time.Duration((least + (most-least)*random.Float64()) * float64(whole))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
