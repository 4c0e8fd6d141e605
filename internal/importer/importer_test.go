package importer_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func ref(id string) map[string]any { return map[string]any{"id": id} }

func entity(kind kong.Kind, id string, fields kong.Fields) kong.Entity {
	return kong.Entity{Kind: kind, ID: id, Fields: fields}
}

func under(consumer string, e kong.Entity) kong.Entity {
	e.ConsumerID = consumer
	return e
}

var (
	service = entity(kong.KindService, "s", kong.Fields{
		"name": "shop", "protocol": "https", "host": "shop.example.com", "port": 8443.0, "path": "/v1", "retries": 2.0, "read_timeout": 1500.0, "connect_timeout": 60000.0,
		"enabled": true, "client_certificate": nil, "tags": []any{"mine"},
	})
	route = entity(kong.KindRoute, "r", kong.Fields{
		"name": "shop.api", "service": ref("s"), "paths": []any{"/shop"}, "strip_path": false, "preserve_host": false, "protocols": []any{"http", "https"},
		"headers": map[string]any{"x-v": []any{"1"}}, "path_handling": "v0", "https_redirect_status_code": 426.0, "sources": nil, "tags": []any{"mine"},
	})
	guard = entity(kong.KindPlugin, "p", kong.Fields{
		"name": "jwt", "service": ref("s"), "route": nil, "enabled": true, "protocols": []any{"grpc", "grpcs", "http", "https"}, "tags": []any{"mine"},
		"config": map[string]any{"key_claim_name": "kid", "claims_to_verify": []any{"exp"}, "uri_param_names": []any{"jwt"}, "header_names": []any{}, "maximum_expiration": 0.0, "run_on_preflight": true},
	})
)

func plugin(id, name string, config map[string]any, on kong.Fields) kong.Entity {
	fields := kong.Fields{"name": name, "enabled": true, "config": config}
	for field, value := range on {
		fields[field] = value
	}
	return entity(kong.KindPlugin, id, fields)
}

func run(entities ...kong.Entity) importer.Result {
	return importer.Import(entities, importer.Options{Namespace: "team", Gateway: "main", PlainSecrets: true})
}

// TestImportService: fields that differ from Kong's defaults are written, the others are not.
func TestImportService(t *testing.T) {
	result := run(service, route, guard,
		plugin("a", "acl", map[string]any{"allow": []any{"a", "b"}, "deny": nil, "hide_groups_header": false}, kong.Fields{"service": ref("s"), "tags": []any{"mine"}}),
		plugin("l", "rate-limiting", map[string]any{"minute": 5.0, "limit_by": "consumer", "policy": "local", "error_code": 429.0, "redis": map[string]any{"host": nil, "port": 6379.0}}, kong.Fields{"service": ref("s"), "tags": []any{"mine"}}),
		plugin("c", "cors", map[string]any{"origins": []any{"*"}}, kong.Fields{"route": ref("r"), "tags": []any{"mine"}}),
	)
	if len(result.Services) != 1 {
		t.Fatalf("%+v", result)
	}
	got := result.Services[0]
	strip, retries, minute := false, int32(2), int32(5)
	none := []string{}
	want := v1alpha1.JwtProtectedServiceSpec{
		GatewayRef: v1alpha1.GatewayReference{Name: "main"}, ServiceName: "shop", Tags: []v1alpha1.Tag{"mine"},
		Upstream: &v1alpha1.Upstream{URL: "https://shop.example.com:8443/v1", Retries: &retries, ReadTimeout: "1.5s"},
		Routes: []v1alpha1.Route{{
			Name: "api", Paths: []string{"/shop"}, StripPath: &strip, Protocols: []v1alpha1.Protocol{"http", "https"}, Headers: map[string]v1alpha1.HeaderValues{"x-v": {"1"}},
		}},
		JWT:       v1alpha1.JWTPlugin{KeyClaimName: "kid", ClaimsToVerify: []v1alpha1.TimeClaim{"exp"}, HeaderNames: &none},
		Access:    &v1alpha1.Access{Groups: []string{"a", "b"}},
		RateLimit: &v1alpha1.RateLimit{Minute: &minute},
	}
	plugins := got.Spec.Plugins
	got.Spec.Plugins = nil
	if got.Name != "shop" || got.Namespace != "team" || !reflect.DeepEqual(got.Spec, want) {
		t.Errorf("%+v\nwant %+v", got.Spec, want)
	}
	if len(plugins) != 1 || plugins[0].Plugin != "cors" || plugins[0].Route != "api" || string(plugins[0].Config.Raw) != `{"origins":["*"]}` {
		t.Errorf("plugins: %+v", plugins)
	}
}

