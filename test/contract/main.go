// Command contract replays what a real Kong answered (testdata), step by step, and says where an answer differs. What
// a real ingress controller did (ingress/testdata) is replayed too, with the stand-in for it.
//
// By default the simulated Kong answers, a new one for each file, of the version that the file was recorded on.
// KONG_ADMIN_URL and KONG_PROXY_URL name a real one instead, KONG_DBLESS_ADMIN_URL and KONG_DBLESS_PROXY_URL a
// second. Each is asked for its version and
// whether it has a database, and gets the files of its mode that were recorded on the newest version up to its own;
// those that no gateway fits are skipped, which is said. UPSTREAM_ADDRESS is the address, host:port, that the echo
// upstream listens on and that the
// real Kong reaches it at. A real Kong with a database may hold other things: a file that would write to them is
// refused, and what a file made is deleted after it. One without a database has to be empty: a configuration replaces
// another whole.
//
// The last line is "N of N steps"; the exit status is 1 if they are not all the same.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/contract/ingress"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	only := flag.String("only", "", "replay the files whose names contain this")
	flag.Parse()
	same, err := run(ctx, os.Stdout, *only, os.Getenv)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !same {
		os.Exit(1)
	}
}

// run replays scenarios and says whether every step was answered as recorded.
func run(ctx context.Context, out io.Writer, only string, env func(string) string) (bool, error) {
	scenarios, err := loadScenarios(only)
	if err != nil {
		return false, err
	}
	address := env("UPSTREAM_ADDRESS")
	if address == "" {
		address = "127.0.0.1:0"
	}
	upstream, err := echo.Start(address)
	if err != nil {
		return false, err
	}
	defer func() { _ = upstream.Close() }()

	named, err := namedGateways(ctx, env)
	if err != nil {
		return false, err
	}
	work, skipped := assign(scenarios, named)
	// A real gateway takes minutes: each file is told of when it is done.
	perform(ctx, work, upstream, func(one *job) { fmt.Fprint(out, one.report) })
	total, same := 0, 0
	var errs []error
	for _, one := range work {
		if one.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", one.file, one.err))
		}
		total += len(one.Steps)
		same += one.same
	}
	for _, s := range skipped {
		fmt.Fprintf(out, "skip %-38s %d steps: %s\n", s.file, len(s.Steps), named.lacks(s))
	}
	if len(named) == 0 {
		controlled, steps, err := replayIngress(ctx, out, only)
		same, total, errs = same+controlled, total+steps, append(errs, err)
	}
	if total == 0 && len(skipped) == 0 {
		errs = append(errs, fmt.Errorf("no scenario is named like %q", only))
	}
	fmt.Fprintf(out, "%d of %d steps\n", same, total)
	return same == total, errors.Join(errs...)
}

// replayIngress replays the recordings of an ingress controller; only the stand-in for it is asked.
func replayIngress(ctx context.Context, out io.Writer, only string) (same, total int, err error) {
	keys, err := testdata.ReadFile("testdata/3.9.3/" + tokens.KeysFile)
	if err != nil {
		return 0, 0, err
	}
	return ingress.Replay(ctx, out, only, keys)
}

// job is a scenario to replay, and how that went.
type job struct {
	scenario
	target gateway // "" for a simulated one of its own
	same   int     // steps that were answered as recorded
	report string
	err    error
}

// assign says where each scenario is replayed. Once any real gateway is named, only real ones are asked.
func assign(scenarios []scenario, named gateways) (work []*job, skipped []scenario) {
	for _, s := range scenarios {
		target, found := named[s.mode()]
		if len(named) > 0 && (!found || !target.fits(s, scenarios)) {
			skipped = append(skipped, s)
			continue
		}
		work = append(work, &job{scenario: s, target: target})
	}
	return work, skipped
}

// perform replays: simulated gateways side by side, each scenario having its own, and real ones' scenarios one by
// one. It tells of each in order.
func perform(ctx context.Context, work []*job, upstream *echo.Server, done func(*job)) {
	var running sync.WaitGroup
	for _, one := range work {
		if one.target.adminURL == "" {
			running.Go(func() { one.replay(ctx, upstream) })
		}
	}
	running.Wait()
	for _, one := range work {
		if one.target.adminURL != "" {
			one.replay(ctx, upstream)
		}
		done(one)
	}
}

// replay runs a scenario on its gateway.
func (j *job) replay(ctx context.Context, upstream *echo.Server) {
	target := j.target
	if target.adminURL == "" {
		simulated, err := kongsim.Start(simulation(j.scenario))
		if err != nil {
			j.err = err
			return
		}
		defer func() { j.err = errors.Join(j.err, simulated.Close()) }()
		target = gateway{adminURL: simulated.AdminURL(), proxyURL: simulated.ProxyURL(), simulated: true}
	}
	r := newReplay(target, upstream, j.keys)
	defer r.close()
	if j.err = r.refuseIfTaken(ctx, j.scenario); j.err != nil {
		return
	}
	j.report, j.err = j.steps(ctx, r)
	// Also after an interrupt: ctx is done then.
	j.err = errors.Join(j.err, r.clean(context.WithoutCancel(ctx), j.scenario))
}

// steps runs the steps in order and reports those that are answered otherwise. The others go on: more may be learnt
// from them.
func (j *job) steps(ctx context.Context, r *replay) (string, error) {
	var report strings.Builder
	for i, one := range j.Steps {
		differences, err := r.do(ctx, one)
		if err != nil {
			return "", fmt.Errorf("step %d, %s: %w", i+1, one.Name, err)
		}
		if len(differences) == 0 {
			j.same++
			continue
		}
		fmt.Fprintf(&report, "  step %d, %s: %s %s\n", i+1, one.Name, one.Request.Method, one.Request.Path)
		for _, d := range differences {
			fmt.Fprintf(&report, "    %s\n", d)
		}
	}
	verdict := "ok  "
	if j.same < len(j.Steps) {
		verdict = "FAIL"
	}
	return fmt.Sprintf("%s %-38s %d of %d steps\n%s", verdict, j.file, j.same, len(j.Steps), report.String()), nil
}

func simulation(s scenario) kongsim.Options {
	o := kongsim.Options{Version: s.Kong.Version, Propagation: dataplane.Typical(), Seed: 1}
	if s.mode() == dbless {
		o.Database = s.Kong.Database
	}
	return o
}

// refuseIfTaken keeps a scenario away from what it did not make.
func (r *replay) refuseIfTaken(ctx context.Context, s scenario) error {
	look := taken
	if s.mode() == dbless {
		look = anything // a configuration replaces another whole
	}
	held, err := look(ctx, r.client, r.gateway.adminURL, s)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fmt.Errorf("the gateway already holds %s; name one that does not", strings.Join(held, ", "))
	}
	return nil
}

// clean deletes what the scenario made.
func (r *replay) clean(ctx context.Context, s scenario) error {
	if s.mode() == dbless {
		return emptyConfiguration(ctx, r.client, r.gateway.adminURL)
	}
	return r.created.clean(ctx, r.client, r.gateway.adminURL)
}
