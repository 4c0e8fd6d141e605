// Package crds holds the custom resource definitions to what they refuse, on a real kube-apiserver.
package crds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// Valid objects, which each case spoils in one place.
var valid = map[string]string{
	"KongGateway":         `{"spec": {"adminAPI": {"url": "http://127.0.0.1:8001"}}}`,
	"JwtConsumer":         `{"spec": {"credentials": [{"name": "primary", "algorithm": "HS256", "secretRef": {"name": "s"}}]}}`,
	"JwtProtectedService": `{"spec": {"upstream": {"url": "http://example.com"}, "routes": [{"name": "api", "paths": ["/api"]}]}}`,
	"JwtToken":            `{"spec": {"consumerRef": {"name": "c", "credential": "primary"}, "secretName": "t"}}`,
}

// refusal is a spec that has to be refused: by which field, and with what said.
type refusal struct {
	name, kind string
	// patch is merged over the valid object (RFC 7396).
	patch string
	field string
	says  string
}

const uuidName = "0f3a3f0e-4d56-4f8e-9a53-0c6c2b0b7e11"

func credential(fields string) string {
	return `{"spec": {"credentials": [{"name": "primary", ` + fields + `}]}}`
}

func route(fields string) string { return `{"spec": {"routes": [{"name": "api", ` + fields + `}]}}` }

// listOf is a list of so many different texts.
func listOf(name string, count int, format string) string {
	var texts []string
	for i := range count {
		texts = append(texts, fmt.Sprintf(format, i))
	}
	list, _ := json.Marshal(texts)
	return `"` + name + `": ` + string(list)
}

func checks(fields string) string { return `{"spec": {"claims": {` + fields + `}}}` }

func controlled(fields string) string {
	return `{"spec": {"adminAPI": null, "ingressController": {"className": "kong"}, ` + fields + `}}`
}

// change is a patch that is refused of an object that is there: a valid one with another patch over it.
type change struct {
	from string
	refusal
}

func changes() []change {
	moved := `{"spec": {"adminAPI": null, "ingressController": {"className": "kong"}}}`
	return []change{
		{"{}", refusal{"another kind of Kong", "KongGateway", moved, "spec", "make another KongGateway"}},
		{moved, refusal{"another class", "KongGateway", `{"spec": {"ingressController": {"className": "other"}}}`, "spec.ingressController.className", "cannot be changed"}},
	}
}

