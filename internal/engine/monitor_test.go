package engine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// watched is an engine on a model of Kong, in the time of a bubble: what it asks, and what it tells.
type watched struct {
	AdminAPI
	kong    *modelKong
	gateway *Engine
	mu      sync.Mutex
	asked   []string
	told    []string
	// version is Kong's, and answers says how it fails: whatever is asked, by its name, and how often.
	version string
	answers map[string]error
	times   map[string]int
	// during is called while Kong is listed.
	during func()
}

// watch runs a check of an engine that has a heartbeat of 30 s and lists each hour.
func watch(t *testing.T, check func(t *testing.T, w *watched, start func() *Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		model := &world{bubble: t}
		model.makeNodes(false)
		session := &session{modelKong: model.kong, dead: &atomic.Bool{}}
		w := &watched{AdminAPI: session, kong: model.kong, version: "3.9.3", answers: map[string]error{}, times: map[string]int{}}
		var registry *Registry
		check(t, w, func() *Engine {
			if registry != nil {
				registry.Close()
				synctest.Wait()
			}
			registry = NewRegistry(Options{
				Installation: "here", Heartbeat: 30 * time.Second, Log: logr.Discard(),
				Connect: func(kong.Config) (AdminAPI, error) { return w, nil },
			})
			registry.Listen(func(e Event) {
				of := "gateway"
				if e.Owner != nil {
					of = e.Owner.Name
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				w.told = append(w.told, of+" "+e.Reason)
			})
			gateway, err := registry.Ensure("default", Settings{DriftInterval: listsEvery})
			if err != nil {
				t.Fatal(err)
			}
			w.gateway = gateway
			return gateway
		})
		registry.Close()
		synctest.Wait()
	})
}

// ask notes a question, and gives the failure that is set for it, while it lasts.
func (w *watched) ask(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, what)
	if err := w.answers[what]; err != nil && w.times[what] > 0 {
		w.times[what]--
		return err
	}
	return nil
}

// fail has Kong fail a number of times when it is asked for something.
func (w *watched) fail(times int, err error, whats ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range whats {
		w.answers[what], w.times[what] = err, times
	}
}

// took gives what was asked since the last time, without what is listed but for consumers, and what was told.
func (w *watched) took() (asked, told string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, told = strings.Join(w.asked, ", "), strings.Join(w.told, ", ")
	w.asked, w.told = nil, nil
	return asked, told
}

func (w *watched) Status(ctx context.Context) (kong.Status, error) {
	if err := w.ask("status"); err != nil {
		return kong.Status{}, err
	}
	return w.AdminAPI.Status(ctx)
}

func (w *watched) Node(ctx context.Context) (kong.Node, error) {
	if err := w.ask("node"); err != nil {
		return kong.Node{}, err
	}
	node, err := w.AdminAPI.Node(ctx)
	node.Version = w.version
	return node, err
}

func (w *watched) List(ctx context.Context, kind kong.Kind, options kong.ListOptions) iter.Seq2[kong.Entity, error] {
	if kind != kong.KindConsumer {
		return w.AdminAPI.List(ctx, kind, options)
	}
	if w.during != nil {
		w.during()
	}
	if err := w.ask("list"); err != nil {
		return func(yield func(kong.Entity, error) bool) { yield(kong.Entity{}, err) }
	}
	return w.AdminAPI.List(ctx, kind, options)
}

// consumerOf wants a consumer of a name.
func consumerOf(scope desired.Scope, name string) desired.Set {
	set := desired.Set{Owner: desired.ConsumerOwner("team", name)}
	wanted(scope, &set, kong.KindConsumer, "consumer", "", "", kong.Fields{"username": name})
	return set
}

