// Command demo runs the tutorial on this machine: a control plane, a Kong (simulated, unless KONG_ADMIN_URL and
// KONG_PROXY_URL name a real one), an upstream and the operator. It shows each request and its answer, changes a
// secret under way, and cleans up.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// Times of the simulated Kong: a second until every worker has a change, where a stock Kong takes ten.
const (
	dbUpdateFrequency          = 500 * time.Millisecond
	workerStateUpdateFrequency = 500 * time.Millisecond
)

// interruption is what an error is about once somebody interrupted the demo.
func interruption(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "kong-jwt-demo-")
	if err != nil {
		return err
	}
	out := newScreen(os.Stdout)
	out.title("kong-jwt-operator: JWT authentication on Kong, declared")
	out.section("Starting")
	// What runs ends with its context. An interrupt ends it while it starts, and later only once all is cleaned
	// up.
	living, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	interrupted := context.AfterFunc(ctx, end)
	running, err := stack.Start(living, stack.Options{
		Dir: dir, Progress: out.progress,
		Kong: kongsim.Options{
			DBUpdateFrequency: dbUpdateFrequency, WorkerStateUpdateFrequency: workerStateUpdateFrequency,
			Propagation: dataplane.Slowest(dbUpdateFrequency, workerStateUpdateFrequency),
		},
	})
	if err != nil && ctx.Err() != nil {
		return errors.Join(interruption(ctx, err), os.RemoveAll(dir))
	}
	if err != nil {
		return fmt.Errorf("%w; its logs are in %s", err, dir)
	}
	interrupted()
	keep := os.Getenv("KEEP") != "" && os.Getenv("KEEP") != "0"
	defer func() {
		stopped := running.Stop()
		if ctx.Err() == nil { // an operator that is interrupted while it starts ends with an error
			err = errors.Join(err, stopped)
		}
		if err == nil || ctx.Err() != nil { // else the logs are wanted
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	began := time.Now()
	if _, err := running.StartOperator(ctx); err != nil {
		return interruption(ctx, err)
	}
	out.progress("Operator", time.Since(began))

	tutorial := &tutorial{propagation: defaultPropagation, stack: running, screen: out, samples: filepath.Join("config", "samples", "tutorial")}
	if err := tutorial.play(ctx); err != nil {
		return errors.Join(interruption(ctx, err), tutorial.cleanUp(context.WithoutCancel(ctx)))
	}
	if keep {
		out.lookAround(running, dir)
		<-ctx.Done()
		out.section("Stopping")
		return tutorial.cleanUp(context.WithoutCancel(ctx))
	}
	if err := tutorial.cleanUp(ctx); err != nil {
		return err
	}
	return out.verdict()
}