func refusals() []refusal {
	return []refusal{
		{"no source", "JwtConsumer", credential(`"algorithm": "HS256"`), "spec.credentials[0]", "exactly one source"},
		{"two sources", "JwtConsumer", credential(`"secretRef": {"name": "s"}, "generate": {"secretName": "g"}`), "spec.credentials[0]", "exactly one source"},
		{"two credentials of a name", "JwtConsumer", `{"spec": {"credentials": [{"name": "a", "secretRef": {"name": "s"}}, {"name": "a", "secretRef": {"name": "s"}}]}}`, "spec.credentials[1]", "Duplicate"},
		{"pinned key with overlap", "JwtConsumer", credential(`"key": "k", "generate": {"secretName": "g", "rotation": {"interval": "48h", "overlap": "1h"}}`), "spec.credentials[0].key", "Remove key"},
		{"pinned key with a Secret's overlap", "JwtConsumer", credential(`"key": "k", "secretRef": {"name": "s", "overlap": "1h", "dataKeys": {"key": "k"}}`), "spec.credentials[0].key", "Remove key"},
		{"overlap without dataKeys.key", "JwtConsumer", credential(`"secretRef": {"name": "s", "overlap": "1h"}`), "spec.credentials[0].secretRef.overlap", "dataKeys.key"},
		{"overlap not below interval", "JwtConsumer", credential(`"generate": {"secretName": "g", "rotation": {"interval": "1h", "overlap": "1h"}}`), "spec.credentials[0].generate.rotation.overlap", "below interval"},
		{"secretBytes on RSA", "JwtConsumer", credential(`"algorithm": "RS256", "generate": {"secretName": "g", "secretBytes": 48}`), "spec.credentials[0].generate.secretBytes", "rsaBits"},
		{"rsaBits on HMAC", "JwtConsumer", credential(`"algorithm": "HS256", "generate": {"secretName": "g", "rsaBits": 2048}`), "spec.credentials[0].generate.rsaBits", "RSA"},
		{"PS256 with 4096 bits", "JwtConsumer", credential(`"algorithm": "PS256", "generate": {"secretName": "g", "rsaBits": 4096}`), "spec.credentials[0].generate.rsaBits", "2048"},
		{"short HS512", "JwtConsumer", credential(`"algorithm": "HS512", "generate": {"secretName": "g", "secretBytes": 48}`), "spec.credentials[0].generate.secretBytes", "RFC 7518"},
		{"secret on RSA", "JwtConsumer", credential(`"algorithm": "RS256", "secretRef": {"name": "s", "dataKeys": {"secret": "x"}}`), "spec.credentials[0].secretRef.dataKeys.secret", "publicKey"},
		{"publicKey on HMAC", "JwtConsumer", credential(`"algorithm": "HS256", "secretRef": {"name": "s", "dataKeys": {"publicKey": "x"}}`), "spec.credentials[0].secretRef.dataKeys", "HMAC"},
		{"key with jwks", "JwtConsumer", credential(`"algorithm": "RS256", "key": "k", "jwks": {"url": "https://i.example.com/jwks"}`), "spec.credentials[0].key", "remove key"},
		{"HMAC for a key set", "JwtConsumer", credential(`"algorithm": "HS256", "jwks": {"url": "https://i.example.com"}`), "spec.credentials[0].algorithm", "public keys"},
		{"unknown algorithm", "JwtConsumer", credential(`"algorithm": "none", "secretRef": {"name": "s"}`), "spec.credentials[0].algorithm", "HS256"},
		{"empty username", "JwtConsumer", `{"spec": {"username": ""}}`, "spec.username", "at least 1"},
		{"control characters in a username", "JwtConsumer", `{"spec": {"username": "a\nb"}}`, "spec.username", "control characters"},
		{"tag with a comma", "JwtConsumer", `{"spec": {"tags": ["a,b"]}}`, "spec.tags[0]", "no comma"},
		{"tag with a slash", "JwtProtectedService", `{"spec": {"tags": ["a/b"]}}`, "spec.tags[0]", "no slash"},
		{"tag of ours", "JwtConsumer", `{"spec": {"tags": ["kongjwt-owner:x"]}}`, "spec.tags[0]", "choose another"},
		{"group of ours", "JwtConsumer", `{"spec": {"groups": ["kongjwt:a.b"]}}`, "spec.groups[0]", "choose another"},
		{"jwt under plugins", "JwtConsumer", `{"spec": {"plugins": [{"name": "x", "plugin": "jwt"}]}}`, "spec.plugins[0].plugin", "spec.jwt"},

		{"claims but exp and nbf", "JwtProtectedService", `{"spec": {"jwt": {"claimsToVerify": ["aud"]}}}`, "spec.jwt.claimsToVerify[0]", "exp"},
		{"maximumExpiration without exp", "JwtProtectedService", `{"spec": {"jwt": {"maximumExpiration": "60s"}}}`, "spec.jwt.maximumExpiration", "exp in claimsToVerify"},
		{"upstream with both", "JwtProtectedService", `{"spec": {"upstream": {"serviceRef": {"name": "s", "port": 80}}}}`, "spec.upstream", "exactly one of url and serviceRef"},
		{"upstream with neither", "JwtProtectedService", `{"spec": {"upstream": {"url": null, "path": "/x"}}}`, "spec.upstream", "exactly one of url and serviceRef"},
		{"upstream and attachTo", "JwtProtectedService", `{"spec": {"attachTo": {"serviceName": "x"}}}`, "spec", "exactly one of upstream"},
		{"neither upstream nor attachTo", "JwtProtectedService", `{"spec": {"upstream": null}}`, "spec", "exactly one of upstream"},
		{"route that matches on nothing", "JwtProtectedService", route(`"protocols": ["https"]`), "spec.routes[0]", "match on something"},
		{"route with empty lists alone", "JwtProtectedService", route(`"paths": [], "hosts": [], "methods": [], "headers": {}, "snis": []`), "spec.routes[0]", "match on something"},
		{"too many pairs of hosts and paths", "JwtProtectedService", route(listOf("hosts", 32, "h%d.example.com") + `, ` + listOf("paths", 17, "/p%d")), "spec.routes", "more than 512 pairs"},
		{"path without slash", "JwtProtectedService", route(`"paths": ["api"]`), "spec.routes[0].paths[0]", "must begin with /"},
		{"path with an empty segment", "JwtProtectedService", route(`"paths": ["/a//b"]`), "spec.routes[0].paths", "empty segments"},
		{"protocol that jwt does not know", "JwtProtectedService", route(`"paths": ["/a"], "protocols": ["tcp"]`), "spec.routes[0].protocols[0]", "https"},
		{"http and grpc together", "JwtProtectedService", route(`"paths": ["/a"], "protocols": ["http", "grpc"]`), "spec.routes[0].protocols", "two routes"},
		{"bad header name", "JwtProtectedService", route(`"headers": {"x y": ["1"]}`), "spec.routes[0].headers", "letters, digits"},
		{"a control character in a header's value", "JwtProtectedService", route(`"headers": {"x-a": ["1\u0001"]}`), "spec.routes[0].headers.x-a[0]", "should match"},
		{"host as a header", "JwtProtectedService", route(`"headers": {"Host": ["1"]}`), "spec.routes[0].headers", "hosts"},
		{"bad method", "JwtProtectedService", route(`"methods": ["get"]`), "spec.routes[0].methods[0]", "capital letters"},
		{"bad token header name", "JwtProtectedService", `{"spec": {"jwt": {"headerNames": ["a b"]}}}`, "spec.jwt.headerNames[0]", "letters, digits"},
		{"snis on http", "JwtProtectedService", route(`"snis": ["a.example.com"], "protocols": ["http"]`), "spec.routes[0].snis", "https"},
		{"service name with a space", "JwtProtectedService", `{"spec": {"serviceName": "a b"}}`, "spec.serviceName", "letters, digits"},
		{"limits out of order", "JwtProtectedService", `{"spec": {"rateLimit": {"minute": 50, "hour": 10}}}`, "spec.rateLimit.minute", "longer time"},
		{"no limit", "JwtProtectedService", `{"spec": {"rateLimit": {"policy": "local"}}}`, "spec.rateLimit", "at least one"},
		{"redis without its policy", "JwtProtectedService", `{"spec": {"rateLimit": {"minute": 1, "redis": "shared"}}}`, "spec.rateLimit.redis", "policy: redis"},
		{"a Redis twice", "KongGateway", `{"spec": {"policy": {"redis": [{"name": "a", "host": "r"}, {"name": "b", "host": "r", "username": "u"}]}}}`, "spec.policy.redis", "listed once"},
		{"jwt under a service's plugins", "JwtProtectedService", `{"spec": {"plugins": [{"name": "x", "plugin": "jwt"}]}}`, "spec.plugins[0].plugin", "spec.jwt"},
		{"acl twice", "JwtProtectedService", `{"spec": {"access": {"groups": ["g"]}, "plugins": [{"name": "x", "plugin": "acl"}]}}`, "spec.plugins", "spec.access"},
		{"rate-limiting twice", "JwtProtectedService", `{"spec": {"rateLimit": {"minute": 1}, "plugins": [{"name": "x", "plugin": "rate-limiting"}]}}`, "spec.plugins", "spec.rateLimit"},
		{"the same plugin twice", "JwtProtectedService", `{"spec": {"plugins": [{"name": "x", "plugin": "cors"}, {"name": "y", "plugin": "cors"}]}}`, "spec.plugins", "once"},
		{"plugin on an unknown route", "JwtProtectedService", `{"spec": {"plugins": [{"name": "x", "plugin": "cors", "route": "nope"}]}}`, "spec.plugins", "spec.routes"},
		{"access for nobody", "JwtProtectedService", `{"spec": {"access": {}}}`, "spec.access", "groups, consumers"},

		{"two credentials of a key", "JwtConsumer", `{"spec": {"credentials": [{"name": "a", "key": "k", "secretRef": {"name": "s"}}, {"name": "b", "key": "k", "secretRef": {"name": "s"}}]}}`, "spec.credentials", "change one of them"},
		{"two credentials of a Secret", "JwtConsumer", `{"spec": {"credentials": [{"name": "a", "generate": {"secretName": "s"}}, {"name": "b", "generate": {"secretName": "s"}}]}}`, "spec.credentials", "Secret of its own"},
		{"the same plugin twice", "JwtConsumer", `{"spec": {"plugins": [{"name": "x", "plugin": "cors"}, {"name": "y", "plugin": "cors"}]}}`, "spec.plugins", "remove the second"},
		{"control characters in a custom id", "JwtConsumer", `{"spec": {"customID": "a\tb"}}`, "spec.customID", "control characters"},
		{"control characters in a key", "JwtConsumer", credential(`"key": "a\nb", "secretRef": {"name": "s"}`), "spec.credentials[0].key", "control characters"},
		{"a comma in a group", "JwtConsumer", `{"spec": {"groups": ["a,b"]}}`, "spec.groups[0]", "no comma"},
		{"bad name of a Secret", "JwtConsumer", credential(`"secretRef": {"name": "A B"}`), "spec.credentials[0].secretRef.name", "should match"},
		{"a key set of two sources", "JwtConsumer", credential(`"jwks": {"url": "https://i.example.com/jwks", "issuer": "https://i.example.com"}`), "spec.credentials[0].jwks", "url, issuer and cluster"},
		{"a query in an issuer", "JwtConsumer", credential(`"jwks": {"issuer": "https://i.example.com/?x=1"}`), "spec.credentials[0].jwks.issuer", "no query"},
		{"a port of an issuer", "JwtConsumer", credential(`"jwks": {"issuer": "https://i.example.com:70000"}`), "spec.credentials[0].jwks.issuer", "at most 65535"},
		{"password in a JWKS URL", "JwtConsumer", credential(`"algorithm": "RS256", "jwks": {"url": "https://a:b@i.example.com"}`), "spec.credentials[0].jwks.url", "no user and password"},
		{"upstream by ftp", "JwtProtectedService", `{"spec": {"upstream": {"url": "ftp://example.com"}}}`, "spec.upstream.url", "http, https, grpc or grpcs"},
		{"access for everybody, and for some", "JwtProtectedService", `{"spec": {"upstream": {"url": "http://example.com"}, "access": {"from": "AnyNamespace", "groups": ["g"]}}}`, "spec.access.from", "lets every consumer in"},
		{"an exception for nothing", "KongGateway", `{"spec": {"policy": {"upstreams": {"allow": [{"ports": [443]}]}}}}`, "spec.policy.upstreams.allow[0]", "set cidrs, hosts or both"},
		{"an exception for an address", "KongGateway", `{"spec": {"policy": {"upstreams": {"allow": [{"cidrs": ["10.0.0.1"]}]}}}}`, "spec.policy.upstreams.allow[0].cidrs[0]", "such as 10.0.0.0/8"},
		{"an exception for a host with a port", "KongGateway", `{"spec": {"policy": {"upstreams": {"allow": [{"hosts": ["a.example.com:80"]}]}}}}`, "spec.policy.upstreams.allow[0].hosts[0]", "no port"},
		{"upstream with a query", "JwtProtectedService", `{"spec": {"upstream": {"url": "http://example.com/?a=b"}}}`, "spec.upstream.url", "no query"},
		{"upstream with a password", "JwtProtectedService", `{"spec": {"upstream": {"url": "http://a:b@example.com/"}}}`, "spec.upstream.url", "no user and password"},
		{"path in a grpc url", "JwtProtectedService", `{"spec": {"upstream": {"url": "grpc://example.com/a"}}}`, "spec.upstream.url", "no path with grpc"},
		{"path beside a grpc url", "JwtProtectedService", `{"spec": {"upstream": {"url": "grpc://example.com", "path": "/a"}}}`, "spec.upstream.path", "no path with grpc"},
		{"path twice", "JwtProtectedService", `{"spec": {"upstream": {"url": "http://example.com/a", "path": "/b"}}}`, "spec.upstream.path", "use one of them"},
		{"upstream path without slash", "JwtProtectedService", `{"spec": {"upstream": {"path": "b"}}}`, "spec.upstream.path", "must begin with /"},
		{"upstream path with an empty segment", "JwtProtectedService", `{"spec": {"upstream": {"path": "/a//b"}}}`, "spec.upstream.path", "empty segments"},
		{"upstream path that has to be percent-encoded", "JwtProtectedService", `{"spec": {"upstream": {"path": "/a|b"}}}`, "spec.upstream.path", "percent-encode"},
		{"tlsVerify without TLS", "JwtProtectedService", `{"spec": {"upstream": {"tlsVerify": true}}}`, "spec.upstream.tlsVerify", "https only"},
		{"tlsVerifyDepth without TLS", "JwtProtectedService", `{"spec": {"upstream": {"tlsVerifyDepth": 1}}}`, "spec.upstream.tlsVerifyDepth", "https only"},
		{"path that is percent-encoded without need", "JwtProtectedService", route(`"paths": ["/a%20b"]`), "spec.routes[0].paths[0]", "a space for %20"},
		{"path that is percent-encoded in small letters", "JwtProtectedService", route(`"paths": ["/a%2fb"]`), "spec.routes[0].paths[0]", "capital letters"},
		{"path with a % alone", "JwtProtectedService", route(`"paths": ["/a%"]`), "spec.routes[0].paths[0]", "normalized form"},
		{"path with dots", "JwtProtectedService", route(`"paths": ["/a/../b"]`), "spec.routes[0].paths[0]", "leave . and .. out"},
		{"path with a line break", "JwtProtectedService", route(`"paths": ["/a\nb"]`), "spec.routes[0].paths[0]", "control characters"},
		{"bad host", "JwtProtectedService", route(`"hosts": ["*.*.example.com"]`), "spec.routes[0].hosts[0]", "*.example.com"},
		{"SNI that is an address", "JwtProtectedService", route(`"snis": ["10.0.0.1"], "protocols": ["https"]`), "spec.routes[0].snis[0]", "no address"},
		{"snis without protocols", "JwtProtectedService", route(`"snis": ["a.example.com"]`), "spec.routes[0].snis", "set protocols"},
		{"snis with empty protocols", "JwtProtectedService", route(`"snis": ["a.example.com"], "protocols": []`), "spec.routes[0].snis", "set protocols"},
		{"methods on grpc", "JwtProtectedService", route(`"paths": ["/a"], "methods": ["GET"], "protocols": ["grpc"]`), "spec.routes[0].protocols", "neither methods"},
		{"a comma in an access group", "JwtProtectedService", `{"spec": {"access": {"groups": ["a,b"]}}}`, "spec.access.groups[0]", "no comma"},

		{"claims without a check", "JwtProtectedService", checks(`"explainToClient": true`), "spec.claims", "nothing is checked"},
		{"clockSkew alone", "JwtProtectedService", checks(`"issuers": ["i"], "clockSkew": "1s"`), "spec.claims.clockSkew", "goes with notIssuedInFuture"},
		{"a clock that is far off", "JwtProtectedService", checks(`"notIssuedInFuture": true, "clockSkew": "1h"`), "spec.claims.clockSkew", "0s to 10m"},
		{"a header of two claims", "JwtProtectedService", checks(`"headers": [{"claim": "a", "header": "X-Token-A"}, {"claim": "b", "header": "x-token-a"}]`), "spec.claims.headers", "of one claim"},
		{"a header with _", "JwtProtectedService", checks(`"headers": [{"claim": "a", "header": "X_Token_A"}]`), "spec.claims.headers[0].header", "no _"},
		{"no path to a claim", "JwtProtectedService", checks(`"headers": [{"claim": "a..b", "header": "X-Token-A"}]`), "spec.claims.headers[0].claim", "the name of a claim"},
		{"no path to a required claim", "JwtProtectedService", checks(`"required": [{"claim": "[\"a]", "contains": "x"}]`), "spec.claims.required[0].claim", "the name of a claim"},
		{"a required claim of which nothing is said", "JwtProtectedService", checks(`"required": [{"claim": "a"}]`), "spec.claims.required[0]", "at least 2"},
		{"a required claim of which two things are said", "JwtProtectedService", checks(`"required": [{"claim": "a", "contains": "x", "in": ["y"]}]`), "spec.claims.required[0]", "at most 2"},

		{"key twice", "JwtConsumer", credential(`"key": "k", "secretRef": {"name": "s", "dataKeys": {"key": "k"}}`), "spec.credentials[0].key", "not from both"},
		{"privateKey on HMAC", "JwtConsumer", credential(`"secretRef": {"name": "s", "dataKeys": {"privateKey": "x"}}`), "spec.credentials[0].secretRef.dataKeys", "HMAC"},
		{"routes with attachTo", "JwtProtectedService", `{"spec": {"upstream": null, "attachTo": {"serviceName": "x"}}}`, "spec.routes", "somebody else's"},
		{"serviceName with attachTo", "JwtProtectedService", `{"spec": {"upstream": null, "routes": null, "serviceName": "a", "attachTo": {"serviceName": "x"}}}`, "spec.serviceName", "name the service there"},
		{"attachTo two objects", "JwtProtectedService", `{"spec": {"upstream": null, "routes": null, "attachTo": {"service": "x", "ingress": "y"}}}`, "spec.attachTo", "set exactly one of"},
		{"attachTo nothing", "JwtProtectedService", `{"spec": {"upstream": null, "routes": null, "attachTo": {}}}`, "spec.attachTo", "set exactly one of"},
		{"attachTo both", "JwtProtectedService", `{"spec": {"upstream": null, "routes": null, "attachTo": {"serviceName": "x", "routeName": "y"}}}`, "spec.attachTo", "exactly one of serviceName and routeName"},
		{"second above minute", "JwtProtectedService", `{"spec": {"rateLimit": {"second": 2, "minute": 1}}}`, "spec.rateLimit.second", "longer time"},
		{"second above year", "JwtProtectedService", `{"spec": {"rateLimit": {"second": 2, "year": 1}}}`, "spec.rateLimit.second", "longer time"},
		{"hour above day", "JwtProtectedService", `{"spec": {"rateLimit": {"hour": 2, "day": 1}}}`, "spec.rateLimit.hour", "longer time"},
		{"day above month", "JwtProtectedService", `{"spec": {"rateLimit": {"day": 2, "month": 1}}}`, "spec.rateLimit.day", "longer time"},
		{"month above year", "JwtProtectedService", `{"spec": {"rateLimit": {"month": 2, "year": 1}}}`, "spec.rateLimit.month", "longer time"},
		{"namespaces without a selector", "JwtProtectedService", `{"spec": {"access": {"groups": ["g"], "consumerNamespaces": ["a"]}}}`, "spec.access.consumerNamespaces", "goes with consumerSelector"},
		{"access group of ours", "JwtProtectedService", `{"spec": {"access": {"groups": ["kongjwt:a"]}}}`, "spec.access.groups[0]", "choose another"},
		{"tag of ours", "JwtProtectedService", `{"spec": {"tags": ["kongjwt"]}}`, "spec.tags[0]", "choose another"},
		{"long name", "KongGateway", `{"metadata": {"name": "` + strings.Repeat("x", 64) + `"}}`, wholeObject, "at most 63 characters"},
		{"bad header of the Admin API", "KongGateway", `{"spec": {"adminAPI": {"auth": {"header": "a b", "secretRef": {"namespace": "a", "name": "b", "key": "c"}}}}}`, "spec.adminAPI.auth.header", "letters, digits"},
		{"no data planes", "KongGateway", `{"spec": {"dataPlanes": {"tls": {}}}}`, "spec.dataPlanes", "exactly one of urls and serviceRef"},
		{"an empty list of data planes", "KongGateway", `{"spec": {"dataPlanes": {"urls": []}}}`, "spec.dataPlanes", "exactly one of urls and serviceRef"},
		{"an exception with empty lists", "KongGateway", `{"spec": {"policy": {"upstreams": {"allow": [{"cidrs": [], "hosts": []}]}}}}`, "spec.policy.upstreams.allow[0]", "set cidrs, hosts or both"},
		{"an empty list of audiences", "JwtProtectedService", checks(`"audiences": [], "notIssuedInFuture": true`), "spec.claims.audiences", "at least 1"},
		{"checks with empty lists", "JwtProtectedService", checks(`"required": [], "headers": []`), "spec.claims", "nothing is checked"},
		{"a port in the deny list", "KongGateway", `{"spec": {"policy": {"upstreams": {"deny": ["a.example.com:80"]}}}}`, "spec.policy.upstreams.deny[0]", "no port"},

		{"path in a data plane's URL", "KongGateway", `{"spec": {"dataPlanes": {"urls": ["https://kong.example.com/x"]}}}`, "spec.dataPlanes.urls[0]", "no path"},
		{"a network that is none", "KongGateway", `{"spec": {"policy": {"upstreams": {"deny": ["10.0.0.0/33"]}}}}`, "spec.policy.upstreams.deny[0]", "a network is an address"},
		{"ttl not above renewBefore", "JwtToken", `{"spec": {"ttl": "10m", "renewBefore": "10m"}}`, "spec.renewBefore", "below ttl"},
		{"no Admin API", "KongGateway", `{"spec": {"adminAPI": {"url": null, "workspace": "w"}}}`, "spec.adminAPI", "exactly one of url and serviceRef"},
		{"password in the proxy's URL", "KongGateway", `{"spec": {"egressProxy": {"url": "http://a:b@proxy.example.com:3128"}}}`, "spec.egressProxy.url", "credentials belong in credentialsSecretRef"},
		{"a port of the proxy that is none", "KongGateway", `{"spec": {"egressProxy": {"url": "http://proxy.example.com:70000"}}}`, "spec.egressProxy.url", "at most 65535"},
		{"several in one element of noProxy", "KongGateway", `{"spec": {"egressProxy": {"url": "http://proxy.example.com:3128", "noProxy": ["a.example.com,b.example.com"]}}}`, "spec.egressProxy.noProxy[0]", "element of its own"},
		{"password in the URL", "KongGateway", `{"spec": {"adminAPI": {"url": "http://a:b@kong"}}}`, "spec.adminAPI.url", "credentials belong in auth"},
		{"selector without from", "KongGateway", `{"spec": {"allowedNamespaces": {"selector": {}}}}`, "spec.allowedNamespaces", "from: Selector"},
		{"two kinds of Kong", "KongGateway", `{"spec": {"ingressController": {"className": "kong"}}}`, "spec", "exactly one of adminAPI and ingressController"},
		{"no Kong", "KongGateway", `{"spec": {"adminAPI": null, "suspend": true}}`, "spec", "exactly one of adminAPI and ingressController"},
		{"adoption from an ingress controller", "KongGateway", controlled(`"adoption": "Unowned"`), "spec.adoption", "nothing to adopt"},
		{"drift that an ingress controller reports", "KongGateway", controlled(`"drift": {"policy": "Report"}`), "spec.drift", "by itself"},
		{"what an ingress controller shall retain", "KongGateway", controlled(`"policy": {"retain": true}`), "spec.policy", "nothing can be retained"},
		{"Lua allowed", "KongGateway", `{"spec": {"policy": {"plugins": ["pre-function"]}}}`, "spec.policy.plugins", "Lua"},
	}
}

