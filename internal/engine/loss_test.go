package engine

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

func (r *rig) away() {
	r.Helper()
	r.eventually("the loss is noticed", func() bool { return !r.gateway.State().Ready })
}

func TestLossAndReturn(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	r.sim.Faults.SetDatabaseDown(true)
	r.away()
	if state := r.gateway.State(); state.Reason != "KongUnreachable" || !strings.Contains(state.Message, "database") {
		t.Errorf("state %s: %s", state.Reason, state.Message)
	}
	r.sim.ResetRequests()
	changed := r.consumer("john", "john", "k2")
	_, err := r.sync(changed)
	if wait := r.waits(err, "database"); wait.After != 0 || wait.Reason != "KongUnreachable" {
		t.Errorf("waits %s for %s, want to be woken", wait.After, wait.Reason)
	}
	r.waits(r.gateway.Delete(t.Context(), set.Owner), "database")
	for _, request := range r.requests() {
		if !strings.HasPrefix(request, http.MethodGet) {
			t.Errorf("wrote to a gateway that is away: %s", request)
		}
	}
	r.sim.Faults.SetDatabaseDown(false)
	r.expect(EventRecovered, &set.Owner)
	if writes := r.mustSync(changed); writes != 1 {
		t.Errorf("%d writes after the return, want the one that differs", writes)
	}
}

// A request that got no answer may have been processed. Either way the next Syncs end where they should.
func TestUnansweredWritesAreRepeated(t *testing.T) {
	for name, fault := range map[string]kongsim.Fault{
		"lost before":  {ResetBefore: true},
		"lost after":   {ResetAfter: true},
		"server error": {Status: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			fault.Methods = []string{http.MethodPut, http.MethodDelete}
			set := r.consumer("john", "john", "k1", "k2")
			hit := func(what func() error) {
				r.sim.Faults.Set(1, fault)
				err := what()
				if err == nil {
					t.Fatal("the fault was not noticed")
				}
				r.waits(err, "cannot be written")
				r.sim.Faults.Set(1)
				if err := what(); err != nil {
					t.Fatal(err)
				}
			}
			hit(func() error { _, err := r.sync(set); return err })
			if counts := r.gateway.State().Counts; counts != (Counts{Consumers: 1, Credentials: 2, Groups: 1}) {
				t.Errorf("counts %+v", counts)
			}
			if writes := r.mustSync(set); writes != 0 {
				t.Errorf("%d writes once all is there", writes)
			}
			hit(func() error { return r.gateway.Delete(t.Context(), set.Owner) })
			if r.there(kong.KindConsumer, "john") || r.there(kong.KindJWT, "k1") || r.gateway.Holds(set.Owner) {
				t.Error("something is left")
			}
		})
	}
}

// What was left in doubt is neither forgotten nor taken for what it was.
func TestDoubtIsResolved(t *testing.T) {
	r := newRig(t)
	lose := func(what func() error) {
		r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, ResetAfter: true})
		if what() == nil {
			t.Fatal("the fault was not noticed")
		}
		r.sim.Faults.Set(1)
	}
	set := r.consumer("john", "john", "k1")
	lose(func() error { _, err := r.sync(set); return err })
	if !r.gateway.Holds(set.Owner) {
		t.Error("what may be in Kong is not released")
	}
	consumer := id(set, kong.KindConsumer)
	inKong := func() [2]bool { return [2]bool{r.gateway.InKong(consumer, false), r.gateway.InKong(consumer, true)} }
	if got := inKong(); got != [2]bool{false, true} {
		t.Errorf("in Kong, by what was before: %v", got)
	}
	if held, _ := r.gateway.Standing(consumer); held {
		t.Error("what may be in Kong, or not, is taken to stand there")
	}
	r.mustSync(set)
	if got := inKong(); got != [2]bool{true, true} {
		t.Errorf("in Kong, once it is known: %v", got)
	}
	lose(func() error { _, err := r.sync(r.consumer("john", "john", "k2")); return err })
	if writes := r.mustSync(set); writes != 1 {
		t.Errorf("%d writes to go back to what was there before the doubt", writes)
	}
	if !r.there(kong.KindJWT, "k1") || r.there(kong.KindJWT, "k2") {
		t.Error("the doubtful key is there")
	}
}

func TestThrottlingIsWaitedFor(t *testing.T) {
	r := newRig(t)
	r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second, Count: 1})
	_, err := r.sync(r.consumer("john", "john"))
	if wait := r.waits(err, "pause"); wait.After != 7*time.Second {
		t.Errorf("waits %s, want what was asked for", wait.After)
	}
}

func TestRefusedTokenIsSaid(t *testing.T) {
	r := newRig(t)
	r.sim.Faults.Set(1, kongsim.Fault{Status: http.StatusUnauthorized})
	r.away()
	if state := r.gateway.State(); !strings.Contains(state.Message, "spec.adminAPI.auth") {
		t.Errorf("message %q", state.Message)
	}
}

// A token for one workspace may not read the status.
func TestForbiddenStatusIsNoLoss(t *testing.T) {
	r := newRig(t)
	r.sim.Faults.Set(1, kongsim.Fault{PathPrefix: "/status", Status: http.StatusForbidden})
	r.sim.ResetRequests()
	nodes := func() (n int) {
		for _, request := range r.sim.Requests() {
			if request.Path == "/" {
				n++
			}
		}
		return n
	}
	r.eventually("the node is asked instead", func() bool { return nodes() > 1 })
	if !r.gateway.State().Ready {
		t.Error("the gateway is taken to be away")
	}
}

