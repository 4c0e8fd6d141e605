package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// asKong is what Kong's Admin API answers about one request. It implements jwtplugin.Directory, whose methods give no
// error: the first is kept.
type asKong struct {
	ctx context.Context // of one command: the interface has none
	api *kong.Client
	err error
}

func (k *asKong) keep(err error) {
	if err != nil && !kong.IsNotFound(err) && k.err == nil {
		k.err = fmt.Errorf("--kong: %w", err)
	}
}

// Credential implements jwtplugin.Directory.
func (k *asKong) Credential(key string) (jwtplugin.Credential, bool) {
	e, err := kong.Named(k.ctx, k.api, kong.KindJWT, key)
	if err != nil {
		k.keep(err)
		return jwtplugin.Credential{}, false
	}
	return jwtplugin.Credential{
		ID: e.ID, Key: key, Algorithm: e.Fields.Text("algorithm"), Secret: jwtplugin.Secret(e.Fields.Text("secret")),
		PublicKey: e.Fields.Text("rsa_public_key"), ConsumerID: e.ConsumerID,
	}, true
}

// Consumer implements jwtplugin.Directory.
func (k *asKong) Consumer(ref string) (jwtplugin.Consumer, bool) {
	e, err := k.api.Get(k.ctx, kong.KindConsumer, ref)
	if err != nil {
		k.keep(err)
		return jwtplugin.Consumer{}, false
	}
	return jwtplugin.Consumer{ID: e.ID, Username: e.Fields.Text("username"), CustomID: e.Fields.Text("custom_id")}, true
}

func (k *asKong) groups(consumerID string) (groups []string, known bool) {
	for e, err := range k.api.ListChildren(k.ctx, kong.KindConsumer, consumerID, kong.KindACL) {
		if err != nil {
			k.keep(err)
			return nil, false
		}
		groups = append(groups, e.Fields.Text("group"))
	}
	return groups, true
}

func (k *asKong) list(kind kong.Kind) (entities []kong.Entity) {
	for e, err := range k.api.List(k.ctx, kind, kong.ListOptions{}) {
		if err != nil {
			k.keep(err)
			return nil
		}
		entities = append(entities, e)
	}
	return entities
}

// place is where a request arrives in Kong.
type place struct {
	service, route kong.Entity
	check          explain.Check
}

// find finds the place by the request's URL, or else of the resource that it is for.
func (k *asKong) find(a asked, t target) (place, error) {
	var p place
	var err error
	switch spec := t.service; {
	case a.url.Host != "":
		p = k.route(a)
		err = k.err
	case spec == nil:
		return place{}, errors.New("--kong: give --url, or --service of a JwtProtectedService that you may see")
	case spec.Spec.AttachTo != nil && desired.AttachTarget(spec).Object != "":
		return place{}, fmt.Errorf("--kong: give --url: %s is no name in Kong", desired.AttachTarget(spec))
	case spec.Spec.AttachTo != nil && spec.Spec.AttachTo.RouteName != "":
		if p.route, err = k.api.Get(k.ctx, kong.KindRoute, spec.Spec.AttachTo.RouteName); err == nil {
			p.service, err = k.api.Get(k.ctx, kong.KindService, p.route.Fields.Ref("service"))
		}
	case spec.Spec.AttachTo != nil:
		p.service, err = k.api.Get(k.ctx, kong.KindService, spec.Spec.AttachTo.ServiceName)
	default:
		p.service, err = kong.Named(k.ctx, k.api, kong.KindService, desired.ServiceName(spec))
	}
	if kong.IsNotFound(err) {
		return place{check: explain.Check{
			Name: "route", Outcome: jwtplugin.Unknown, Detail: "Kong has nothing of JwtProtectedService " + t.service.Name,
			Remedy: "kubectl kongjwt status says why.",
		}}, nil
	}
	if err != nil && k.err == nil {
		err = fmt.Errorf("--kong: %w", err)
	}
	return p, err
}

// route matches the request with all of Kong's routes.
func (k *asKong) route(a asked) place {
	services, routes := map[string]*router.Service{}, []*router.Route(nil)
	entities := map[string]kong.Entity{}
	for _, e := range k.list(kong.KindService) {
		enabled, given := e.Fields["enabled"].(bool)
		services[e.ID] = &router.Service{ID: e.ID, Name: e.Fields.Text("name"), Enabled: enabled || !given}
		entities[e.ID] = e
	}
	for _, e := range k.list(kong.KindRoute) {
		routes = append(routes, routeOf(e))
		entities[e.ID] = e
	}
	routed := explain.FindRoute(routes, services, a.routerRequest(), true)
	p := place{check: routed.Check}
	if routed.Route != nil {
		p.route = entities[routed.Route.ID]
	}
	if routed.Service != nil {
		p.service = entities[routed.Service.ID]
	}
	return p
}

