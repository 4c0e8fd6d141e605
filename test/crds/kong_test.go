package crds

import (
	"encoding/json"
	"strings"
	"testing"
)

// kongField is a string field that Kong checks by rules of its own: what a
// Kong 3.9.3 takes has to be taken here, and what it refuses (or what is of no
// use with it) is refused at apply, with the field and the remedy.
type kongField struct {
	kind string
	// patch is merged over the valid object; % stands for the value, quoted.
	patch, field string
	taken        []string
	refused      []refusedValue
}

type refusedValue struct{ value, says string }

// long is as long as a field may be: rules that count characters see it too.
func long(prefix string, length int) string {
	return prefix + strings.Repeat("x", length-len(prefix))
}

func kongFields() []kongField {
	return []kongField{serviceNames(), attachedServices(), attachedRoutes(), upstreamURLs(), upstreamPaths(), routePaths(), routeHosts(),
		routeSNIs(), routeMethods(), redisHosts(), redisServerNames(), usernames(), customIDs(), keys(), groups(), tags(), keySetURLs(), adminURLs(), proxyURLs()}
}

var (
	names     = []string{"a", "a.b", "a~b", "-", "~", "..", "é", "日本", long("", 255)}
	badNames  = []string{"a b", "a/b", "a:b", "a,b", "a@b", "a%b", "a(b)", "a+b", "a\x7fb", "a\nb"}
	usersOwn  = []string{"a b", "a/b", "é", "%", "?", "#", " ", "a:b", long("", 255)}
	unprinted = []refusedValue{{"a\tb", "control characters"}, {"a\nb", "control characters"}, {"\x7f", "control characters"}}
)

func refusedAll(values []string, says string) []refusedValue {
	var out []refusedValue
	for _, value := range values {
		out = append(out, refusedValue{value, says})
	}
	return out
}

func serviceNames() kongField {
	return kongField{"JwtProtectedService", `{"spec": {"serviceName": %}}`, "spec.serviceName", append(names, uuidName), refusedAll(badNames, "replace other characters")}
}

func attachedServices() kongField {
	return kongField{"JwtProtectedService", `{"spec": {"upstream": null, "routes": null, "attachTo": {"serviceName": %}}}`, "spec.attachTo.serviceName",
		names, append(refusedAll(badNames, "write it as it is in Kong"), refusedValue{uuidName, "UUID"})}
}

func attachedRoutes() kongField {
	return kongField{"JwtProtectedService", `{"spec": {"upstream": null, "routes": null, "attachTo": {"routeName": %}}}`, "spec.attachTo.routeName",
		names, append(refusedAll(badNames, "write it as it is in Kong"), refusedValue{uuidName, "UUID"})}
}

func upstreamURLs() kongField {
	taken := []string{"http://a:65535", "http://a:00080", "http://[::1]", "http://[::1]:80", "http://a_b.invalid", "http://-a", "http://a.-b",
		"http://a.", "http://_", "http://1a", "http://1-2", "http://1.2.3.a", "http://01.2.3.4", "http://A.B", "https://a/", "https://a/b/", "http://a/../b", "http://a/%c3%a9",
		"http://a/b;c=d", "http://a/b'c", "http://a/b:c@d", "grpc://a", "grpcs://a:443", long("http://a/", 2048)}
	refused := refusedAll([]string{"HTTP://a.b", "http:///x", "http://a b", "http://a..b", "http://.a.b", "http://*.ab", "http://a!b", "http://a%41", "http://a+b", "http://é.de",
		"http://ab-", "http://a-.b", "http://a.b-.", "http://--", "http://ab:", "http://a:80a", "http://::1", "http://[::g]", "http://[::1", "http://a:80:90"}, "such as http://my-api")
	// Kong takes port 0. Nothing listens there.
	refused = append(refused, refusedAll([]string{"http://a:0", "http://a:000/x", "http://a:65536", "http://a:99999/x", "http://[::1]:70000"}, "from 1 to 65535")...)
	refused = append(refused, refusedAll([]string{"http://1", "http://1.2.3", "http://300.1.1.1", "http://1.2.3.4.", "http://256.1.1.1:80/x"}, "no IPv4 address")...)
	refused = append(refused, refusedAll([]string{"http://a/b c", "http://a/b|c", "http://a/é", "http://a/{x}", "http://a/%zz", "http://a/%2", "http://a/b\nc"}, "RFC 3986")...)
	return kongField{"JwtProtectedService", `{"spec": {"upstream": {"url": %}}}`, "spec.upstream.url", taken,
		append(refused, refusedAll([]string{"http://a//", "http://a//b", "http://a/b//c"}, "empty segments")...)}
}