// Kong is asked for its health each heartbeat, and once more when somebody is in doubt; it is listed each drift
// interval, and when that is asked for. Nothing is told as long as nothing changes.
func TestWhenKongIsAsked(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		gateway := start()
		step := func(when string, pause time.Duration, asks, tells string) {
			t.Helper()
			time.Sleep(pause)
			if asked, told := w.took(); asked != asks || told != tells {
				t.Errorf("%s: asked %s; told %s", when, asked, told)
			}
		}
		step("at the start", 0, "node, list", "gateway Changed, gateway Connected")
		step("before a heartbeat", 29*time.Second, "", "")
		step("at a heartbeat", time.Second, "status", "")
		gateway.monitor.ask(desired.ConsumerOwner("team", "john"))
		step("in doubt", 0, "status", "")
		gateway.relist()
		step("on request", 0, "node, list", "gateway Changed")
		time.Sleep(listsEvery - 31*time.Second)
		w.took()
		time.Sleep(time.Second)
		if asked, told := w.took(); !strings.Contains(asked, "node, list") || told != "gateway Changed" {
			t.Errorf("at the drift interval: asked %s; told %s", asked, told)
		}
	})
}

// What this operator holds is counted, and told of with the next heartbeat: once, and not by a process that finds it.
func TestCountsAreToldOnceAHeartbeat(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		gateway := start()
		w.took()
		for _, name := range []string{"john", "jane"} {
			if _, err := gateway.Sync(t.Context(), consumerOf(gateway.Scope(), name), SyncOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if state := gateway.State(); state.Counts.Consumers != 2 || state.Reported.Consumers != 0 {
			t.Errorf("before the heartbeat: %+v", state)
		}
		for _, tells := range []string{"gateway Changed", ""} {
			time.Sleep(30 * time.Second)
			if _, told := w.took(); told != tells || gateway.State().Reported.Consumers != 2 {
				t.Errorf("told %q, want %q", told, tells)
			}
		}
		gateway = start()
		if _, told := w.took(); told != "gateway Changed, gateway Connected" || gateway.State().Reported.Consumers != 2 {
			t.Errorf("another process: told %s", told)
		}
	})
}

// An answer that is lost now and then is no loss; a gateway that is lost says so at once, and once more when it lasts.
// Who waits hears when there is something else to say, and when it is back.
func TestALossIsToldOnce(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		gateway, john := start(), desired.ConsumerOwner("team", "john")
		w.took()
		w.fail(heartbeatTries-1, unavailable(), "status")
		time.Sleep(40 * time.Second)
		if _, told := w.took(); told != "" || !gateway.State().Ready {
			t.Errorf("two lost answers: told %q", told)
		}
		w.fail(1_000_000, unavailable(), "status", "node")
		time.Sleep(30 * time.Second)
		if _, told := w.took(); told != "gateway Changed" || gateway.State().Ready || gateway.State().Stalled {
			t.Errorf("lost: told %q", told)
		}
		var wait *status.WaitError
		if err := gateway.Usable(john, false); !errors.As(err, &wait) || wait.Quiet || wait.Reason != v1alpha1.ReasonKongUnreachable {
			t.Errorf("it is lost: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if _, told := w.took(); told != "john Recovered, gateway Changed" || !gateway.State().Stalled {
			t.Errorf("it lasts: told %q", told)
		}
		w.fail(1_000_000, &kong.UnauthorizedError{Request: kong.Request{Status: 401}}, "status", "node")
		time.Sleep(10 * time.Minute)
		if _, told := w.took(); told != "gateway Changed" || gateway.State().Reason == v1alpha1.ReasonKongUnreachable {
			t.Errorf("for another reason: told %q, %s", told, gateway.State().Reason)
		}
		w.fail(0, nil, "status", "node")
		time.Sleep(30 * time.Second)
		if _, told := w.took(); told != "gateway Changed, gateway Changed, john Recovered" || !gateway.State().Ready {
			t.Errorf("it is back: told %q", told)
		}
		// Who was woken and did not come again does not wait.
		w.fail(1_000_000, unavailable(), "status", "node")
		time.Sleep(10 * time.Minute)
		w.fail(0, nil, "status", "node")
		time.Sleep(time.Minute)
		if _, told := w.took(); strings.Contains(told, "john") {
			t.Errorf("another loss: told %q", told)
		}
	})
}