func TestDriftIsNoticedAndPutRight(t *testing.T) {
	r := newRig(t)
	consumer, service := r.consumer("john", "john", "k1"), r.service("api", "one")
	r.mustSync(consumer)
	r.opened(service)
	r.start(50 * time.Millisecond)
	credential := consumer.Entities[1]

	for _, c := range []struct {
		name   string
		change func()
	}{
		{"deleted", func() { r.drop(kong.KindJWT, credential.ConsumerID, credential.ID) }},
		{"changed", func() {
			r.hold(kong.Entity{
				Kind: kong.KindJWT, ID: credential.ID, ConsumerID: credential.ConsumerID,
				Fields: kong.Fields{"key": "k1", "secret": "other", "algorithm": "HS256", "tags": credential.Fields["tags"]},
			})
		}},
		{"our tags taken off", func() {
			if _, err := r.kong.PatchTags(t.Context(), kong.KindJWT, credential.ConsumerID, credential.ID, nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"parent deleted", func() { r.drop(kong.KindConsumer, "", credential.ConsumerID) }},
	} {
		c.change()
		r.expect(EventDrift, &consumer.Owner)
		r.eventually(c.name+": put right", func() bool { writes, err := r.sync(consumer); return err == nil && writes.Writes > 0 })
		if writes := r.mustSync(consumer); writes != 0 {
			t.Errorf("%s: %d writes once it is right", c.name, writes)
		}
	}

	// A guard that is gone comes back before anything else, and at once.
	r.drop(kong.KindPlugin, "", id(service, kong.KindPlugin))
	r.expect(EventDrift, &service.Owner)
	r.sim.ResetRequests()
	service.Entities[0].Fields["host"] = "other.example"
	r.eventually("the guard is back", func() bool { writes, err := r.sync(service); return err == nil && writes.Writes == 2 })
	for _, request := range r.sim.Requests() {
		if request.Write() {
			if !strings.HasPrefix(request.Path, "/plugins/") {
				t.Errorf("first write was %s", request.Path)
			}
			break
		}
	}
}

// A parent that is gone without the mirror knowing is made anew, in the same Sync.
func TestMissingParentIsPutBackAtOnce(t *testing.T) {
	r := newRig(t)
	set := r.consumer("john", "john", "k1")
	r.mustSync(set)
	r.drop(kong.KindConsumer, "", id(set, kong.KindConsumer))
	r.mustSync(r.consumer("john", "john", "k2"))
	if !r.there(kong.KindJWT, "k2") || !r.there(kong.KindConsumer, "john") {
		t.Error("the consumer is not back")
	}
	service := r.service("api", "one")
	r.opened(service)
	r.clock.Step(time.Hour)
	r.drop(kong.KindRoute, "", id(service, kong.KindRoute))
	r.drop(kong.KindService, "", id(service, kong.KindService))
	_, err := r.sync(r.service("api", "one", "two"))
	r.waits(err, "before routes are opened")
	if len(r.routes()) > 0 {
		t.Error("a route is open while its plugin is new")
	}
}

// What Kong refused is tried again when another version, or other plugins, may take it.
func TestRefusedIsTriedAgainOnAnotherVersion(t *testing.T) {
	owner := desired.Owner{Kind: "JwtConsumer", Namespace: "team", Name: "john"}
	first := kong.Node{Version: "3.9.3", Database: "postgres", Plugins: map[string]bool{"jwt": true}}
	withACL := first
	withACL.Plugins = map[string]bool{"jwt": true, "acl": true}
	for name, c := range map[string]struct {
		node               kong.Node
		unsupported, woken bool
	}{
		"same":                  {first, false, false},
		"newer":                 {kong.Node{Version: "3.10.0", Database: "postgres", Plugins: first.Plugins}, false, true},
		"another plugin":        {withACL, false, true},
		"the same, unsupported": {first, true, false},
		"supported":             {withACL, true, true},
	} {
		api := &nodeAPI{node: first}
		var woken bool
		e := newEngine(about{
			options: Options{}.withDefaults(), settings: Settings{DriftInterval: time.Minute},
			notify: func(e Event) { woken = woken || e.Owner != nil && *e.Owner == owner },
		}, api, nil)
		if err := e.monitor.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.unsupported {
			e.AwaitUpgrade(owner) // what this Kong does not take is not even sent
		} else {
			_ = e.outcome(owner, "spec.access", "plugin acl", &kong.InvalidError{Code: kong.CodeSchemaViolation})
		}
		api.node = c.node
		if err := e.monitor.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if woken != c.woken {
			t.Errorf("%s: woken %v, want %v", name, woken, c.woken)
		}
		if takes := e.Capabilities(); takes.Version != c.node.Version || takes.HasPlugin("acl") != c.node.Plugins["acl"] {
			t.Errorf("%s: %+v", name, takes)
		}
	}
}

// nodeAPI is an Admin API that only says what it is.
type nodeAPI struct {
	AdminAPI
	node kong.Node
}

func (a *nodeAPI) Node(context.Context) (kong.Node, error) { return a.node, nil }

func (a *nodeAPI) Capabilities(_ context.Context, node kong.Node) (kong.Capabilities, error) {
	return kong.CapabilitiesOf(node, kong.Schemas{}), nil
}
