package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// attached wants the jwt plugin on a service or route of somebody else's.
func (r *rig) attached(kind kong.Kind) desired.Set {
	b := r.set("JwtProtectedService", "guard")
	parent := strings.TrimSuffix(string(kind), "s")
	b.add(kong.KindPlugin, "", "jwt", kong.Fields{"name": "jwt", "enabled": true, parent: on(desired.AttachedID), "config": map[string]any{"key_claim_name": "kid"}})
	b.set.Attach = &desired.Target{Kind: kind, Name: "theirs"}
	return b.set
}

// theirs makes a service and a route that are both called "theirs".
func (r *rig) theirs(service, route string) {
	r.Helper()
	r.hold(kong.Entity{Kind: kong.KindService, ID: service, Fields: kong.Fields{"name": "theirs", "host": "upstream.example", "tags": []string{"by-hand"}}})
	r.hold(kong.Entity{Kind: kong.KindRoute, ID: route, Fields: kong.Fields{"name": "theirs", "paths": []string{"/theirs"}, "service": on(service)}})
}

const (
	theirService = "5f2c0000-0000-4000-8000-000000000001"
	theirRoute   = "5f2c0000-0000-4000-8000-000000000002"
	newService   = "5f2c0000-0000-4000-8000-000000000003"
	newRoute     = "5f2c0000-0000-4000-8000-000000000004"
)

// Kong takes an id in place of a name: what may be attached to is told by names.
func TestAttachToAnIDIsRefused(t *testing.T) {
	r := newRig(t)
	r.theirs(theirService, theirRoute)
	set := r.attached(kong.KindService)
	set.Attach.Name = theirService
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonTargetNotFound, theirService)
}

func TestAttachWritesThePluginAlone(t *testing.T) {
	for _, kind := range []kong.Kind{kong.KindService, kong.KindRoute} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t)
			set := r.attached(kind)
			_, err := r.sync(set)
			r.stalls(err, v1alpha1.ReasonTargetNotFound, kind.Singular()+" theirs", "spec.attachTo")

			r.theirs(theirService, theirRoute)
			r.sim.ResetRequests()
			r.mustSync(set)
			plugin := "PUT /plugins/" + id(set, kong.KindPlugin)
			if got := strings.Join(r.written(), " "); got != plugin {
				t.Errorf("wrote %s, want %s", got, plugin)
			}
			held, err := r.kong.Get(t.Context(), kong.KindPlugin, id(set, kong.KindPlugin))
			if err != nil {
				t.Fatal(err)
			}
			if held.Fields.Ref("service") != theirService && held.Fields.Ref("route") != theirRoute {
				t.Errorf("the plugin is on service %s, route %s", held.Fields.Ref("service"), held.Fields.Ref("route"))
			}
			r.sim.ResetRequests()
			if r.mustSync(set); len(r.requests()) > 0 {
				t.Errorf("requests for nothing: %v", r.requests())
			}

			r.clock.Step(r.gateway.State().PropagationDelay)
			if err := r.gateway.Delete(t.Context(), set.Owner); err != nil {
				t.Fatal(err)
			}
			if r.there(kong.KindPlugin, id(set, kong.KindPlugin)) || !r.there(kong.KindService, theirService) || !r.there(kong.KindRoute, theirRoute) {
				t.Error("the plugin goes, and nothing else")
			}
		})
	}
}

func TestAttachedTargetGoesAndComesBack(t *testing.T) {
	r := newRig(t)
	r.theirs(theirService, theirRoute)
	r.start(time.Second) // a drift check is a moment away
	set := r.attached(kong.KindService)
	r.mustSync(set)
	r.drop(kong.KindRoute, "", theirRoute)
	r.drop(kong.KindService, "", theirService)
	r.expect(EventFreed, &set.Owner)
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonTargetNotFound, "service theirs")

	r.theirs(newService, newRoute)
	r.eventually("the plugin is on the new service", func() bool {
		_, err := r.sync(set)
		if err != nil {
			return false
		}
		held, err := r.kong.Get(t.Context(), kong.KindPlugin, id(set, kong.KindPlugin))
		return err == nil && held.Fields.Ref("service") == newService
	})
}

