package kong

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var written = regexp.MustCompile(`^/(consumers|services|routes|plugins)(/[^/]+)?(/(jwt|acls|routes|plugins)(/[^/]+)?)?$`)

// writtenKind is the kind of entity that a write to the path makes, and the parent in the path.
func writtenKind(path string) (Kind, string, bool) {
	match := written.FindStringSubmatch(path)
	if match == nil {
		return "", "", false
	}
	switch match[4] {
	case "":
		return Kind(match[1]), "", true
	case "jwt":
		return KindJWT, strings.TrimPrefix(match[2], "/"), true
	case "acls":
		return KindACL, strings.TrimPrefix(match[2], "/"), true
	}
	return "", "", false // a route or plugin below its parent: we do not write so
}

// Whatever a real Kong took, it answered with something that is the same to us.
func TestCanonicalOfSentIsThatOfAnswered(t *testing.T) {
	schemas := testSchemas(t)
	checked := map[Kind]int{}
	for _, pattern := range []string{"admin-*.json", "proxy-*.json"} {
		for _, s := range recordedSteps(t, pattern) {
			kind, parent, ok := writtenKind(s.Request.Path)
			if !ok || s.Request.Method != "PUT" || s.Request.JSON == nil || s.Response.Status != 200 {
				continue
			}
			answered := newEntity(kind, object(t, s.Response.JSON))
			sent := Entity{Kind: kind, ID: answered.ID, ConsumerID: parent, Fields: s.Request.JSON}
			if kind == KindJWT && answered.Fields.Text("secret") == "<generated>" {
				// Kong makes up what was not sent.
				sent.Fields["secret"] = "<generated>"
			}
			if byName := s.Request.Path == "/consumers/by-name" || s.Request.Path == "/services/by-name" || strings.HasSuffix(s.Request.Path, "/user-issuer"); byName {
				continue // the name is in the path, and we never write so
			}
			if kind == KindPlugin {
				if _, known := schemas(sent.Fields.Text("name")); !known {
					t.Errorf("%s: no schema of %s", s.title(), sent.Fields.Text("name"))
				}
			}
			checked[kind]++
			if a, b := Canonical(sent, Known{Plugins: schemas}), Canonical(answered, Known{Plugins: schemas}); !bytes.Equal(a, b) {
				t.Errorf("%s:\nsent     %s\nanswered %s", s.title(), a, b)
			}
		}
	}
	for _, kind := range Kinds() {
		if checked[kind] == 0 {
			t.Errorf("no recorded PUT of a %s", kind.Singular())
		}
	}
	t.Log(checked)
}

