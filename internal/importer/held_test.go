package importer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

// taken fails where the API server would refuse what was made.
func taken(t interface {
	Errorf(string, ...any)
	Fatal(...any)
}, result importer.Result,
) {
	var resources []v1alpha1.Resource
	for _, c := range result.Consumers {
		resources = append(resources, c)
	}
	for _, s := range result.Services {
		resources = append(resources, s)
	}
	for _, r := range resources {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := schema.Check(context.Background(), r.KindName(), fields)
		if err != nil {
			t.Fatal(err)
		}
		if len(faults) > 0 {
			t.Errorf("%s %s would be refused: %v", r.KindName(), r.GetName(), faults)
		}
	}
}

// TestWhatRealKongsHold: what no resource takes is listed, and all else is imported.
func TestWhatRealKongsHold(t *testing.T) {
	for file, want := range map[string][]string{
		"consumers": {
			"consumer cust-17: it has a custom_id and no username",
			"jwt credential envy: its material, its value is in the environment variable DECK_JWT_SECRET of decK: make Secret shop/envy-primary",
			"jwt credential vaulted: its material, its value is in a vault of Kong's: make Secret shop/vaulted-primary",
			"jwt credential bare: its material, the file has none: make Secret shop/bare-primary",
		},
		"services": {
			"service manyroutes: the service and its routes stay as they are, and are nobody's: spec.routes: ",
			"service wss: the service and its routes stay as they are, and are nobody's: protocol wss",
			"plugin my_rewrite: on service customplugin: ",
			"service ipv6bare: the service and its routes stay as they are, and are nobody's: host: no URL has an IPv6 ",
			"plugin acl on manygroups: it is imported, and has to be in spec.policy.plugins",
			"plugin rate-limiting on limits: it is imported; list the Redis on redis.infra.svc in spec.policy.redis",
		},
	} {
		t.Run(file, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("testdata", file+".deck.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			entities, left, err := importer.ReadDeck(content)
			if err != nil {
				t.Fatal(err)
			}
			result := importer.Import(entities, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true})
			taken(t, result)
			var lines []string
			for _, l := range append(left, result.Left...) {
				lines = append(lines, l.What+": "+l.Why)
			}
			for _, beginning := range want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, beginning) }) {
					t.Errorf("%q is not in\n%s", beginning, strings.Join(lines, "\n"))
				}
			}
			for _, line := range lines {
				if strings.Contains(line, "..") || strings.Contains(line, "IPv4") ||
					strings.Contains(line, "on customplugin: it is imported") {
					t.Errorf("%q contradicts another, or is no sentence", line)
				}
			}
			for _, s := range result.Secrets {
				for _, value := range s.StringData {
					if value == "" || strings.Contains(value, "{{") || strings.Contains(value, "vault") {
						t.Errorf("Secret %s holds %q", s.Name, value)
					}
				}
			}
		})
	}
}