// A listing looks at what is attached to, and at nothing that was: what it finds is told once.
func TestAListingLooksAtWhatIsAttachedTo(t *testing.T) {
	r := newRig(t)
	r.theirs(theirService, theirRoute)
	set, byID := r.attached(kong.KindRoute), r.set("JwtProtectedService", "by id").set
	r.mustSync(set)
	set = r.attached(kong.KindService)
	r.clock.Step(r.gateway.State().PropagationDelay)
	r.mustSync(set)
	byID.Attach = &desired.Target{Kind: kong.KindService, Name: theirService} // a name, and not an id
	_, err := r.sync(byID)
	r.stalls(err, v1alpha1.ReasonTargetNotFound)

	listed := func() (woken []string) {
		t.Helper()
		r.sim.ResetRequests()
		r.gateway.relist()
		r.expect(EventChanged, nil)
		for len(eventsOf(r.registry)) > 0 {
			if e := <-eventsOf(r.registry); e.Owner != nil && e.Reason == EventFreed {
				woken = append(woken, e.Owner.Name)
			}
		}
		return woken
	}
	for len(eventsOf(r.registry)) > 0 {
		<-eventsOf(r.registry)
	}
	if woken := listed(); len(woken) > 0 {
		t.Errorf("%v are woken, and nothing changed", woken)
	}
	if slices.Contains(r.requests(), "GET /routes/theirs") {
		t.Error("nothing is attached to the route any more, and it is asked for")
	}
	tags := append(r.scope.Tags(desired.ServiceOwner("team", "other"), "service"), "by-hand")
	r.hold(kong.Entity{Kind: kong.KindService, ID: theirService, Fields: kong.Fields{"name": "theirs", "host": "upstream.example", "tags": tags}})
	r.gateway.relist()
	r.expect(EventFreed, &set.Owner)
	_, err = r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "is managed already")
}

func TestAttachToWhatTheOperatorManages(t *testing.T) {
	r := newRig(t)
	r.mustSync(desired.Set{Owner: r.service("api").Owner, Entities: r.service("api").Entities[:1]})
	set := r.attached(kong.KindService)
	set.Attach.Name = "team.api"
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "JwtProtectedService team/api", "spec.attachTo")
}

// A service of the operator's that becomes an attachment keeps its plugins until no worker has its routes.
func TestAttachAfterOwnRoutesAreGone(t *testing.T) {
	for _, kind := range []kong.Kind{kong.KindService, kong.KindRoute} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRig(t)
			r.theirs(theirService, theirRoute)
			own := r.service("guard", "one")
			r.opened(own)
			attached := r.attached(kind)
			r.sim.ResetRequests()
			_, err := r.sync(attached)
			if wait := r.waits(err, "former routes"); wait.After != propagationDelay {
				t.Errorf("waits %s, want %s", wait.After, propagationDelay)
			}
			if got, route := strings.Join(r.written(), " "), "DELETE /routes/"+id(own, kong.KindRoute); got != route {
				t.Errorf("wrote %s, want %s", got, route)
			}
			r.clock.Step(propagationDelay)
			r.mustSync(attached)
			held, err := r.kong.Get(t.Context(), kong.KindPlugin, id(attached, kong.KindPlugin))
			if err != nil {
				t.Fatal(err)
			}
			if held.Fields.Ref("service") != theirService && held.Fields.Ref("route") != theirRoute || r.there(kong.KindService, "team.guard") {
				t.Errorf("the plugin is on service %s, route %s", held.Fields.Ref("service"), held.Fields.Ref("route"))
			}
		})
	}
}
