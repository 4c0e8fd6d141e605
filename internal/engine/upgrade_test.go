package engine

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// versionRig is an engine on a simulated Kong that becomes another version.
type versionRig struct {
	*rig
	drifted atomic.Int64
	report  bool
}

func newVersionRig(t *testing.T, version string, schemas kongsim.Schemas, report bool) *versionRig {
	t.Helper()
	v := &versionRig{rig: newRigOn(t, kongsim.Options{Version: version, Schemas: schemas}), report: report}
	v.restart()
	return v
}

// restart starts an engine in the place of the former.
func (v *versionRig) restart() {
	v.Helper()
	v.registry.Close()
	v.registry = listening(Options{
		Installation: "here", Now: v.clock.Now, Heartbeat: 20 * time.Millisecond, Drifted: func(string, kong.Kind) { v.drifted.Add(1) },
	})
	var err error
	v.gateway, err = v.registry.Ensure("default", Settings{Client: kong.Config{URL: v.sim.AdminURL()}, DriftInterval: time.Hour, ReportDrift: v.report})
	if err != nil {
		v.Fatal(err)
	}
	v.expect(EventConnected, nil)
}

// become makes Kong another version, and waits until the engine has listed it anew.
func (v *versionRig) become(version string, schemas kongsim.Schemas) {
	v.Helper()
	next, err := v.sim.Replace(version, schemas)
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(func() { _ = next.Close() })
	v.sim = next
	v.gateway.Relist(desired.Owner{Kind: "KongGateway", Name: "default"}, "")
	v.gateway.Relist(desired.Owner{Kind: "KongGateway", Name: "default"}, version)
	v.eventually("the other version is known", func() bool {
		state := v.gateway.State()
		return state.KongVersion == version && state.Ready
	})
}

// all are sets with an entity of every kind, and with plugins that other versions have further fields of.
func (v *versionRig) all() []desired.Set {
	service := v.set("JwtProtectedService", "api")
	id := service.add(kong.KindService, "", "service", kong.Fields{"name": "team.api", "protocol": "http", "host": "upstream.example", "port": 80})
	for name, config := range map[string]map[string]any{
		"jwt":        {"key_claim_name": "kid"},
		"acl":        {"allow": []string{"admin"}},
		"http-log":   {"http_endpoint": "http://log.example", "queue": map[string]any{"max_batch_size": 7}},
		"prometheus": {},
	} {
		service.add(kong.KindPlugin, "", name, kong.Fields{"name": name, "enabled": true, "service": on(id), "config": config})
	}
	service.add(kong.KindRoute, "", "route:one", kong.Fields{
		"name": "team.api.one", "paths": []string{"/one"}, "service": on(id), "protocols": []string{"http", "https"},
	})
	return []desired.Set{v.consumer("john", "john", "k1"), service.set}
}

// nothing expects that a look at everything finds nothing to write and nothing to tell.
func (v *versionRig) nothing(when string, sets []desired.Set) {
	v.Helper()
	for _, set := range sets {
		result, err := v.sync(set)
		if err != nil || result.Writes != 0 || len(result.Drifts) != 0 {
			v.Errorf("%s, %s: %d writes, drift %v, %v", when, set.Owner, result.Writes, result.Drifts, err)
		}
	}
	for _, request := range v.sim.Requests() {
		if request.Write() {
			v.Errorf("%s: %s %s", when, request.Method, request.Path)
		}
	}
	if n := v.drifted.Load(); n != 0 {
		v.Errorf("%s: %d drifted entities are counted", when, n)
	}
}

// further is what a version adds to entities: a field with a default, one without, and one in a record.
var further = kongsim.Schemas{Added: map[string]map[string]any{
	"services.added":           {"type": "string", "required": true, "default": "on"},
	"services.added_too":       {"type": "string"},
	"routes.added":             {"type": "boolean", "required": true, "default": true},
	"consumers.added":          {"type": "set", "elements": map[string]any{"type": "string"}},
	"jwt_secrets.added":        {"type": "integer", "required": true, "default": float64(3)},
	"plugins/jwt.config.added": {"type": "string", "required": true, "default": "on"},
	"plugins/http-log.config.queue.added": {"type": "record", "fields": []any{map[string]any{"inner": map[string]any{
		"type": "number", "required": true, "default": float64(1),
	}}}},
}}