func routeOf(e kong.Entity) *router.Route {
	f := e.Fields
	route := &router.Route{
		ID: e.ID, Name: f.Text("name"), ServiceID: f.Ref("service"), Protocols: f.Strings("protocols"),
		Methods: f.Strings("methods"), Hosts: f.Strings("hosts"), Paths: f.Strings("paths"), SNIs: f.Strings("snis"),
	}
	for name := range f.Object("headers") {
		if route.Headers == nil {
			route.Headers = map[string][]string{}
		}
		route.Headers[name] = kong.Fields(f.Object("headers")).Strings(name)
	}
	if priority, ok := f["regex_priority"].(float64); ok && priority > 0 {
		route.RegexPriority = uint32(priority)
	}
	if status, ok := f["https_redirect_status_code"].(float64); ok {
		route.RedirectStatus = int(status)
	}
	return route
}

// guard is what stands before the place's upstream: for each plugin a route's, else a service's, else a global one.
// service is the resource that it belongs to, or nil: what it says of claims counts where Kong runs just that program.
func (k *asKong) guard(p place, service *v1alpha1.JwtProtectedService) (explain.Guard, error) {
	chosen := map[string]kong.Entity{}
	rank := func(e kong.Entity) int {
		route, service := e.Fields.Ref("route"), e.Fields.Ref("service")
		switch {
		case e.Fields.Ref("consumer") != "", route != "" && route != p.route.ID, service != "" && service != p.service.ID:
			return 0
		case route != "":
			return 3
		case service != "":
			return 2
		}
		return 1
	}
	for _, e := range k.list(kong.KindPlugin) {
		name := e.Fields.Text("name")
		if enabled, given := e.Fields["enabled"].(bool); given && !enabled || rank(e) == 0 {
			continue
		}
		if former, there := chosen[name]; !there || rank(e) > rank(former) {
			chosen[name] = e
		}
	}
	var guard explain.Guard
	node, err := k.api.Node(k.ctx)
	if err != nil {
		return explain.Guard{}, fmt.Errorf("--kong: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		config := chosen[name].Fields.Object("config")
		switch name {
		case "jwt":
			if guard.JWT, err = settings(name, config, pluginconfig.JWTSettings); err == nil {
				guard.JWT.Version = kong.ParseVersion(node.Version)
			}
		case "acl":
			guard.ACL, err = settings(name, config, pluginconfig.ACLSettings)
		case "rate-limiting":
			var limit *pluginconfig.RateLimiting
			if limit, err = settings(name, config, pluginconfig.RateLimitSettings); err == nil {
				guard.Limits = explain.Limits(*limit)
			}
		case desired.PluginClaims:
			switch guard.Claims = claimsIn(config, service); {
			case guard.Claims != nil:
			case service != nil && service.Spec.Claims != nil:
				guard.OtherClaims = true
			default:
				guard.Others = append(guard.Others, name)
			}
		default:
			guard.Others = append(guard.Others, name)
		}
		if err != nil {
			return explain.Guard{}, err
		}
	}
	return guard, k.err
}

// claimsIn are the rules of a service's claims, where Kong runs the program that is made of them.
func claimsIn(config map[string]any, service *v1alpha1.JwtProtectedService) *claims.Rules {
	if service == nil || service.Spec.Claims == nil {
		return nil
	}
	rules, err := claims.Of(*service.Spec.Claims, service.Spec.JWT)
	if err != nil || !slices.Equal(kong.Fields(config).Strings("access"), []string{rules.Program()}) {
		return nil
	}
	return &rules
}

// settings reads a plugin's configuration as Kong shows it.
func settings[T any](plugin string, config map[string]any, read func(map[string]any) (T, error)) (*T, error) {
	into, err := read(config)
	if err != nil {
		return nil, fmt.Errorf("--kong: read the %s plugin: %w", plugin, err)
	}
	return &into, nil
}

// name puts a credential in words.
func (k *asKong) name(id string) string { return "credential " + id + " in Kong" }

// report makes all checks by what Kong holds.
func (k *asKong) report(in explain.Input, a asked, t target, token string) (explain.Report, error) {
	p, err := k.find(a, t)
	if err != nil {
		return explain.Report{}, err
	}
	if p.check.Name != "" {
		in.Before = append(in.Before, p.check)
	}
	if p.service.ID == "" && p.route.ID == "" {
		verdict := explain.Unknown
		if p.check.Answer != nil {
			verdict = explain.Refused
		}
		return explain.Report{Verdict: verdict, Answer: p.check.Answer, Checks: in.Before}, nil
	}
	if in.Guard, err = k.guard(p, t.service); err != nil {
		return explain.Report{}, err
	}
	cfg := jwtplugin.DefaultConfig()
	if in.Guard.JWT != nil {
		cfg = *in.Guard.JWT
	}
	in.Request, in.Directory, in.Groups, in.Name = requestWith(a, cfg, token), k, k.groups, k.name
	report := explain.Explain(in)
	for i := range report.Checks {
		if c := &report.Checks[i]; c.Name == string(jwtplugin.CheckCredential) && c.Outcome == jwtplugin.Failed {
			c.Detail = strings.TrimSuffix(c.Detail, ";") + " in Kong"
		}
	}
	return report, k.err
}