// Who comes before it is known how Kong is waits and says nothing of it; then it hears what is wrong.
func TestWhoComesBeforeKongAnswered(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		w.fail(1_000_000, unavailable(), "node")
		gateway, john := start(), desired.ConsumerOwner("team", "john")
		var wait *status.WaitError
		if err := gateway.Usable(john, false); !errors.As(err, &wait) || !wait.Quiet || wait.Reason != v1alpha1.ReasonGatewayNotReady {
			t.Errorf("before Kong was asked: %v", err)
		}
		if _, told := w.took(); told != "john Recovered, gateway Changed" {
			t.Errorf("Kong does not answer: told %q", told)
		}
		w.fail(0, nil, "node")
		time.Sleep(30 * time.Second)
		if _, told := w.took(); told != "gateway Changed, gateway Connected" { // everybody is woken by that
			t.Errorf("it answers: told %q", told)
		}
	})
}

// A listing that fails is no loss where Kong answers else, and is tried again. Where Kong says what is wrong, that is
// what the gateway says.
func TestAListingThatFails(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		failed := &kong.UnavailableError{Request: kong.Request{Status: 500}, Cause: kong.CauseServer}
		gateway := start()
		w.took()
		w.fail(1, failed, "list")
		gateway.relist()
		if _, told := w.took(); told != "" || !gateway.State().Ready {
			t.Errorf("told %q", told)
		}
		w.fail(1, failed, "list")
		w.fail(1, &backend.UnusableError{Reason: v1alpha1.ReasonKongUnreachable, Message: "the database is away"}, "status")
		gateway.relist()
		if _, told := w.took(); told != "gateway Changed" || gateway.State().Message != "the database is away" {
			t.Errorf("told %q, %s", told, gateway.State().Message)
		}
		time.Sleep(31 * time.Second)
		if !gateway.State().Ready {
			t.Errorf("it is not ready again: %+v", gateway.State())
		}
	})
}

// While Kong is listed after an upgrade nobody writes: hashes of before would have each owner write all that it has.
func TestNobodyWritesBeforeAnUpgradedKongIsListed(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		gateway, john := start(), desired.ConsumerOwner("team", "john")
		w.took()
		var meanwhile error
		w.during = func() { meanwhile = gateway.Usable(john, false) }
		gateway.relist()
		synctest.Wait()
		if meanwhile != nil {
			t.Errorf("while the same Kong is listed: %v", meanwhile)
		}
		w.version = "3.10.0"
		gateway.relist()
		synctest.Wait()
		var wait *status.WaitError
		if !errors.As(meanwhile, &wait) || !wait.Quiet {
			t.Errorf("while the upgraded Kong is listed: %v", meanwhile)
		}
		if _, told := w.took(); !slices.Contains(strings.Split(told, ", "), "john Recovered") || !gateway.State().Ready {
			t.Errorf("told %q", told)
		}
	})
}

// A new request asks for a listing, once; one that is there when the owner is first seen is an old one.
func TestANewRequestAsksForAListing(t *testing.T) {
	watch(t, func(t *testing.T, w *watched, start func() *Engine) {
		gateway := start()
		w.took()
		owner := desired.ConsumerOwner("team", "john")
		for i, c := range []struct {
			text  string
			lists bool
		}{{"old", false}, {"old", false}, {"new", true}, {"new", false}, {"newer", true}} {
			gateway.Relist(owner, c.text)
			if asked, _ := w.took(); strings.Contains(asked, "list") != c.lists {
				t.Errorf("request %d, %s: Kong is asked for %q", i, c.text, asked)
			}
		}
	})
}