// What another version of Kong adds and fills in, or no longer knows, is no drift: nothing is written for it, before
// or after, with either policy.
func TestWhatAnotherKongAddsIsNoDrift(t *testing.T) {
	for name, c := range map[string]struct {
		from, to      string
		before, after kongsim.Schemas
	}{
		"3.7 becomes 3.9":            {"3.7.1", "3.9.3", kongsim.Schemas{}, kongsim.Schemas{}},
		"and 3.9 becomes 3.7 again":  {"3.9.3", "3.7.1", kongsim.Schemas{}, kongsim.Schemas{}},
		"a newer one adds to all":    {"3.9.3", "4.0.0", kongsim.Schemas{}, further},
		"the same with other fields": {"3.9.3", "3.9.3.1", kongsim.Schemas{}, further},
	} {
		for policy, report := range map[string]bool{"Correct": false, "Report": true} {
			t.Run(name+", "+policy, func(t *testing.T) {
				v := newVersionRig(t, c.from, c.before, report)
				sets := v.all()
				for _, set := range sets {
					v.opened(set)
				}
				v.become(c.to, c.after)
				v.nothing("after the upgrade", sets)
				v.sim.ResetRequests()
				v.gateway.Relist(sets[0].Owner, "")
				v.gateway.Relist(sets[0].Owner, "once more")
				v.eventually("it is listed again", func() bool { return len(v.requests()) >= len(backend.Kinds) })
				v.nothing("at the next look", sets)
				v.restart()
				v.nothing("after a restart", sets)

				// A change is one request, and a drift is still seen.
				changed := v.consumer("john", "john", "k2")
				if writes := v.mustSync(changed); writes != 1 {
					t.Errorf("%d writes for one change", writes)
				}
				v.drop(kong.KindPlugin, "", id(sets[1], kong.KindPlugin))
				v.gateway.Relist(sets[0].Owner, "")
				v.gateway.Relist(sets[0].Owner, "and again")
				v.eventually("what somebody deletes is drift", func() bool { return v.drifted.Load() == 1 })
			})
		}
	}
}

// Once Kong was listed after an upgrade, what somebody changes is drift again.
func TestAChangeAfterAnUpgradeIsDrift(t *testing.T) {
	v := newVersionRig(t, "3.9.3", kongsim.Schemas{}, false)
	set := v.consumer("john", "john", "k1")
	v.mustSync(set)
	v.become("4.0.0", further)
	set.Entities[0].Fields["custom_id"] = "by-hand"
	v.hold(set.Entities[0])
	v.gateway.relist()
	v.eventually("it is counted", func() bool { return v.drifted.Load() == 1 })
}

// What was written over a drift ends it: that somebody puts back what was there before the drift is another one.
func TestWhatWasBeforeADriftIsNoneOfWhatIsWantedNow(t *testing.T) {
	v := newVersionRig(t, "3.9.3", kongsim.Schemas{}, false)
	first, second := v.consumer("john", "john"), v.consumer("john", "john")
	second.Entities[0].Fields["custom_id"] = "new"
	v.mustSync(first)
	theirs := relocate(first.Entities[0], nil)
	theirs.Fields["custom_id"] = "by-hand"
	for changes, by := range []kong.Entity{theirs, first.Entities[0]} {
		v.hold(by)
		v.gateway.relist()
		v.eventually("it is counted", func() bool { return v.drifted.Load() == int64(changes+1) })
		v.mustSync(second)
	}
}

// What somebody changed, and the policy leaves so, is left so by another version of Kong, which fills in other fields.
func TestADriftThatIsLeftOutlastsAnUpgrade(t *testing.T) {
	v := newVersionRig(t, "3.9.3", kongsim.Schemas{}, true)
	set := v.all()[1]
	v.opened(set)
	plugin := slices.IndexFunc(set.Entities, func(e kong.Entity) bool { return e.Fields.Text("name") == "jwt" })
	theirs := relocate(set.Entities[plugin], nil)
	theirs.Fields["config"] = map[string]any{"key_claim_name": "sub"}
	v.hold(theirs)
	v.gateway.relist()
	v.expect(EventDrift, &set.Owner)
	leaves := func(when string) {
		t.Helper()
		if result, err := v.sync(set); err != nil || result.Writes > 0 || len(result.Drifts) != 1 {
			t.Errorf("%s: %d writes, drifts %v, %v", when, result.Writes, result.Drifts, err)
		}
	}
	leaves("before the upgrade")
	v.become("4.0.0", further)
	leaves("after it")
}
