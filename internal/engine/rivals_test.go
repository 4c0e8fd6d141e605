package engine

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
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

const (
	otherService = "5f2c0000-0000-4000-8000-000000000011"
	otherRoute   = "5f2c0000-0000-4000-8000-000000000012"
)

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
			r.clock.Step(r.gateway.State().PropagationDelay)
			r.mustSync(r.attached(c.attached))
		})
	}
}

// What runs for no request of the service, or before the operator's program has its turn, is no conflict.
func TestSomebodyElsesProgramElsewhere(t *testing.T) {
	for name, script := range map[string]kong.Fields{
		"everywhere":            {},
		"another plugin":        {"route": on(theirRoute), "name": "cors", "config": map[string]any{}},
		"another service":       {"service": on(otherService)},
		"another route":         {"route": on(otherRoute)},
		"a route, switched off": {"route": on(theirRoute), "enabled": false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.theirs(theirService, theirRoute)
			r.hold(kong.Entity{Kind: kong.KindService, ID: otherService, Fields: kong.Fields{"name": "other", "host": "upstream.example"}})
			r.hold(kong.Entity{Kind: kong.KindRoute, ID: otherRoute, Fields: kong.Fields{
				"name": "other", "paths": []string{"/other"}, "service": on(otherService),
			}})
			r.script(script)
			r.mustSync(r.checking(kong.KindService))
		})
	}
}

// checkingOwn wants claims to be checked on a service of the operator's own, with a route.
func (r *rig) checkingOwn() (set desired.Set, route string) {
	b := r.set("JwtProtectedService", "own")
	service := b.add(kong.KindService, "", "service", kong.Fields{"name": "own", "host": "upstream.example"})
	b.add(kong.KindPlugin, "", desired.PluginClaims, kong.Fields{
		"name": desired.PluginClaims, "enabled": true, "service": on(service),
		"config": map[string]any{"access": []string{"return function() end"}},
	})
	route = b.add(kong.KindRoute, "", "route:web", kong.Fields{"name": "own", "service": on(service), "paths": []string{"/own"}})
	return b.set, route
}

// On a route of the operator's own too: the service says so, and is as it was again once the program is gone.
func TestSomebodyElsesProgramOnARouteOfOurs(t *testing.T) {
	r := newRig(t)
	r.start(time.Second)
	set, route := r.checkingOwn()
	_, _ = r.sync(set)
	r.clock.Step(r.gateway.State().PropagationDelay)
	r.mustSync(set)
	r.script(kong.Fields{"route": on(route)})
	r.expect(EventFreed, &set.Owner)
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "route own", theirScript, "spec.claims")
	if !r.there(kong.KindPlugin, theirScript) || !r.there(kong.KindRoute, route) {
		t.Error("something is gone that the operator has to leave alone")
	}
	r.drop(kong.KindPlugin, "", theirScript)
	r.expect(EventFreed, &set.Owner)
	r.mustSync(set)
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

const theirCache = "5f2c0000-0000-4000-8000-000000000008"

// standIn is a plugin that the simulated Kong has, in place of proxy-cache, which it has not.
const standIn = "response-transformer"

// newCachingRig has its engine see the stand-in as proxy-cache.
func newCachingRig(t *testing.T, drift time.Duration) *rig {
	t.Helper()
	r := newRig(t)
	target, err := url.Parse(r.sim.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(answer *http.Response) error {
			body, err := io.ReadAll(answer.Body)
			body = bytes.ReplaceAll(body, []byte(`"`+standIn+`"`), []byte(`"proxy-cache"`))
			answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			answer.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return err
		},
	})
	t.Cleanup(front.Close)
	r.gateway, err = r.registry.Ensure("default", Settings{Client: kong.Config{URL: front.URL}, DriftInterval: drift})
	if err != nil {
		t.Fatal(err)
	}
	r.expect(EventConnected, nil)
	return r
}

// caching has Kong answer from a cache: by a plugin of nobody's, or with the tags of an owner.
func (r *rig) caching(on kong.Fields) {
	r.Helper()
	fields := kong.Fields{"name": standIn}
	for name, value := range on {
		fields[name] = value
	}
	r.hold(kong.Entity{Kind: kong.KindPlugin, ID: theirCache, Fields: fields})
}

// What somebody else has answer requests does so before post-function: the answer that a good token got is a bad
// one's too.
func TestSomebodyElsesPluginThatAnswersBeforeClaims(t *testing.T) {
	for name, c := range map[string]struct {
		attached kong.Kind
		cache    kong.Fields
		says     string
	}{
		"the service":                    {kong.KindService, kong.Fields{"service": on(theirService)}, "the service has plugin proxy-cache"},
		"a route of the service":         {kong.KindService, kong.Fields{"route": on(theirRoute)}, "route theirs has plugin proxy-cache"},
		"everything":                     {kong.KindService, kong.Fields{}, "every route of this Kong has plugin proxy-cache"},
		"the route":                      {kong.KindRoute, kong.Fields{"route": on(theirRoute)}, "route theirs has plugin proxy-cache"},
		"the route's service":            {kong.KindRoute, kong.Fields{"service": on(theirService)}, "the service has plugin proxy-cache"},
		"everything, and so the route":   {kong.KindRoute, kong.Fields{}, "every route of this Kong"},
		"the route and its very service": {kong.KindRoute, kong.Fields{"route": on(theirRoute), "service": on(theirService)}, "route theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCachingRig(t, time.Hour)
			r.theirs(theirService, theirRoute)
			r.caching(c.cache)
			_, err := r.sync(r.checking(c.attached))
			r.stalls(err, v1alpha1.ReasonConflict, "spec.claims: "+c.says, theirCache, "before their claims are checked")
			if !r.there(kong.KindPlugin, theirCache) {
				t.Error("somebody else's plugin is gone")
			}
			r.clock.Step(r.gateway.State().PropagationDelay)
			r.mustSync(r.attached(c.attached))
		})
	}
}

