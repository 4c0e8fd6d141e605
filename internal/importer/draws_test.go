package importer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

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

// drawnKong is a Kong that holds whatever it takes of what is drawn from its schemas.
type drawnKong struct {
	*rapid.T
	ctx      context.Context
	api      *kong.Client
	entities map[string][]map[string]field
	plugins  map[string][]map[string]field
	names    []string
	known    kong.Known
	used     map[string]bool
	count    int
}

// publicKeys are PEMs of an RSA key and of one on each curve; none of them fits every algorithm.
var publicKeys = sync.OnceValue(func() (pems []string) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	keys := []crypto.PublicKey{rsaKey.Public()}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys = append(keys, key.Public())
	}
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			panic(err)
		}
		pems = append(pems, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	}
	return pems
})

// put has Kong take an entity: with all fields that are drawn, but for those that it refuses.
func (k *drawnKong) put(kind kong.Kind, consumer string, fields []map[string]field, given kong.Fields) (id string, taken bool) {
	k.count++
	id = uuid.NewSHA1(uuid.NameSpaceOID, []byte(fmt.Sprint(k.count))).String()
	e := kong.Entity{Kind: kind, ID: id, ConsumerID: consumer, Fields: maps.Clone(given)}
	drawn := drawFields(k.T, fields, fmt.Sprint(kind, k.count))
	for _, one := range fields { // what is required comes first
		for name, f := range one {
			if value, is := drawn[name]; is && !has(given, name) && (f.Required || kind == kong.KindJWT) {
				e.Fields[name] = value
			}
		}
	}
	if _, err := k.api.Put(k.ctx, e); err != nil {
		return id, false
	}
	most := rapid.SampledFrom([]int{0, 1, 1, 2, 100}).Draw(k.T, "optional fields")
	for _, name := range slices.Sorted(maps.Keys(drawn)) {
		if has(e.Fields, name) || len(e.Fields) >= len(given)+most {
			continue
		}
		e.Fields[name] = drawn[name]
		if _, err := k.api.Put(k.ctx, e); err != nil {
			delete(e.Fields, name)
		}
	}
	return id, true
}

func has(fields kong.Fields, name string) bool { _, is := fields[name]; return is }

// text draws one that no other is.
func (k *drawnKong) text(label string) string {
	text := rapid.SampledFrom(texts).Draw(k.T, label)
	if len(text) > 200 || !k.used[text] {
		k.used[text] = true
		return text
	}
	return fmt.Sprint(text, k.count)
}

// plugin draws a plugin and puts it on something.
func (k *drawnKong) plugin(name string, on kong.Fields) {
	given := kong.Fields{"name": name}
	maps.Copy(given, on)
	for _, one := range k.plugins[name] {
		if config, has := one["config"]; has {
			for range 3 { // a configuration that Kong takes
				drawn, _ := config.draw(k.T, fmt.Sprint(name, k.count)).(map[string]any)
				most := rapid.SampledFrom([]int{0, 1, 2, 100}).Draw(k.T, "options")
				for _, option := range slices.Sorted(maps.Keys(drawn)) {
					if len(drawn) > most {
						delete(drawn, option)
					}
				}
				given["config"] = drawn
				if _, taken := k.put(kong.KindPlugin, "", k.entities["plugins"], given); taken {
					return
				}
			}
		}
	}
	delete(given, "config")
	k.put(kong.KindPlugin, "", k.entities["plugins"], given)
}

// fill draws all that a Kong may hold.
func (k *drawnKong) fill() {
	some := func(label string, most int) int { return rapid.IntRange(0, most).Draw(k.T, label) }
	for range some("consumers", 2) {
		name := rapid.SampledFrom([]string{"username", "username", "username", "custom_id"}).Draw(k.T, "names")
		consumer, taken := k.put(kong.KindConsumer, "", k.entities["consumers"], kong.Fields{name: k.text("name")})
		if !taken {
			continue
		}
		for range some("credentials", 3) {
			algorithm := rapid.SampledFrom(credential.Algorithms()).Draw(k.T, "algorithm")
			given := kong.Fields{"key": k.text("key"), "algorithm": algorithm, "rsa_public_key": nil}
			if credential.FamilyOf(algorithm) != credential.HMAC {
				given["rsa_public_key"] = rapid.SampledFrom(publicKeys()).Draw(k.T, "public key")
			}
			k.put(kong.KindJWT, consumer, k.entities["jwt_secrets"], given)
		}
		for range rapid.SampledFrom([]int{0, 1, 2, 33}).Draw(k.T, "groups") {
			k.put(kong.KindACL, consumer, k.entities["acls"], kong.Fields{"group": k.text("group")})
		}
		for range some("plugins of consumers", 1) {
			k.plugin(rapid.SampledFrom(k.names).Draw(k.T, "name"), kong.Fields{"consumer": map[string]any{"id": consumer}})
		}
	}
	for range some("services", 2) {
		name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"shop.", "orders", "Upper.Case_svc"}).Draw(k.T, "service"), k.count)
		service, taken := k.put(kong.KindService, "", k.entities["services"], kong.Fields{"name": name})
		if !taken {
			continue
		}
		on := kong.Fields{"service": map[string]any{"id": service}}
		for i := range rapid.SampledFrom([]int{0, 1, 1, 2, 17}).Draw(k.T, "routes") {
			given := maps.Clone(on)
			if rapid.IntRange(0, 3).Draw(k.T, "named") > 0 {
				given["name"] = fmt.Sprintf("%s.r%d", name, i)
			}
			match := rapid.SampledFrom([]string{"paths", "paths", "hosts", "methods", "snis"}).Draw(k.T, "match")
			if match == "snis" {
				given["protocols"] = []any{"https"}
			}
			given[match] = []any{rapid.SampledFrom([]string{"/a", "~/a$", "a.example.com", "*.b", "GET", rapid.SampledFrom(texts).Draw(k.T, "text")}).Draw(k.T, "matched")}
			route, taken := k.put(kong.KindRoute, "", k.entities["routes"], given)
			for range some("plugins of routes", 1) {
				if taken {
					k.plugin(rapid.SampledFrom(k.names).Draw(k.T, "name"), kong.Fields{"route": map[string]any{"id": route}})
				}
			}
		}
		k.plugin("jwt", on)
		for _, name := range []string{"acl", "rate-limiting", rapid.SampledFrom(k.names).Draw(k.T, "another")} {
			if rapid.Bool().Draw(k.T, name) {
				k.plugin(name, on)
			}
		}
	}
}

// all is what Kong shows.
func (k *drawnKong) all() (all []kong.Entity) {
	for _, kind := range kong.Kinds() {
		for e, err := range k.api.List(k.ctx, kind, kong.ListOptions{}) {
			if err != nil {
				k.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}