// The normalised configuration is not only equal on both sides: it is what Kong answers, in value.
func TestNormalizeOfSentIsWhatKongAnswers(t *testing.T) {
	schemas := testSchemas(t)
	checked := 0
	for _, pattern := range []string{"admin-*.json", "proxy-*.json"} {
		for _, s := range recordedSteps(t, pattern) {
			if !strings.HasPrefix(s.Request.Path, "/plugins/") || s.Request.Method != "PUT" || s.Response.Status != 200 {
				continue
			}
			schema, _ := schemas(Fields(s.Request.JSON).Text("name"))
			config, _ := s.Request.JSON["config"].(map[string]any)
			sent, err := schema.Normalize(config)
			if err != nil {
				t.Fatalf("%s: %v", s.title(), err)
			}
			answered := object(t, s.Response.JSON)["config"].(map[string]any)
			if len(sent) != len(answered) {
				t.Errorf("%s: %d fields, Kong has %d", s.title(), len(sent), len(answered))
			}
			normal, err := schema.Normalize(answered)
			if err != nil {
				t.Fatalf("%s: %v", s.title(), err)
			}
			if !reflect.DeepEqual(sent, normal) {
				t.Errorf("%s:\nsent     %v\nanswered %v", s.title(), sent, normal)
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("only %d recorded plugins", checked)
	}
}

func TestCanonicalTellsAndDoesNotTell(t *testing.T) {
	schemas := testSchemas(t)
	service := Fields{"name": "s", "host": "h"}
	jwt := Fields{"key": "k", "algorithm": "HS256", "secret": "one"}
	rs := Fields{"key": "k", "algorithm": "RS256", "rsa_public_key": "pem"}
	route := Fields{"name": "r", "paths": []string{"/a", "/b"}}
	plugin := Fields{"name": "jwt", "service": map[string]any{"id": "s"}}
	cases := []struct {
		name string
		kind Kind
		a, b Fields
		same bool
	}{
		{"a default", KindService, service, with(service, "port", 80), true},
		{"another port", KindService, service, with(service, "port", 81), false},
		{"a field that we do not manage", KindService, service, with(service, "tls_sans", []string{"x"}), true},
		{"null for a field without a default", KindService, service, with(service, "path", nil), true},
		{"null for a field that keeps it", KindService, service, with(service, "retries", nil), false},
		{"null for a required field", KindService, service, with(service, "port", nil), true},
		{"a number of another type", KindService, with(service, "port", 8443), with(service, "port", json.Number("8443")), true},
		{"no tags and an empty set of them", KindService, service, with(service, "tags", []string{}), true},
		{"tags in another order, one twice", KindService, with(service, "tags", []string{"a", "b"}), with(service, "tags", []any{"b", "a", "b"}), true},
		{"other tags", KindService, with(service, "tags", []string{"a"}), with(service, "tags", []string{"b"}), false},
		{"a url", KindService, Fields{"name": "s", "url": "https://h/base"}, Fields{"name": "s", "host": "h", "protocol": "https", "port": 443, "path": "/base"}, true},
		{"another secret", KindJWT, jwt, with(jwt, "secret", "two"), false},
		{"the default algorithm", KindJWT, jwt, Fields{"key": "k", "secret": "one"}, true},
		{"a secret that is never used", KindJWT, rs, with(rs, "secret", "generated"), true},
		{"a line end after the PEM", KindJWT, rs, with(rs, "rsa_public_key", "pem\r\n"), true},
		{"another PEM", KindJWT, rs, with(rs, "rsa_public_key", "mep"), false},
		{"methods in another order", KindRoute, with(route, "methods", []string{"GET", "PUT"}), with(route, "methods", []string{"PUT", "GET"}), true},
		{"paths in another order", KindRoute, route, with(route, "paths", []string{"/b", "/a"}), false},
		{"a route's stripping", KindRoute, route, with(route, "strip_path", true), true},
		{"a gRPC route's stripping", KindRoute, with(route, "protocols", []string{"grpc"}), with(with(route, "protocols", []string{"grpc"}), "strip_path", false), true},
		{"a reference with more than the id", KindPlugin, plugin, with(plugin, "service", map[string]any{"id": "s", "name": "n"}), true},
		{"another reference", KindPlugin, plugin, with(plugin, "service", map[string]any{"id": "r"}), false},
		{"a plugin's default", KindPlugin, plugin, with(plugin, "config", map[string]any{"key_claim_name": "iss"}), true},
		{"an empty set where the default is another", KindPlugin, plugin, with(plugin, "config", map[string]any{"uri_param_names": []string{}}), false},
		{"a field of the config that no schema knows", KindPlugin, plugin, with(plugin, "config", map[string]any{"new": 1}), false},
		{"a disabled plugin", KindPlugin, plugin, with(plugin, "enabled", false), false},
		{"a plugin's protocols", KindPlugin, plugin, with(plugin, "protocols", []string{"https", "http", "grpcs", "grpc"}), true},
		{"a value that is no JSON", KindConsumer, Fields{"username": "u"}, Fields{"username": make(chan int)}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := Canonical(Entity{Kind: c.kind, ID: "a", Fields: c.a}, Known{Plugins: schemas})
			b := Canonical(Entity{Kind: c.kind, ID: "a", Fields: c.b}, Known{Plugins: schemas})
			if same := bytes.Equal(a, b); same != c.same {
				t.Errorf("same is %v\n%s\n%s", same, a, b)
			}
		})
	}
}

func TestCanonicalTellsTheConsumer(t *testing.T) {
	a := Entity{Kind: KindACL, ConsumerID: "a", Fields: Fields{"group": "g"}}
	b := a
	b.ConsumerID = "b"
	if bytes.Equal(Canonical(a, Known{}), Canonical(b, Known{})) {
		t.Error("a group of another consumer is the same")
	}
}

func TestCanonicalLeavesTheEntityAlone(t *testing.T) {
	fields := Fields{"name": "acl", "tags": []any{"b", "a"}, "config": map[string]any{"allow": []any{"x"}}}
	before := fmt.Sprint(map[string]any(fields))
	Canonical(Entity{Kind: KindPlugin, Fields: fields}, Known{Plugins: testSchemas(t)})
	if after := fmt.Sprint(map[string]any(fields)); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

// with is a copy of the fields with one set.
func with(f Fields, name string, value any) Fields {
	out := Fields{name: value}
	for n, v := range f {
		if n != name {
			out[n] = v
		}
	}
	return out
}