// TestPlaceholdersInOtherFields: decK's text is no value there either.
func TestPlaceholdersInOtherFields(t *testing.T) {
	entities, _, err := importer.ReadDeck([]byte(`
_format_version: "3.0"
consumers: [{username: a, jwt_secrets: [{key: '${{ env "DECK_KEY" }}', secret: x}]}]
services:
- name: s
  url: http://${{ env "DECK_HOST" }}/
  routes: [{name: s.r, paths: [/s]}]
  plugins: [{name: jwt}]
- name: t
  url: http://t.example.com
  plugins: [{name: jwt}, {name: http-log, config: {http_endpoint: 'http://${{ env "DECK_LOG" }}'}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	result := importer.Import(entities, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true})
	for _, name := range []string{"DECK_KEY", "DECK_HOST", "DECK_LOG"} {
		if !slices.ContainsFunc(result.Left, func(l importer.Left) bool {
			return strings.Contains(l.Why, "the environment variable "+name+" of decK")
		}) {
			t.Errorf("%s is not named in %v", name, result.Left)
		}
	}
	result.Left = nil
	if written, err := json.Marshal(result); err != nil || strings.Contains(string(written), "{{") {
		t.Errorf("it is written: %v\n%s", err, written)
	}
	if len(result.Services) != 1 || len(result.Consumers) != 1 {
		t.Errorf("%d services and %d consumers", len(result.Services), len(result.Consumers))
	}
}

// field is one of Kong's schemas.
type field struct {
	Type     string             `json:"type"`
	Required bool               `json:"required"`
	OneOf    []any              `json:"one_of"`
	Between  []float64          `json:"between"`
	Fields   []map[string]field `json:"fields"`
	Elements *field             `json:"elements"`
	Values   *field             `json:"values"`
	Auto     bool               `json:"auto"`
	UUID     bool               `json:"uuid"`
	Default  any                `json:"default"`
	LenMin   int                `json:"len_min"`
}

// texts are what people have in their Kongs, and some that nobody should.
var texts = []string{
	"a", "orders", "Upper.Case_svc", "40af65f4-2a40-4ab2-bb9d-bf1ee39ecab3", "team-a.x", "primary", "x.auth", "token[]", "get", "GET", "2001:db8::6",
	"[2001:db8::6]", "::1", "10.0.0.1", "*.example.com", "API.example.com.", "/x/*", "/a//b", "~/\\w+", "é", "a,b", "with space", "a/b", "kongjwt:x",
	`${{ env "X" }}`, "{vault://env/x}", strings.Repeat("long", 200), "\u0001", "HS256", "http", "wss", "redis", "local", "-", "default", "1",
}

func (f field) draw(t *rapid.T, label string) any {
	if len(f.OneOf) > 0 {
		return rapid.SampledFrom(f.OneOf).Draw(t, label)
	}
	switch f.Type {
	case "string":
		return rapid.SampledFrom(texts).Draw(t, label)
	case "integer", "number":
		low, high := -1.0, 1e9
		if len(f.Between) == 2 {
			low, high = f.Between[0], f.Between[1]
		}
		n := rapid.Float64Range(low, high).Draw(t, label)
		if f.Type == "number" {
			return n
		}
		return float64(int64(n))
	case "boolean":
		return rapid.Bool().Draw(t, label)
	case "array", "set":
		element := field{Type: "string"}
		if f.Elements != nil {
			element = *f.Elements
		}
		list := []any{}
		for i := range rapid.IntRange(0, rapid.SampledFrom([]int{2, 2, 2, 40}).Draw(t, label+" most")).Draw(t, label+" length") {
			list = append(list, element.draw(t, fmt.Sprint(label, i)))
		}
		return list
	case "map":
		all := map[string]any{}
		value := field{Type: "array"}
		if f.Values != nil {
			value = *f.Values
		}
		for i := range rapid.IntRange(0, 2).Draw(t, label+" length") {
			all[rapid.SampledFrom(texts).Draw(t, fmt.Sprint(label, i))] = value.draw(t, fmt.Sprint(label, i))
		}
		return all
	case "record":
		return drawFields(t, f.Fields, label)
	}
	return nil
}

func drawFields(t *rapid.T, fields []map[string]field, label string) map[string]any {
	all := map[string]any{}
	for _, one := range fields {
		for name, f := range one {
			if f.Auto || f.Type == "foreign" || f.Type == "function" {
				continue
			}
			if f.Required && f.Default == nil || rapid.IntRange(0, 3).Draw(t, label+name+" given") == 0 {
				all[name] = f.draw(t, label+name)
			} else if f.Default != nil {
				all[name] = f.Default
			}
		}
	}
	return all
}

// schemasOfKong reads the fields of entities and plugins, by name, from the schemas of a real Kong.
func schemasOfKong(t *testing.T) (entities, plugins map[string][]map[string]field) {
	t.Helper()
	content, err := os.ReadFile("../kongsim/schema/recorded/3.9.3.json")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Fields []map[string]field `json:"fields"`
	}
	var all struct{ Entities, Plugins map[string]schema }
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	fields := func(schemas map[string]schema) map[string][]map[string]field {
		found := map[string][]map[string]field{}
		for name, s := range schemas {
			found[name] = s.Fields
		}
		return found
	}
	return fields(all.Entities), fields(all.Plugins)
}

// TestWhatKongTakesIsTakenOrListed: of entities that are made from Kong's schemas, what is imported is what the API
// server takes, and nothing is lost without a word.
func TestWhatKongTakesIsTakenOrListed(t *testing.T) {
	schemas := map[string][]map[string]field{}
	entitySchemas, pluginSchemas := schemasOfKong(t)
	for _, name := range []string{"consumers", "jwt_secrets", "acls", "services", "routes"} {
		schemas[name] = entitySchemas[name]
	}
	for _, name := range []string{"jwt", "acl", "rate-limiting"} {
		schemas[name] = pluginSchemas[name]
	}
	for name, fields := range schemas {
		if len(fields) == 0 {
			t.Fatalf("Kong's schemas have no %s", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var entities []kong.Entity
		draw := func(kind kong.Kind, from string, links map[string]any, consumer string) string {
			id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(fmt.Sprint(len(entities)))).String()
			fields := drawFields(t, schemas[from], from)
			for name, value := range links {
				fields[name] = value
			}
			entities = append(entities, kong.Entity{Kind: kind, ID: id, ConsumerID: consumer, Fields: fields})
			return id
		}
		for range rapid.IntRange(0, 2).Draw(t, "consumers") {
			consumer := draw(kong.KindConsumer, "consumers", nil, "")
			for range rapid.IntRange(0, 3).Draw(t, "credentials") {
				draw(kong.KindJWT, "jwt_secrets", nil, consumer)
			}
			for range rapid.SampledFrom([]int{0, 1, 40}).Draw(t, "groups") {
				draw(kong.KindACL, "acls", nil, consumer)
			}
		}
		for range rapid.IntRange(0, 2).Draw(t, "services") {
			service := draw(kong.KindService, "services", nil, "")
			on := map[string]any{"id": service}
			for range rapid.SampledFrom([]int{0, 1, 2, 17}).Draw(t, "routes") {
				draw(kong.KindRoute, "routes", map[string]any{"service": on}, "")
			}
			for _, plugin := range []string{"jwt", "acl", "rate-limiting"} {
				if rapid.Bool().Draw(t, plugin) || plugin == "jwt" {
					draw(kong.KindPlugin, plugin, map[string]any{"service": on, "name": plugin}, "")
				}
			}
		}
		result := importer.Import(entities, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true})
		taken(t, result)
		left := strings.Builder{}
		for _, l := range result.Left {
			left.WriteString(l.What + ": " + l.Why + "\n")
		}
		for _, s := range result.Secrets {
			for _, value := range s.StringData {
				if value == "" || strings.Contains(value, "{{") || strings.Contains(value, "{vault") {
					t.Errorf("Secret %s holds %q", s.Name, value)
				}
			}
		}
		for _, e := range entities {
			if e.Kind == kong.KindConsumer && len(result.Consumers) == 0 && !strings.Contains(left.String(), "consumer ") {
				t.Errorf("a consumer is lost: %v", e.Fields["username"])
			}
			if e.Kind == kong.KindService && len(result.Services) == 0 && !strings.Contains(left.String(), "service ") {
				t.Errorf("a service is lost: %v", e.Fields["name"])
			}
		}
	})
}