func TestRefusedAtApply(t *testing.T) {
	kube := newClient(t)
	for kind := range valid {
		t.Run(kind+" is valid before it is spoiled", func(t *testing.T) {
			if err := kube.Create(t.Context(), object(t, kind, "{}")); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, r := range refusals() {
		t.Run(r.kind+" "+r.name, func(t *testing.T) {
			wantRefused(t, kube.Create(t.Context(), object(t, r.kind, r.patch)), r.field, r.says)
		})
	}
}

func TestRefusedAtChange(t *testing.T) {
	kube := newClient(t)
	for _, r := range changes() {
		t.Run(r.kind+" "+r.name, func(t *testing.T) {
			o := object(t, r.kind, r.from)
			if err := kube.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, kube.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(r.patch))), r.field, r.says)
		})
	}
}

// serving is the API server of all tests here. Each makes objects with names of their own.
var serving *rest.Config

func TestMain(m *testing.M) {
	var stop func() error
	var err error
	if serving, stop, err = testenv.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "start an API server:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
		code = 1
	}
	os.Exit(code)
}

func newClient(t *testing.T) client.Client {
	t.Helper()
	kube, err := client.New(serving, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return kube
}

// object makes a valid object of a kind with a patch over it.
func object(t *testing.T, kind, patch string) *unstructured.Unstructured {
	t.Helper()
	var base, over map[string]any
	for text, into := range map[string]*map[string]any{valid[kind]: &base, patch: &over} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	merge(base, over)
	o := &unstructured.Unstructured{Object: base}
	o.SetAPIVersion("kongjwt.dev/v1alpha1")
	o.SetKind(kind)
	o.SetGenerateName("t-")
	if kind != "KongGateway" {
		o.SetNamespace("default")
	}
	return o
}

func merge(base, over map[string]any) {
	for name, value := range over {
		inner, isObject := value.(map[string]any)
		former, wasObject := base[name].(map[string]any)
		switch {
		case value == nil:
			delete(base, name)
		case isObject && wasObject:
			merge(former, inner)
		default:
			base[name] = value
		}
	}
}

func wantRefused(t *testing.T, err error, field, says string) {
	t.Helper()
	if !apierrors.IsInvalid(err) {
		t.Fatalf("got %v, want the object to be refused as invalid", err)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("got %T, which has no status", err)
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == field && strings.Contains(cause.Message, says) {
			return
		}
	}
	t.Errorf("got %v, want a cause at %s that says %q", err, field, says)
}
