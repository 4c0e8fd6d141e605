// Command bench measures the operator at scale, against two bare clients that send just what has to be sent: `make
// bench`. It prints a table of counts and ratios, and exits with 1 where one falls short of its limit.
//
// Environment:
//
//	N               JwtConsumers, each with one generated credential; 10000
//	CONCURRENCY     requests at once, of the gateway and of the bare clients; 50
//	KONG_ADMIN_URL  a real Kong that may be filled; a simulated one by default
//	QUICK           1: counts only, no times and no memory
//	WRITE           a file whose table is replaced by what was measured
//	GROWTH          numbers of JwtConsumers, such as "1000 3000 10000": one row of a table for each, instead
//	PROFILE         a folder for profiles: of the operator's heap after each phase, of the cold start's time
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// settings are the size of a run, and what it runs against.
type settings struct {
	consumers   int
	services    int
	concurrency int
	adminURL    string
	quick       bool
	write       string
	profile     string
	growth      []int
}

const routesPerService = 3

func main() {
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains where there is none
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) == 4 && os.Args[1] == readCommand {
		if err := read(ctx, os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(2)
		}
		return
	}
	good, err := run(ctx)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	case !good:
		os.Exit(1)
	}
}

// run measures, and says whether all limits are kept.
func run(ctx context.Context) (bool, error) {
	s, err := readSettings()
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "kong-jwt-bench-")
	if err != nil {
		return false, err
	}
	if len(s.growth) > 0 {
		return true, errorOf(growth(ctx, s, dir), os.RemoveAll(dir))
	}
	report := newReport(s)
	if err := measure(ctx, s, dir, report); err != nil {
		return false, fmt.Errorf("%w; logs are in %s", err, dir)
	}
	fmt.Print(report.text())
	if s.write != "" {
		if err := report.writeInto(s.write); err != nil {
			return false, err
		}
	}
	return report.good(), os.RemoveAll(dir)
}

// measure has the bare clients go before the operator and after it: a machine is not always equally fast.
func measure(ctx context.Context, s settings, dir string, r *report) error {
	before, err := measureBare(ctx, s, filepath.Join(dir, "bare-before"))
	if err != nil {
		return fmt.Errorf("bare clients: %w", err)
	}
	took, err := measureOperator(ctx, s, filepath.Join(dir, "operator"), r)
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	after, err := measureBare(ctx, s, filepath.Join(dir, "bare-after"))
	if err != nil {
		return fmt.Errorf("bare clients, again: %w", err)
	}
	r.compare(took, before, after)
	return nil
}

func readSettings() (settings, error) {
	s := settings{
		consumers: 10000, concurrency: 50,
		adminURL: os.Getenv("KONG_ADMIN_URL"), write: os.Getenv("WRITE"), profile: os.Getenv("PROFILE"),
	}
	for name, value := range map[string]*int{"N": &s.consumers, "CONCURRENCY": &s.concurrency} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return s, fmt.Errorf("%s has to be a number above 0, not %q", name, text)
		}
		*value = number
	}
	for _, text := range strings.Fields(os.Getenv("GROWTH")) {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return s, fmt.Errorf("GROWTH has to be numbers above 0, not %q", text)
		}
		s.growth = append(s.growth, number)
	}
	s.quick = os.Getenv("QUICK") == "1"
	s = s.of(s.consumers)
	return s, nil
}

// of is a run of so many consumers.
func (s settings) of(consumers int) settings {
	s.consumers, s.services = consumers, max(1, consumers/100)
	return s
}

// countsOnly says that memory is not looked at either.
func (s settings) countsOnly() bool { return s.quick && s.profile == "" }

// idleTime is how long an operator with nothing to do is watched: two heartbeats, or one, and a moment.
func (s settings) idleTime() time.Duration {
	if s.quick {
		return 6 * time.Second
	}
	return 11 * time.Second
}

// changes is how many consumers are changed, one after the other.
func (s settings) changes() int {
	if s.quick {
		return 5
	}
	return min(medianOf, s.consumers)
}

// entities is how many entities in Kong all resources amount to: consumer, credential and the two reserved groups;
// service, jwt and acl plugin, and routes.
func (s settings) entities() int { return 4*s.consumers + s.services*(3+routesPerService) }
