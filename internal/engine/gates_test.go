package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

const propagationDelay = 11 * time.Second // Kong's defaults, 5 s and 5 s, and the margin

func TestRouteWaitsForItsGuards(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	_, err := r.sync(set)
	if wait := r.waits(err, "runs the plugins jwt before routes are opened"); wait.After != propagationDelay {
		t.Errorf("waits %s, want %s", wait.After, propagationDelay)
	}
	r.clock.Step(propagationDelay - time.Second)
	_, err = r.sync(set)
	if wait := r.waits(err, "jwt"); wait.After != time.Second {
		t.Errorf("waits %s, want what is left", wait.After)
	}
	if r.there(kong.KindRoute, "team.api.one") {
		t.Fatal("the route is open too early")
	}
	r.clock.Step(time.Second)
	r.mustSync(set)
	if !r.there(kong.KindRoute, "team.api.one") {
		t.Error("the route is not open")
	}
	// Guards that stand let further routes in at once.
	if writes := r.mustSync(r.service("api", "one", "two")); writes != 1 {
		t.Errorf("%d writes for another route", writes)
	}
}

func TestRouteWaitsAgainForAChangedGuard(t *testing.T) {
	r := newRig(t)
	r.opened(r.service("api", "one"))
	set := r.service("api", "one", "two")
	for _, e := range set.Entities {
		if e.Kind == kong.KindPlugin {
			e.Fields["config"] = map[string]any{"key_claim_name": "iss"}
		}
	}
	_, err := r.sync(set)
	r.waits(err, "jwt")
	if r.there(kong.KindRoute, "team.api.two") || !r.there(kong.KindRoute, "team.api.one") {
		t.Error("the new route has to wait, the old one has to stay")
	}
}

func TestRestartWaitsAsIfGuardsWereNew(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	_, err := r.sync(set)
	r.waits(err, "jwt")
	r.start(time.Hour)
	_, err = r.sync(set)
	if wait := r.waits(err, "jwt"); wait.After != propagationDelay {
		t.Errorf("waits %s after a restart, want %s", wait.After, propagationDelay)
	}
}

func TestServiceGoesAfterItsRoutes(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one", "two")
	r.opened(set)
	err := r.gateway.Delete(t.Context(), set.Owner)
	if wait := r.waits(err, "former routes"); wait.After != propagationDelay {
		t.Errorf("waits %s, want %s", wait.After, propagationDelay)
	}
	if r.there(kong.KindRoute, "team.api.one") || !r.there(kong.KindPlugin, id(set, kong.KindPlugin)) {
		t.Fatal("routes have to go at once, and the plugin has to stay")
	}
	r.clock.Step(propagationDelay)
	if err := r.gateway.Delete(t.Context(), set.Owner); err != nil {
		t.Fatal(err)
	}
	if r.there(kong.KindService, "team.api") || r.there(kong.KindPlugin, id(set, kong.KindPlugin)) || r.gateway.Holds(set.Owner) {
		t.Error("something is left")
	}
}

func TestPluginThatGoesWithARouteWaits(t *testing.T) {
	r := newRig(t)
	both := r.service("api", "one", "two")
	b := builder{scope: r.scope, set: both}
	b.add(kong.KindPlugin, "", "plugin:cors", kong.Fields{"name": "cors", "enabled": true, "service": on(id(both, kong.KindService))})
	r.opened(b.set)
	r.clock.Step(propagationDelay)
	r.mustSync(b.set)

	_, err := r.sync(r.service("api", "one"))
	r.waits(err, "plugin cors")
	if r.there(kong.KindRoute, "team.api.two") {
		t.Error("the route is still there")
	}
	r.clock.Step(propagationDelay)
	if writes := r.mustSync(r.service("api", "one")); writes != 1 {
		t.Errorf("%d writes for the plugin that goes", writes)
	}
}

func TestReleaseAfterRestartWaits(t *testing.T) {
	r := newRig(t)
	set := r.service("api", "one")
	r.opened(set)
	r.waits(r.gateway.Delete(t.Context(), set.Owner), "former routes")
	r.start(time.Hour)
	if wait := r.waits(r.gateway.Delete(t.Context(), set.Owner), "former routes"); wait.After != propagationDelay {
		t.Errorf("waits %s, want it anew: nobody knows when the route went", wait.After)
	}
}

func (r *rig) routes() (names []string) {
	r.Helper()
	for e, err := range r.kong.List(r.Context(), kong.KindRoute, kong.ListOptions{}) {
		if err != nil {
			r.Fatal(err)
		}
		names = append(names, e.Fields.Text("name"))
	}
	return names
}

// A guard that Kong refuses keeps new routes out, and what was taken away goes all the same.
func TestRefusedGuardKeepsRoutesOut(t *testing.T) {
	r := newRig(t)
	r.opened(r.service("api", "one", "old"))
	set := r.service("api", "one", "new")
	b := builder{scope: r.scope, set: set}
	b.add(kong.KindPlugin, "", "plugin limit", kong.Fields{
		"name": "rate-limiting", "enabled": true, "service": on(id(set, kong.KindService)),
		"config": map[string]any{"minute": "many", "redis": map[string]any{"password": canary}},
	})
	_, err := r.sync(b.set)
	stalled := r.stalls(err, "KongRejected", "plugin limit", "config.minute")
	if stalled.RetryAfter != time.Hour {
		t.Errorf("tried again in %s, want the drift interval", stalled.RetryAfter)
	}
	if routes := strings.Join(r.routes(), " "); routes != "team.api.one" {
		t.Errorf("routes %q: the new one has to wait, the old one has to go", routes)
	}
}
