package engine

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// checking wants claims to be checked on a service or route of somebody else's.
func (r *rig) checking(kind kong.Kind) desired.Set {
	set := r.attached(kind)
	claims := r.set("JwtProtectedService", "guard")
	claims.add(kong.KindPlugin, "", desired.PluginClaims, kong.Fields{
		"name": desired.PluginClaims, "enabled": true, kind.Singular(): on(desired.AttachedID),
		"config": map[string]any{"access": []string{"return function() end"}},
	})
	set.Entities = append(set.Entities, claims.set.Entities...)
	return set
}

const theirScript = "5f2c0000-0000-4000-8000-000000000009"

func (r *rig) script(on kong.Fields) {
	r.Helper()
	fields := kong.Fields{"name": "post-function", "config": map[string]any{"access": []string{"return function() end"}}}
	for name, value := range on {
		fields[name] = value
	}
	r.hold(kong.Entity{Kind: kong.KindPlugin, ID: theirScript, Fields: fields})
}

// A post-function that somebody else has on a single route runs there instead of the one that checks claims.
func TestSomebodyElsesProgramOnARoute(t *testing.T) {
	for name, c := range map[string]struct {
		attached kong.Kind
		script   kong.Fields
	}{
		"a route of the service":               {kong.KindService, kong.Fields{"route": on(theirRoute)}},
		"a route of the service, and both":     {kong.KindService, kong.Fields{"route": on(theirRoute), "service": on(theirService)}},
		"the route, which names its service":   {kong.KindRoute, kong.Fields{"route": on(theirRoute), "service": on(theirService)}},
		"the very place that the operator has": {kong.KindRoute, kong.Fields{"route": on(theirRoute)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.theirs(theirService, theirRoute)
			r.script(c.script)
			set := r.checking(c.attached)
			_, err := r.sync(set)
			r.stalls(err, v1alpha1.ReasonConflict, theirScript)
			if !r.there(kong.KindPlugin, theirScript) {
				t.Error("somebody else's program is gone")
			}
			r.clock.advance(r.gateway.State().PropagationDelay)
			r.mustSync(r.attached(c.attached))
		})
	}
}

// It is noticed when it comes and when it goes, and a resource that nothing changes for costs no request.
func TestSomebodyElsesProgramComesAndGoes(t *testing.T) {
	r := newRig(t)
	r.theirs(theirService, theirRoute)
	r.start(time.Second) // a drift check is a moment away
	set := r.checking(kong.KindService)
	r.mustSync(set)
	r.script(kong.Fields{"route": on(theirRoute)})
	r.expect(EventFreed, &set.Owner)
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "route theirs", theirScript, "spec.claims")
	r.drop(kong.KindPlugin, "", theirScript)
	r.expect(EventFreed, &set.Owner)
	r.mustSync(set)
}

func TestLookingForProgramsOnce(t *testing.T) {
	r := newRig(t)
	r.theirs(theirService, theirRoute)
	set := r.checking(kong.KindService)
	r.mustSync(set)
	r.sim.ResetRequests()
	if r.mustSync(set); len(r.requests()) > 0 {
		t.Errorf("requests for nothing: %v", r.requests())
	}
}