func TestSomebodyElsesPluginThatAnswersElsewhere(t *testing.T) {
	for name, cache := range map[string]kong.Fields{
		"another service":     {"service": on(otherService)},
		"another route":       {"route": on(otherRoute)},
		"switched off":        {"service": on(theirService), "enabled": false},
		"a consumer":          {"consumer": on("5f2c0000-0000-4000-8000-000000000013")},
		"one that only cares": {"service": on(theirService), "name": "cors"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCachingRig(t, time.Hour)
			r.theirs(theirService, theirRoute)
			r.hold(kong.Entity{Kind: kong.KindService, ID: otherService, Fields: kong.Fields{"name": "other", "host": "upstream.example"}})
			r.hold(kong.Entity{Kind: kong.KindRoute, ID: otherRoute, Fields: kong.Fields{
				"name": "other", "paths": []string{"/other"}, "service": on(otherService),
			}})
			r.hold(kong.Entity{Kind: kong.KindConsumer, ID: "5f2c0000-0000-4000-8000-000000000013", Fields: kong.Fields{"username": "bob"}})
			r.caching(cache)
			r.mustSync(r.checking(kong.KindService))
		})
	}
}

// Another resource of the operator's may have the plugin where this one has its claims: the other does not check them.
func TestAnotherResourcesPluginThatAnswersBeforeClaims(t *testing.T) {
	r := newCachingRig(t, time.Second)
	set, route := r.checkingOwn()
	_, _ = r.sync(set)
	r.clock.Step(r.gateway.State().PropagationDelay)
	r.mustSync(set)
	other := r.set("JwtProtectedService", "other")
	r.caching(kong.Fields{"route": on(route), "tags": r.scope.Tags(other.set.Owner, "plugin:cache")})
	r.expect(EventFreed, &set.Owner)
	_, err := r.sync(set)
	r.stalls(err, v1alpha1.ReasonConflict, "route own has plugin proxy-cache of ", other.set.Owner.String())
	r.drop(kong.KindPlugin, "", theirCache)
	r.expect(EventFreed, &set.Owner)
	r.mustSync(set)
}

// A resource may have such a plugin and want its claims checked instead: the plugin goes as the program comes, and the
// resource is not refused for what it had itself.
func TestAResourcesOwnPluginThatAnsweredBeforeClaims(t *testing.T) {
	r := newCachingRig(t, time.Second)
	set, route := r.checkingOwn()
	without := desired.Set{Owner: set.Owner, Entities: slices.DeleteFunc(slices.Clone(set.Entities), func(e kong.Entity) bool {
		return e.Kind == kong.KindPlugin
	})}
	r.opened(without)
	r.caching(kong.Fields{"route": on(route), "tags": r.scope.Tags(set.Owner, "plugin:cache")})
	r.expect(EventDrift, &set.Owner)
	r.mustSync(set)
	if r.there(kong.KindPlugin, theirCache) {
		t.Error("the plugin is still there")
	}
}

// Beyond a few routes, all are listed at once: a Kong with thousands of caches is not asked thousands of times.
func TestManyPluginsThatAnswer(t *testing.T) {
	r := newCachingRig(t, time.Hour)
	r.theirs(theirService, theirRoute)
	r.hold(kong.Entity{Kind: kong.KindService, ID: otherService, Fields: kong.Fields{"name": "other", "host": "upstream.example"}})
	for i := range fewRoutes + 1 {
		id := fmt.Sprintf("5f2c0000-0000-4000-8000-0000000001%02d", i)
		r.hold(kong.Entity{Kind: kong.KindRoute, ID: id, Fields: kong.Fields{
			"name": id, "paths": []string{"/" + id}, "service": on(otherService),
		}})
		r.hold(kong.Entity{Kind: kong.KindPlugin, ID: strings.Replace(id, "5f2c", "6f2c", 1), Fields: kong.Fields{
			"name": standIn, "route": on(id),
		}})
	}
	r.caching(kong.Fields{"route": on(theirRoute)})
	_, err := r.sync(r.checking(kong.KindService))
	r.stalls(err, v1alpha1.ReasonConflict, "route theirs has plugin proxy-cache")
	gets := 0
	for _, request := range r.requests() {
		if strings.HasPrefix(request, "GET /routes/") {
			gets++
		}
	}
	if gets > 2 {
		t.Errorf("%d routes were asked for one by one", gets)
	}
}

// A consumer's plugin answers its requests alone: the gateway says so, and stops no service for it.
func TestAConsumersPluginThatAnswersBeforeClaims(t *testing.T) {
	r := newCachingRig(t, time.Second)
	r.theirs(theirService, theirRoute)
	const bob = "5f2c0000-0000-4000-8000-000000000013"
	r.hold(kong.Entity{Kind: kong.KindConsumer, ID: bob, Fields: kong.Fields{"username": "bob"}})
	r.caching(kong.Fields{"consumer": on(bob)})
	if said := r.gateway.State().ClaimsBypassed; said != "" {
		t.Errorf("nobody has claims, and it says %q", said)
	}
	set := r.checking(kong.KindService)
	r.mustSync(set)
	if said := r.gateway.State().ClaimsBypassed; !strings.HasPrefix(said, "consumer "+bob+" has plugin proxy-cache ("+theirCache) {
		t.Errorf("it says %q", said)
	}
	r.expect(EventChanged, nil)
	r.drop(kong.KindPlugin, "", theirCache)
	r.eventually("the next listing", func() bool { return r.gateway.State().ClaimsBypassed == "" })
}
