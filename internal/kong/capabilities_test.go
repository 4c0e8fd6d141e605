package kong

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// recordedSchemas are the answers of a real Kong to GET /schemas/..., by path.
func recordedSchemas(t *testing.T, version string) map[string]json.RawMessage {
	t.Helper()
	content, err := os.ReadFile("../kongsim/schema/recorded/" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Entities, Plugins map[string]json.RawMessage }
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	byPath := map[string]json.RawMessage{}
	for name, schema := range file.Entities {
		byPath["/schemas/"+name] = schema
	}
	for name, schema := range file.Plugins {
		byPath["/schemas/plugins/"+name] = schema
	}
	return byPath
}

// schemasOf reads them as Capabilities does.
func schemasOf(t *testing.T, version string) Schemas {
	t.Helper()
	recorded := recordedSchemas(t, version)
	credential, err := ParseEntitySchema(recorded["/schemas/jwt_secrets"])
	if err != nil {
		t.Fatal(err)
	}
	plugin := func(name string) *Schema {
		schema, err := ParseSchema(name, recorded["/schemas/plugins/"+name])
		if err != nil {
			t.Fatal(err)
		}
		return &schema
	}
	return Schemas{Credential: &credential, JWT: plugin("jwt"), RateLimiting: plugin("rate-limiting")}
}

// TestCapabilities: what the schemas of a real Kong say is what its version says.
func TestCapabilities(t *testing.T) {
	for version, want := range map[string]struct {
		es512, realm, flat bool
	}{
		"3.4.2": {false, false, true},
		"3.9.3": {true, true, false},
	} {
		node := Node{Version: version, Edition: "community", Plugins: map[string]bool{"jwt": true, "acl": true}}
		for source, schemas := range map[string]Schemas{"schemas": schemasOf(t, version), "version": {}} {
			c := CapabilitiesOf(node, schemas)
			if c.TakesAlgorithm("ES512") != want.es512 || c.TakesJWTOption("realm") != want.realm || c.FlatRedis != want.flat {
				t.Errorf("%s by its %s: %+v", version, source, c)
			}
			if !c.TakesAlgorithm("RS256") || !c.TakesJWTOption("anonymous") || c.TakesAlgorithm("none") {
				t.Errorf("%s by its %s: %+v", version, source, c)
			}
		}
		byVersion, bySchema := CapabilitiesOf(node, Schemas{}), CapabilitiesOf(node, schemasOf(t, version))
		for _, lists := range [][2][]string{{byVersion.Algorithms, bySchema.Algorithms}, {byVersion.JWTOptions, bySchema.JWTOptions}} {
			if !reflect.DeepEqual(slices.Sorted(slices.Values(lists[0])), slices.Sorted(slices.Values(lists[1]))) {
				t.Errorf("%s: %v by its version, %v by its schemas", version, lists[0], lists[1])
			}
		}
	}
	for version, flat := range map[string]bool{"2.8.4": true, "3.5.0": true, "3.6.1": false, "3.14.0.1": false, "": false, "next": false} {
		if c := CapabilitiesOf(Node{Version: version}, Schemas{}); c.FlatRedis != flat {
			t.Errorf("%q: %+v", version, c)
		}
	}
	if (Capabilities{}).FlatRedis || !(Capabilities{}).TakesAlgorithm("EdDSA") || !(Capabilities{}).HasPlugin("jwt") {
		t.Error("the zero value is not the newest Kong")
	}
}

func TestKindsFollowThePlugins(t *testing.T) {
	for plugins, want := range map[string][]Kind{
		"jwt,acl": {KindConsumer, KindJWT, KindACL, KindService, KindRoute, KindPlugin},
		"jwt":     {KindConsumer, KindJWT, KindService, KindRoute, KindPlugin},
		"acl":     {KindConsumer, KindACL, KindService, KindRoute, KindPlugin},
	} {
		node := Node{Version: "3.9.3", Plugins: map[string]bool{}}
		for name := range strings.SplitSeq(plugins, ",") {
			node.Plugins[name] = true
		}
		if got := CapabilitiesOf(node, Schemas{}).Kinds(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", plugins, got)
		}
	}
	if got := CapabilitiesOf(Node{Plugins: map[string]bool{}}, Schemas{}); got.HasPlugin("jwt") {
		t.Error("a node without plugins has one")
	}
}

func TestCapabilitiesAreRead(t *testing.T) {
	recorded := recordedSchemas(t, "3.4.2")
	delete(recorded, "/schemas/plugins/rate-limiting") // not installed
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, found := recorded[r.URL.Path]
		if !found {
			w.WriteHeader(http.StatusNotFound)
			body = json.RawMessage(`{"message":"Not found"}`)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	client, err := New(Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Capabilities(t.Context(), Node{Version: "3.4.2"})
	if err != nil || c.TakesAlgorithm("PS256") || !c.TakesAlgorithm("ES384") || c.TakesJWTOption("realm") || !c.FlatRedis {
		t.Errorf("%v %+v", err, c)
	}
	server.Close()
	if _, err := client.Capabilities(t.Context(), Node{}); err == nil {
		t.Error("a gateway that is away has capabilities")
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"3.4.2": {3, 4}, "3.10.0.1": {3, 10}, "2.8.4.7-enterprise-edition": {2, 8}, "3.9": {3, 9}, "4.0-rc1": {4, 0},
		"": {}, "x.y": {}, "3": {}, "-1.2": {},
	} {
		if got := ParseVersion(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if !ParseVersion("3.10.0").AtLeast(Version{3, 9}) || ParseVersion("3.9.3").AtLeast(Version{3, 10}) || !(Version{}).AtLeast(Version{9, 9}) {
		t.Error("versions are out of order")
	}
}