// TestImportConsumer: the material goes into Secrets, or is listed.
func TestImportConsumer(t *testing.T) {
	entities := []kong.Entity{
		entity(kong.KindConsumer, "c", kong.Fields{"username": "team.John_Doe", "custom_id": "42"}),
		under("c", entity(kong.KindJWT, "j1", kong.Fields{"key": "k1", "algorithm": "HS256", "secret": "material-one"})),
		under("c", entity(kong.KindJWT, "j2", kong.Fields{"key": "k2", "algorithm": "RS256", "secret": "unused", "rsa_public_key": publicKeys()[0]})),
		under("c", entity(kong.KindACL, "g", kong.Fields{"group": "buyers"})),
	}
	result := run(entities...)
	if len(result.Consumers) != 1 || len(result.Secrets) != 2 {
		t.Fatalf("%+v", result)
	}
	c := result.Consumers[0]
	if c.Name != "john-doe" || c.Spec.Username != "team.John_Doe" || c.Spec.CustomID != "42" || !slices.Equal(c.Spec.Groups, []string{"buyers"}) || len(c.Spec.Credentials) != 2 {
		t.Errorf("%+v", c)
	}
	for i, want := range []map[string]string{{"secret": "material-one"}, {"public.pem": publicKeys()[0]}} {
		if got := result.Secrets[i]; got.Name != c.Spec.Credentials[i].SecretRef.Name || !reflect.DeepEqual(got.StringData, want) {
			t.Errorf("Secret %s of %+v", got.Name, c.Spec.Credentials[i])
		}
	}
	if !told(result, "KongGateway main", "spec.policy.identities: Any, as 4 names such as 42 do not begin with team.") {
		t.Errorf("%+v", result.Left)
	}
	bare := importer.Import(entities, importer.Options{Namespace: "team", Gateway: "main"})
	if len(bare.Secrets) != 0 || !told(bare, "jwt credential k1", "make Secret team/john-doe-primary with the key secret") {
		t.Errorf("%+v", bare)
	}
	files, err := bare.Files()
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if strings.Contains(string(file.Content), "material-one") || strings.Contains(string(file.Content), "status:") {
			t.Errorf("%s:\n%s", file.Name, file.Content)
		}
	}
}

