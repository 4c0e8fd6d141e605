package engine

import (
	"net/http"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// newDeclaredRig is an engine on a simulated Kong without a database.
func newDeclaredRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, kongsim.Options{Database: "off"})
}

// pushed syncs sets, all before the first push, and again until Kong runs them.
func (r *rig) pushed(sets ...desired.Set) {
	r.Helper()
	for _, set := range sets {
		if _, err := r.sync(set); err != nil {
			r.waits(err, "")
		}
	}
	for _, set := range sets {
		r.eventually("Kong runs it", func() bool {
			r.clock.Step(r.gateway.State().PropagationDelay)
			_, err := r.sync(set)
			return err == nil
		})
	}
}

// posts counts the configurations that Kong was given.
func (r *rig) posts() (n int) {
	for _, request := range r.requests() {
		if strings.HasPrefix(request, http.MethodPost+" /config") {
			n++
		}
	}
	return n
}

func TestManyChangesAreOneConfiguration(t *testing.T) {
	r := newDeclaredRig(t)
	sets := []desired.Set{r.service("api", "one", "two")}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		sets = append(sets, r.consumer(name, name, "key-"+name))
	}
	r.sim.ResetRequests()
	r.pushed(sets...)
	// The routes wait until the plugin stands, as everywhere: theirs is the second.
	if n := r.posts(); n > 2 {
		t.Errorf("%d configurations for %d resources", n, len(sets))
	}
	if !r.there(kong.KindJWT, "key-h") || !r.there(kong.KindRoute, "team.api.two") {
		t.Error("Kong does not run all of it")
	}
	if mode := r.gateway.State().Database; mode != "off" {
		t.Errorf("database %q", mode)
	}

	for _, when := range []string{"in the same process", "after a restart"} {
		r.sim.ResetRequests()
		for _, set := range sets {
			if writes := r.mustSync(set); writes != 0 {
				t.Errorf("%d writes %s", writes, when)
			}
		}
		if n := r.posts(); n > 0 {
			t.Errorf("%d configurations %s", n, when)
		}
		r.start(time.Hour)
	}
}

func TestAChangeAndADeletionReachKong(t *testing.T) {
	r := newDeclaredRig(t)
	john, jane := r.consumer("john", "john", "k1", "k2"), r.consumer("jane", "jane", "k3")
	r.pushed(john, jane)
	r.start(time.Hour) // what it knows now, it read from Kong
	r.pushed(r.consumer("john", "john", "k1"))
	if r.there(kong.KindJWT, "k2") || !r.there(kong.KindJWT, "k3") {
		t.Error("the credential is still there, or another's went")
	}
	r.eventually("jane is gone", func() bool { return r.gateway.Delete(t.Context(), jane.Owner) == nil })
	if r.there(kong.KindConsumer, "jane") || r.there(kong.KindJWT, "k3") {
		t.Error("the consumer or its credential is still there")
	}
	r.eventually("john is let go", func() bool { return r.gateway.Orphan(t.Context(), john.Owner) == nil })
	r.pushed(r.consumer("jim", "jim"))
	r.start(time.Hour)
	r.pushed(r.consumer("jack", "jack"))
	held, err := r.kong.Get(t.Context(), kong.KindConsumer, "john")
	if err != nil {
		t.Fatalf("what was to be retained is gone: %v", err)
	}
	if _, ours := desired.ParseTags(held.Fields.Tags()); ours {
		t.Error("it has our tags still")
	}
}

func TestWhatKongRefusesIsLeftOutAndNamed(t *testing.T) {
	r := newDeclaredRig(t)
	good := r.consumer("good", "good", "k-good")
	r.pushed(good)
	bad := r.set("JwtConsumer", "bad")
	id := bad.add(kong.KindConsumer, "", "consumer", kong.Fields{"username": "bad"})
	bad.add(kong.KindJWT, id, "credential:a", kong.Fields{"key": "k-bad", "algorithm": "XX", "secret": canary})
	changed, other := r.consumer("good", "good", "k-changed"), r.consumer("other", "other", "k-other")
	for _, set := range []desired.Set{bad.set, changed, other} {
		_, err := r.sync(set)
		r.waits(err, "waiting until Kong runs")
	}
	r.pushed(changed, other)
	var err error
	r.eventually("it is told", func() bool {
		_, err = r.sync(bad.set)
		return err != nil && strings.Contains(err.Error(), "Kong refuses")
	})
	stalled := r.stalls(err, v1alpha1.ReasonKongRejected, "jwt credential credential:a", "algorithm")
	if stalled.RetryAfter <= 0 {
		t.Error("it is never tried again")
	}
	if r.there(kong.KindConsumer, "bad") {
		t.Error("half of the refused resource is in Kong")
	}
	r.sim.ResetRequests()
	_, err = r.sync(bad.set)
	r.stalls(err, v1alpha1.ReasonKongRejected)
	r.pushed(r.consumer("another", "another"))
	if n := r.posts(); n != 1 {
		t.Errorf("%d configurations: what is refused was sent again", n)
	}
	// It goes on by itself once it is put right.
	r.pushed(r.consumer("bad", "bad", "k-bad"))
}

