package desired

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	jwtclaims "github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// ProbeRoute is how a request finds the route that data planes are asked by. It is matched by all of it: no other
// route matches more, so that none wins over it, and the values cannot be guessed, so that nobody else is answered by
// it.
type ProbeRoute struct {
	// Host is a name below .invalid, which never resolves (RFC 6761 section 6.4).
	Host string
	Path string
	// ClaimsPath is the path of the route that is answered by the program which checks claims.
	ClaimsPath string
	// Header and Value of the header that is asked for.
	Header, Value string
	// Proof is the header that each answer of the route has. No question holds its name: who answers instead of
	// the route does not know it.
	Proof string
}

// Both are reserved: no route of a tenant may match them.
const (
	// probeHeader is matched against a value that is the gateway's own.
	probeHeader = "X-Kongjwt-Probe"
	// probeDomain holds the hosts of all gateways.
	probeDomain = "kongjwt-probe.invalid"
)

// NewProbeRoute derives the route of a gateway from the installation's seed: the same for the same seed, for ever.
func NewProbeRoute(scope Scope, seed []byte) ProbeRoute {
	derive := func(purpose string) string {
		mac := hmac.New(sha256.New, seed)
		// A hash takes everything.
		_, _ = mac.Write([]byte(scope.Installation + "\x00" + scope.Gateway + "\x00" + purpose))
		return hex.EncodeToString(mac.Sum(nil)[:16])
	}
	return ProbeRoute{
		Host: derive("host") + "." + probeDomain,
		Path: "/" + derive("path"),

		ClaimsPath: "/" + derive("claims-path"),
		Header:     probeHeader,
		Value:      derive("header"),
		Proof:      "X-Kongjwt-" + derive("proof"),
	}
}

// GatewayOwner is the owner that a KongGateway is.
func GatewayOwner(name string) Owner { return Owner{Kind: v1alpha1.KindKongGateway, Name: name} }

// Parts of a KongGateway.
const (
	partProbe            = "probe"
	partProbeTermination = "request-termination"
	partProbeProof       = "correlation-id"
	partClaimsProbe      = "claims-probe"
	partClaimsProbeProof = "claims-probe-correlation-id"
)

// ProbeRealm is the realm that the program names where it answers a question.
const ProbeRealm = "kongjwt-probe"

// ProbeRouteID is the id in Kong of a gateway's probe route.
func ProbeRouteID(scope Scope) string {
	return scope.ID(kong.KindRoute, GatewayOwner(scope.Gateway), partProbe)
}

// ClaimsProbeRouteID is the id in Kong of the route by which a gateway's data planes are asked for the program.
func ClaimsProbeRouteID(scope Scope) string {
	return scope.ID(kong.KindRoute, GatewayOwner(scope.Gateway), partClaimsProbe)
}

// BuildProbe says which entities a gateway's data planes are asked by: a service that leads nowhere, the jwt plugin,
// request-termination behind it for whoever might come with a valid token, correlation-id, which puts the proof into
// every answer, refusals too (kong/plugins/correlation-id/handler.lua), and the route. claims adds a service with the
// program that checks claims and no jwt plugin: the program refuses every question, since none has a verified token.
func BuildProbe(scope Scope, route ProbeRoute, claims bool) Set {
	b := builder{scope: scope, owner: GatewayOwner(scope.Gateway)}
	service := scope.ID(kong.KindService, b.owner, partProbe)
	name := "kongjwt-probe." + service
	b.add(kong.KindService, service, "", partProbe, withDefaults(kong.Fields{
		"name": name, "protocol": "http", "host": probeDomain, "port": 80, "retries": 0,
	}, serviceDefaults))
	b.addPlugin(partJWT, kong.Fields{"name": "jwt", "enabled": true, "protocols": guardProtocols, "service": ref(service), "config": withDefaults(map[string]any{
		"key_claim_name": "kid", "claims_to_verify": []string{"exp"}, "uri_param_names": []string{},
	}, jwtDefaults)})
	b.addPlugin(partProbeTermination, kong.Fields{"name": "request-termination", "enabled": true, "service": ref(service), "config": map[string]any{
		"status_code": 403, "message": "no upstream is behind this",
	}})
	b.addPlugin(partProbeProof, kong.Fields{"name": "correlation-id", "enabled": true, "service": ref(service), "config": map[string]any{
		"header_name": route.Proof, "echo_downstream": true, "generator": "uuid",
	}})
	b.add(kong.KindRoute, ProbeRouteID(scope), "", partProbe, withDefaults(kong.Fields{
		"name": name, "service": ref(service), "methods": []string{"GET"},
		"hosts": []string{route.Host}, "paths": []string{route.Path}, "headers": map[string]any{route.Header: []string{route.Value}},
	}, routeDefaults))
	if claims {
		b.addClaimsProbe(route)
	}
	return Set{Owner: b.owner, Entities: b.entities}
}

func (b *builder) addClaimsProbe(route ProbeRoute) {
	service := b.scope.ID(kong.KindService, b.owner, partClaimsProbe)
	name := "kongjwt-probe." + service
	b.add(kong.KindService, service, "", partClaimsProbe, withDefaults(kong.Fields{
		"name": name, "protocol": "http", "host": probeDomain, "port": 80, "retries": 0,
	}, serviceDefaults))
	rules := jwtclaims.Rules{Issuers: []string{probeDomain}, Realm: ProbeRealm}
	b.addPlugin(partClaims, kong.Fields{
		"name": PluginClaims, "enabled": true, "protocols": guardProtocols, "service": ref(service), "config": claimsConfig(rules),
	})
	b.addPlugin(partClaimsProbeProof, kong.Fields{"name": "correlation-id", "enabled": true, "service": ref(service), "config": map[string]any{
		"header_name": route.Proof, "echo_downstream": true, "generator": "uuid",
	}})
	b.add(kong.KindRoute, ClaimsProbeRouteID(b.scope), "", partClaimsProbe, withDefaults(kong.Fields{
		"name": name, "service": ref(service), "methods": []string{"GET"},
		"hosts": []string{route.Host}, "paths": []string{route.ClaimsPath}, "headers": map[string]any{route.Header: []string{route.Value}},
	}, routeDefaults))
}