// TestImportLeavesNothingUnsaid: what cannot be expressed is listed with the reason.
func TestImportLeavesNothingUnsaid(t *testing.T) {
	with := func(e kong.Entity, fields kong.Fields) kong.Entity {
		all := kong.Fields{}
		for _, from := range []kong.Fields{e.Fields, fields} {
			for name, value := range from {
				all[name] = value
			}
		}
		e.Fields = all
		return e
	}
	attached := func(r importer.Result) bool {
		return len(r.Services) == 1 && r.Services[0].Spec.AttachTo != nil && r.Services[0].Spec.Upstream == nil && r.Services[0].Spec.Routes == nil
	}
	tests := []struct {
		name      string
		entities  []kong.Entity
		what, why string
		attached  bool
	}{
		{"no plugin", []kong.Entity{service, route}, "service shop", "no jwt plugin", false},
		{"a certificate", []kong.Entity{with(service, kong.Fields{"client_certificate": ref("x")}), route, guard}, "service shop", "no field says client_certificate", true},
		{"a route of another name", []kong.Entity{service, with(route, kong.Fields{"name": "api"}), guard}, "service shop", "names it shop.<name>", true},
		{"a route by source", []kong.Entity{service, with(route, kong.Fields{"sources": []any{}}), guard}, "service shop", "no field says sources", true},
		{"a disabled plugin", []kong.Entity{service, route, with(guard, kong.Fields{"enabled": false})}, "service shop", "its jwt plugin is disabled", false},
		{"a global plugin", []kong.Entity{plugin("g", "cors", nil, nil)}, "plugin cors", "on no service", false},
		{"a plugin on two", []kong.Entity{plugin("g", "cors", nil, kong.Fields{"service": ref("s"), "consumer": ref("c")})}, "plugin cors", "several entities at once", false},
		{"somebody's", []kong.Entity{with(service, kong.Fields{"tags": []any{"managed-by-ingress-controller"}}), guard}, "service shop", "somebody manages it already, as its tags say: managed-by-ingress-controller", false},
		{"this operator's", []kong.Entity{with(service, kong.Fields{"tags": []any{"kongjwt", "kongjwt-installation:i", "kongjwt-gateway:g", "kongjwt-owner:JwtProtectedService:team:shop", "kongjwt-part:service"}}), guard},
			"service shop", "JwtProtectedService team/shop manages it already", false},
		{"no username", []kong.Entity{entity(kong.KindConsumer, "c", kong.Fields{"custom_id": "42"})}, "consumer 42", "a custom_id and no username", false},
		{"other tags", []kong.Entity{service, with(route, kong.Fields{"tags": []any{"other"}}), guard}, "route shop.api", "its own tags (other)", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := run(tt.entities...)
			if !told(result, tt.what, tt.why) {
				t.Errorf("%q: %q is not in %+v", tt.what, tt.why, result.Left)
			}
			if attached(result) != tt.attached {
				t.Errorf("attached: %v, want %v", attached(result), tt.attached)
			}
		})
	}
}

// TestImportRoutesAlone: a route with a jwt plugin of its own is attached to.
func TestImportRoutesAlone(t *testing.T) {
	onRoute := guard
	onRoute.Fields = kong.Fields{"name": "jwt", "enabled": true, "route": ref("r"), "config": map[string]any{"key_claim_name": "iss"}}
	result := run(service, route, onRoute)
	if len(result.Services) != 1 || result.Services[0].Spec.AttachTo == nil || result.Services[0].Spec.AttachTo.RouteName != "shop.api" {
		t.Fatalf("%+v", result)
	}
}

// TestImportNamesHostsToOpen: a service whose host the gateway's policy closes would wait for ever.
func TestImportNamesHostsToOpen(t *testing.T) {
	inside := service
	inside.Fields = maps.Clone(service.Fields)
	inside.Fields["host"] = "orders.prod.svc"
	if result := run(inside, route, guard); !told(result, "KongGateway main", "spec.policy.upstreams.allow has to open hosts of 1 services. Of shop: orders.prod.svc") {
		t.Errorf("%+v", result.Left)
	}
	if result := run(service, route, guard); told(result, "KongGateway main", "upstreams") {
		t.Errorf("%+v", result.Left)
	}
}

// TestSelectTag: what has not the tag is not looked at.
func TestSelectTag(t *testing.T) {
	other := entity(kong.KindConsumer, "c", kong.Fields{"username": "other"})
	result := importer.Import([]kong.Entity{service, route, guard, other}, importer.Options{Namespace: "team", Gateway: "main", SelectTag: "mine"})
	if len(result.Services) != 1 || len(result.Consumers) != 0 {
		t.Errorf("%+v", result)
	}
}

func told(r importer.Result, what, why string) bool {
	return slices.ContainsFunc(r.Left, func(l importer.Left) bool { return l.What == what && strings.Contains(l.Why, why) })
}