func upstreamPaths() kongField {
	return kongField{"JwtProtectedService", `{"spec": {"upstream": {"path": %}}}`, "spec.upstream.path",
		[]string{"/", "/a/", "/a;b=c", "/a'b", "/a:b@c", "/~a", "/%20", "/%2f", "/%41", "/a/../b", long("/", 1024)},
		refusedAll([]string{"/a b", "/a|b", "/é", "/{x}", "/a[b]", "/a\"b", "/a\\b", "/%zz", "/a%", "/a?b", "/a#b"}, "RFC 3986")}
}

func routePaths() kongField {
	taken := []string{"/", "/a/", "/a b", "/a|b", "/é", "/a'b", "/{x}", "/a[b]", "/a?b", "/a#b", "/a\\b", "/a\"b", "/a*", "/(a)", "/a+b", "/.a", "/...", "/a..b",
		"/%21", "/%23", "/%24", "/%25", "/%26", "/%27", "/%28", "/%29", "/%2A", "/%2B", "/%2C", "/%2F", "/%3A", "/%3B", "/%3D", "/%3F", "/%40", "/%5B", "/%5D",
		"~/", "~/a", "~/a b", "~/é", `~/a(?<x>\d+)$`, "~/a|b", "~/(?i)a", "~/a?b", "~/a#b", "~/%20", "~/../a", "~/a/{2}", "/a|b^c<d>", "/a?b#c", "/a%2Fb%3A", "/.hidden/..x", "~/a%20b|/x", `~/v\d+$`, long("/", 1024)}
	refused := append(refusedAll([]string{"a", "~", "~a", "*"}, "must begin with /"), refusedValue{"", "at least 1"})
	refused = append(refused, refusedAll([]string{"/..", "/.", "/a/../b", "/a/./b", "/a/.."}, "leave . and .. out")...)
	refused = append(refused, refusedAll([]string{"/%zz", "/%2", "/a%", "/%20", "/%2f", "/%3f", "/%41", "/%7E", "/%2E", "/%00", "/%0A", "/%22", "/%5C", "/%7C", "/%C3%A9"}, "such as %2F")...)
	// Kong takes control characters in a path. No request's path has them.
	return kongField{"JwtProtectedService", route(`"paths": [%]`), "spec.routes[0].paths[0]", taken, append(refused, unprintedPaths()...)}
}

func unprintedPaths() []refusedValue {
	return refusedAll([]string{"/a\tb", "/a\nb", "~/a\x01b", "/\x7f"}, "control characters")
}

func routeHosts() kongField {
	taken := []string{"a", "a.b", "*.a", "*.a.b.c", "*.a.", "a.*", "a.b.*", "1.*", "1.2.*", "*.1", "*.1.2.3.4", "A.B", "a_b", "_", "-a", "-a.b", "a.-b", "a.", "a:80", "a:0", "a:65535", "a:00080",
		"a.:80", "*.a:80", "1.2.3.4", "1.2.3.4:80", "01.2.3.4", "1a", "1-2", "1.2.3.a", "[::1]", "[::1]:80", "xn--e1.de", long("", 253)}
	refused := refusedAll([]string{"*", "*.*", "*.a.*", "a.*.b", "*a", "a*", "a-", "a-.b", "a.b-", "-", "-.a", "a..b", ".a", "*..a", "*.a-", "a-.*", "a..*", "a.*:80", "a:", "a:b",
		"a-:80", "é.de", "a b", "a/b", "[::g]", "[::1"}, "such as api.example.com")
	refused = append(refused, refusedAll([]string{"a:65536", "*.a:65536", "1.2.3.4:65536", "[::1]:65536"}, "at most 65535")...)
	return kongField{"JwtProtectedService", route(`"hosts": [%]`), "spec.routes[0].hosts[0]", taken,
		append(refused, refusedAll([]string{"1", "1.2", "1.2.3", "300", "999.1.1.1", "256.1.1.1", "1.2.3.4.", "1.2.3:80"}, "no IPv4 address")...)}
}

func routeSNIs() kongField {
	return kongField{"JwtProtectedService", route(`"protocols": ["https"], "snis": [%]`), "spec.routes[0].snis[0]",
		[]string{"a", "a.b", "*.a", "a.*", "*", "a_b", "-a", "a.", "A.B", "1a", "*.1", "1.*", "*.a.", long("", 253)},
		append(refusedAll([]string{"*.*", "*.a.*", "a.*.b", "a:80", "::1", "a..b", ".a", "a-", "a-.b", "*.a-", "a b", "-"}, "such as api.example.com"),
			refusedAll([]string{"1", "1.2.3", "1.2.3.4", "999.1.1.1"}, "no address")...)}
}

func routeMethods() kongField {
	return kongField{"JwtProtectedService", route(`"methods": [%]`), "spec.routes[0].methods[0]",
		[]string{"GET", "FOO", "CONNECT", "TRACE"}, refusedAll([]string{"get", "Get", "FOO-BAR", "M-SEARCH", "X1", "A_B"}, "capital letters")}
}