func TestARefusedChangeLeavesWhatWorked(t *testing.T) {
	r := newDeclaredRig(t)
	r.pushed(r.consumer("john", "john", "k1"))
	broken := r.consumer("john", "john", "k1")
	broken.Entities[1].Fields["algorithm"] = "XX"
	r.eventually("it is refused", func() bool {
		_, err := r.sync(broken)
		return err != nil && strings.Contains(err.Error(), "Kong refuses")
	})
	if !r.there(kong.KindJWT, "k1") {
		t.Error("the credential that worked is gone")
	}
}

func TestAConfigurationOfOthersIsNotReplaced(t *testing.T) {
	sim, err := kongsim.Start(kongsim.Options{Database: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	client, err := kong.New(kong.Config{URL: sim.AdminURL()})
	if err != nil {
		t.Fatal(err)
	}
	theirs := kong.Entity{Kind: kong.KindConsumer, ID: "00000000-0000-4000-8000-000000000001", Fields: kong.Fields{"username": "theirs"}}
	if err := client.PostConfig(t.Context(), []kong.Entity{theirs}); err != nil {
		t.Fatal(err)
	}
	registry := listening(Options{Installation: "here", Heartbeat: 20 * time.Millisecond})
	defer registry.Close()
	settings := Settings{Client: kong.Config{URL: sim.AdminURL()}, DriftInterval: time.Hour}
	r := &rig{T: t, sim: sim, kong: client, registry: registry, clock: clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))}
	if r.gateway, err = registry.Ensure("default", settings); err != nil {
		t.Fatal(err)
	}
	r.scope = r.gateway.Scope()
	r.eventually("it is said", func() bool { return r.gateway.State().Reason == v1alpha1.ReasonConflict })
	_, err = r.sync(r.consumer("john", "john"))
	if stalled := r.stalls(err, v1alpha1.ReasonGatewayNotReady); !strings.Contains(stalled.Message, "reason Conflict") ||
		!strings.Contains(stalled.Message, "1 consumers") || !strings.Contains(stalled.Message, "spec.adoption") {
		t.Errorf("%q does not say what is there, and what to do", stalled.Message)
	}

	// An ingress controller gives its configuration again: to replace it is no advice.
	theirs.Fields["tags"] = []string{"k8s-name:john", "k8s-kind:KongConsumer"}
	if err := client.PostConfig(t.Context(), []kong.Entity{theirs}); err != nil {
		t.Fatal(err)
	}
	r.eventually("the ingress controller is known", func() bool {
		message := r.gateway.State().Message
		return strings.Contains(message, "an ingress controller") && !strings.Contains(message, "spec.adoption")
	})

	settings.Takeover = true
	if r.gateway, err = registry.Ensure("default", settings); err != nil {
		t.Fatal(err)
	}
	r.expect(EventConnected, nil)
	if !r.there(kong.KindConsumer, "theirs") {
		t.Error("it was replaced before there was anything to replace it with")
	}
	r.pushed(r.consumer("john", "john"))
	if r.there(kong.KindConsumer, "theirs") || !r.there(kong.KindConsumer, "john") {
		t.Error("it was not taken over")
	}
}

func TestANewNodeIsGivenTheConfiguration(t *testing.T) {
	r := newDeclaredRig(t)
	john := r.consumer("john", "john", "k1")
	r.pushed(john)
	second, err := kongsim.Start(kongsim.Options{Database: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	nodes := []Node{
		{Address: strings.TrimPrefix(r.sim.AdminURL(), "http://"), Ready: true},
		{Address: strings.TrimPrefix(second.AdminURL(), "http://"), Ready: true},
		{Address: "127.0.0.1:1"}, // a pod that does not answer yet
	}
	if err := r.gateway.SetNodes(nodes); err != nil {
		t.Fatal(err)
	}
	two, err := kong.New(kong.Config{URL: second.AdminURL()})
	if err != nil {
		t.Fatal(err)
	}
	onSecond := func(key string) bool {
		_, err := two.Get(t.Context(), kong.KindJWT, key)
		return err == nil
	}
	r.eventually("the second node runs it", func() bool { return onSecond("k1") })
	r.pushed(r.consumer("john", "john", "k1", "k2"))
	if !onSecond("k2") || !r.there(kong.KindJWT, "k2") {
		t.Error("a change did not reach both")
	}
	// A pod that starts again comes back empty.
	if err := two.PostConfig(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.eventually("the second node runs it again", func() bool { return onSecond("k2") })
	if writes := r.mustSync(r.consumer("john", "john", "k1", "k2")); writes != 0 {
		t.Errorf("%d writes: a pod's restart was taken for drift of everything", writes)
	}
}

func TestATooLargeConfigurationSaysWhatToRaise(t *testing.T) {
	r := newRigOn(t, kongsim.Options{Database: "off", MaxBodyBytes: 4000})
	r.pushed(r.consumer("john", "john", "k1"))
	big := r.consumer("big", "big")
	big.Entities[0].Fields["custom_id"] = strings.Repeat("x", 4000)
	var err error
	r.eventually("it is told", func() bool {
		_, err = r.sync(big)
		return err != nil && strings.Contains(err.Error(), "nginx_admin_client_max_body_size")
	})
	r.stalls(err, v1alpha1.ReasonKongRejected)
	if !r.there(kong.KindJWT, "k1") {
		t.Error("what was there is gone")
	}
}