// deck is a file of decK's format, with its nesting, its references by name and its shorthands.
const deck = `
_format_version: "3.0"
_info:
  select_tags: [mine]
services:
- name: shop
  url: https://shop.example.com/v1
  routes:
  - name: shop.api
    paths: [/shop]
  plugins:
  - name: jwt
    config: {key_claim_name: kid, claims_to_verify: [exp]}
routes:
- name: shop.second
  service: {name: shop}
  paths: [/second]
consumers:
- username: john
  jwt_secrets:
  - {key: k, secret: material, algorithm: HS256}
  acls:
  - group: buyers
  keyauth_credentials:
  - key: other
upstreams:
- name: u
`

// TestReadDeck: nested and beside each other, with what has no place.
func TestReadDeck(t *testing.T) {
	entities, left, err := importer.ReadDeck([]byte(deck))
	if err != nil {
		t.Fatal(err)
	}
	result := run(entities...)
	if len(result.Services) != 1 || len(result.Consumers) != 1 || len(result.Secrets) != 1 {
		t.Fatalf("%+v", result)
	}
	s := result.Services[0].Spec
	if s.Upstream == nil || s.Upstream.URL != "https://shop.example.com/v1" || len(s.Routes) != 2 || s.JWT.KeyClaimName != "kid" || !slices.Equal(s.Tags, []v1alpha1.Tag{"mine"}) {
		t.Errorf("%+v, left %+v", s, result.Left)
	}
	if c := result.Consumers[0].Spec; c.Username != "john" || len(c.Credentials) != 1 || c.Credentials[0].Key != "k" || !slices.Equal(c.Groups, []string{"buyers"}) {
		t.Errorf("%+v", c)
	}
	var what []string
	for _, l := range left {
		what = append(what, l.What)
	}
	if !slices.Equal(what, []string{"keyauth_credentials of consumer john", "upstreams"}) {
		t.Errorf("left: %v", what)
	}
}

// sharing is a file that says things once: fields of all routes and services, and the configuration of several
// plugins.
const sharing = `
_format_version: "3.0"
_workspace: shop
_info:
  defaults:
    route: {strip_path: false}
    service: {retries: 2, read_timeout: 1500}
_plugin_configs:
  tokens: {key_claim_name: kid, claims_to_verify: [exp]}
services:
- name: shop
  url: https://shop.example.com
  retries: 3
  routes:
  - name: shop.api
    paths: [/shop]
  plugins:
  - name: jwt
    _config: tokens
    config: {realm: shop}
consumers:
- username: john
  groups:
  - name: gold
`

// TestReadDeckThatSharesThings: what a file says once counts wherever it is meant.
func TestReadDeckThatSharesThings(t *testing.T) {
	entities, left, err := importer.ReadDeck([]byte(sharing))
	if err != nil {
		t.Fatal(err)
	}
	result := run(entities...)
	if len(result.Services) != 1 || result.Services[0].Spec.Upstream == nil || len(result.Services[0].Spec.Routes) != 1 {
		t.Fatalf("%+v", result)
	}
	s := result.Services[0].Spec
	if s.JWT.KeyClaimName != "kid" || !slices.Equal(s.JWT.ClaimsToVerify, []v1alpha1.TimeClaim{"exp"}) || s.JWT.Realm != "shop" {
		t.Errorf("jwt %+v", s.JWT)
	}
	if *s.Upstream.Retries != 3 || s.Upstream.ReadTimeout != "1.5s" || s.Routes[0].StripPath == nil || *s.Routes[0].StripPath {
		t.Errorf("upstream %+v, routes %+v", s.Upstream, s.Routes)
	}
	var what []string
	for _, l := range left {
		what = append(what, l.What)
	}
	if !slices.Equal(what, []string{"workspace shop", "groups of consumer john"}) {
		t.Errorf("left: %v", what)
	}
}

// TestReadDeckRefuses: files of another kind, and without a word of what they hold.
func TestReadDeckRefuses(t *testing.T) {
	for content, want := range map[string]string{
		"secret: [":                   "no YAML or JSON object",
		"[]":                          "no YAML or JSON object",
		`_format_version: "1.1"`:      "deck convert",
		"kind: Deployment\nsecret: s": "_format_version",
	} {
		if _, _, err := importer.ReadDeck([]byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