func redisHosts() kongField {
	return kongField{"KongGateway", `{"spec": {"policy": {"redis": [{"name": "r", "host": %}]}}}`, "spec.policy.redis[0].host",
		[]string{"a", "a.b", "-a", "1.2.3.4", "::1", "[::1]", long("", 253)},
		append(refusedAll([]string{"a b", "a:80", "a..b", ".a", "a-"}, "the port has a field"), refusedValue{"1.2.3", "no IPv4 address"})}
}

func redisServerNames() kongField {
	return kongField{"KongGateway", `{"spec": {"policy": {"redis": [{"name": "r", "host": "a", "serverName": %}]}}}`,
		"spec.policy.redis[0].serverName", []string{"a", "a.b", ""},
		refusedAll([]string{"a b", "a..b", "a:80", "*.a", "1.2.3", "1.2.3.4"}, "neither an address nor a port")}
}

func usernames() kongField {
	return kongField{"JwtConsumer", `{"spec": {"username": %}}`, "spec.username", append(usersOwn, uuidName), unprinted}
}

func customIDs() kongField {
	return kongField{"JwtConsumer", `{"spec": {"customID": %}}`, "spec.customID", usersOwn, unprinted}
}

func keys() kongField {
	return kongField{"JwtConsumer", credential(`"key": %, "secretRef": {"name": "s"}`), "spec.credentials[0].key", append(usersOwn, uuidName), unprinted}
}

func groups() kongField {
	// Kong takes a comma in a group. Upstreams then cannot tell it from two groups.
	return kongField{"JwtConsumer", `{"spec": {"groups": [%]}}`, "spec.groups[0]", usersOwn,
		refusedAll([]string{"a,b", "a\nb"}, "no comma and no control character")}
}

func tags() kongField {
	return kongField{"JwtConsumer", `{"spec": {"tags": [%]}}`, "spec.tags[0]", []string{"a", "a b", "é", "日本", " ", "a:b", "a\"b", long("", 128)},
		refusedAll([]string{"a,b", "a/b", "a\tb", "a\nb", "\x7f"}, "no comma, no slash")}
}

func keySetURLs() kongField {
	return kongField{"JwtConsumer", credential(`"jwks": {"url": %}`), "spec.credentials[0].jwks.url",
		[]string{"https://i.example.com/jwks?a=b", "http://i:8080/", "https://[::1]:8443/jwks", long("https://i/", 2048)},
		append(refusedAll([]string{"ftp://i.example.com", "https://i:0/", "https://i:/", "https://i:80a/", "https://i/#a", "https://a b/", "https://::1/"}, "must be a URL"), refusedValue{"https://i:65536/", "at most 65535"})}
}

func adminURLs() kongField {
	return kongField{"KongGateway", `{"spec": {"adminAPI": {"url": %}}}`, "spec.adminAPI.url",
		[]string{"http://kong:8001", "https://kong.example.com/admin", "http://[::1]:8001", long("http://k/", 2048)},
		append(refusedAll([]string{"grpc://kong", "http://kong:0", "http://kong:", "http://kong?a=b", "http://kong#a"}, "credentials belong in auth"), refusedValue{"http://kong:65536", "at most 65535"})}
}

func proxyURLs() kongField {
	return kongField{"KongGateway", `{"spec": {"dataPlanes": {"urls": [%]}}}`, "spec.dataPlanes.urls[0]",
		[]string{"http://kong:8000", "https://kong.example.com/", "http://[::1]:8000"},
		append(refusedAll([]string{"http://kong:0", "http://kong:", "http://kong/a"}, "no path"), refusedValue{"http://kong:65536", "at most 65535"})}
}

func TestTakesWhatKongTakesAndRefusesTheRest(t *testing.T) {
	kube := newClient(t)
	for _, f := range kongFields() {
		t.Run(f.kind+" "+f.field, func(t *testing.T) {
			for _, value := range f.taken {
				if err := kube.Create(t.Context(), object(t, f.kind, f.with(t, value))); err != nil {
					t.Errorf("%.60q was refused: %v", value, err)
				}
			}
			for _, r := range f.refused {
				t.Run(r.value, func(t *testing.T) {
					wantRefused(t, kube.Create(t.Context(), object(t, f.kind, f.with(t, r.value))), f.field, r.says)
				})
			}
		})
	}
}

func (f kongField) with(t *testing.T, value string) string {
	t.Helper()
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(f.patch, "%", string(quoted))
}

// Of a grpc route Kong refuses methods and strip_path: true, and takes strip_path: false.
func TestTakesAGRPCRouteThatStripsNothing(t *testing.T) {
	kube := newClient(t)
	grpc := func(strip string) string {
		return route(`"paths": ["/a"], "protocols": ["grpc", "grpcs"], "stripPath": ` + strip)
	}
	if err := kube.Create(t.Context(), object(t, "JwtProtectedService", grpc("false"))); err != nil {
		t.Error(err)
	}
	wantRefused(t, kube.Create(t.Context(), object(t, "JwtProtectedService", grpc("true"))), "spec.routes[0].protocols", "remove them")
}
