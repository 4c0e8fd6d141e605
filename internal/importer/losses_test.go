package importer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// built is what the operator would have in Kong for what was imported, under the ids that are there.
func built(t *rapid.T, result importer.Result, there []kong.Entity, plugins []string) map[string]kong.Entity {
	policy := desired.Policy{Gateway: "main", GatewayPolicy: v1alpha1.GatewayPolicy{
		Identities: v1alpha1.IdentitiesAny, Plugins: plugins, ConsumerPlugins: plugins, RegularExpressions: true, Retain: true,
		Upstreams: v1alpha1.UpstreamPolicy{Allow: []v1alpha1.AllowedUpstream{{CIDRs: []string{"0.0.0.0/0", "::/0"}, Hosts: []string{"*"}}}},
	}}
	data := map[string]map[string][]byte{}
	for _, s := range result.Secrets {
		data[s.Name] = map[string][]byte{}
		for name, value := range s.StringData {
			data[s.Name][name] = []byte(value)
		}
	}
	var all []kong.Entity
	for _, c := range result.Consumers {
		var credentials []desired.Credential
		for i, spec := range c.Spec.Credentials {
			material, err := credential.FromSecret(fmt.Sprintf("spec.credentials[%d]", i), spec, spec.Key, data[spec.SecretRef.Name])
			if err != nil {
				if data[spec.SecretRef.Name] != nil {
					t.Errorf("the Secret of credential %q would stall JwtConsumer %s: %v", spec.Key, c.Name, err)
				}
				continue // it is listed, as one to be made
			}
			credentials = append(credentials, desired.Credential{
				Part: desired.CredentialPart(credential.Slot{Credential: spec.Name}), TenantKey: true, Material: material,
			})
		}
		set, err := desired.BuildConsumer(desired.Scope{}, policy, desired.ConsumerInput{Consumer: c, Credentials: credentials})
		if err != nil {
			t.Errorf("JwtConsumer %s would stall: %v", c.Name, err)
		}
		all = append(all, set.Entities...)
	}
	for _, s := range result.Services {
		set, err := desired.BuildService(desired.Scope{}, policy, desired.ServiceInput{Service: s})
		if err != nil {
			t.Errorf("JwtProtectedService %s would stall: %v", s.Name, err)
		}
		all = append(all, set.Entities...)
	}
	return sameIDs(all, there)
}

// identity is what tells an entity apart: its name, and what it is on.
func identity(e kong.Entity) string {
	name := e.Fields.Text("name")
	for _, field := range []string{"username", "key", "group"} {
		name += e.Fields.Text(field)
	}
	return fmt.Sprint(e.Kind, "/", name, "/", e.ConsumerID, e.Fields.Ref("consumer"), e.Fields.Ref("route"),
		map[bool]string{e.Kind == kong.KindPlugin: e.Fields.Ref("service")}[true])
}

// sameIDs gives entities the ids of those that have the same identity, by those. Parents come first.
func sameIDs(made, there []kong.Entity) map[string]kong.Entity {
	ids, found := map[string]string{}, map[string]kong.Entity{}
	byIdentity := map[string]string{}
	for _, e := range there {
		byIdentity[identity(e)] = e.ID
	}
	rename := func(id string) string {
		if other, known := ids[id]; known {
			return other
		}
		return id
	}
	for _, kind := range kong.Kinds() {
		for _, e := range made {
			if e.Kind != kind {
				continue
			}
			e.Fields, e.ConsumerID = maps.Clone(e.Fields), rename(e.ConsumerID)
			for _, field := range []string{"service", "route", "consumer"} {
				if id := e.Fields.Ref(field); id != "" {
					e.Fields[field] = map[string]any{"id": rename(id)}
				}
			}
			if id, known := byIdentity[identity(e)]; known {
				ids[e.ID] = id
				found[id] = e
			}
		}
	}
	return found
}

// differing are the fields in which two entities are not the same to Kong, those of a configuration by themselves.
func differing(a, b kong.Entity, known kong.Known) (fields []string) {
	decode := func(e kong.Entity) map[string]any {
		all := map[string]any{}
		e.Fields = maps.Clone(e.Fields)
		e.Fields["tags"] = slices.DeleteFunc(e.Fields.Tags(), func(tag string) bool { return strings.HasPrefix(tag, "kongjwt") })
		_ = json.Unmarshal(kong.Canonical(e, known), &all)
		config, _ := all["config"].(map[string]any)
		for name, value := range config {
			all["config."+name] = value
		}
		delete(all, "config")
		return all
	}
	one, other := decode(a), decode(b)
	for name := range one {
		if _, has := other[name]; !has {
			other[name] = nil
		}
	}
	for name, value := range other {
		if !reflect.DeepEqual(one[name], value) && (!none(one[name]) || !none(value)) {
			fields = append(fields, fmt.Sprintf("%s (%v, not %v)", name, value, one[name]))
		}
	}
	slices.Sort(fields)
	return fields
}

// none says whether a value sets nothing.
func none(value any) bool {
	return slices.Contains([]string{"<nil>", "[]", "map[]"}, fmt.Sprint(value))
}

// TestNothingIsLost: of all that a Kong holds, drawn from its schemas, each field is in a resource as it is, or the
// report names the entity.
func TestNothingIsLost(t *testing.T) {
	entities, plugins := schemasOfKong(t)
	names := slices.Sorted(maps.Keys(plugins))
	known := kong.Known{}
	rapid.Check(t, func(t *rapid.T) {
		server, err := kongsim.Start(kongsim.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		api, err := kong.New(kong.Config{URL: server.AdminURL()})
		if err != nil {
			t.Fatal(err)
		}
		defer api.CloseIdle()
		ctx := context.Background()
		if known.Plugins == nil {
			schemas := map[string]kong.Schema{}
			for _, name := range names {
				if schemas[name], err = api.PluginSchema(ctx, name); err != nil {
					t.Fatal(err)
				}
			}
			known.Plugins = func(name string) (kong.Schema, bool) { s, found := schemas[name]; return s, found }
		}
		k := &drawnKong{T: t, ctx: ctx, api: api, entities: entities, plugins: plugins, names: names, known: known, used: map[string]bool{}}
		k.fill()
		there := k.all()
		result := importer.Import(there, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true})
		taken(t, result)
		in := built(t, result, there, names)
		parents := map[string]kong.Entity{}
		for _, e := range there {
			parents[e.ID] = e
		}
		for _, e := range there {
			var lost []string
			if made, is := in[e.ID]; is {
				lost = differing(e, made, known)
			} else {
				lost = []string{"all of it"}
			}
			if len(lost) > 0 && !named(result.Left, e, parents) {
				t.Errorf("%s %q: %v is lost, and the report does not name it:\n%v\n%v", e.Kind, display(e), lost, e.Fields, result.Left)
			}
		}
	})
}

// named says whether a report has an entity, or what it is on as a whole.
func named(left []importer.Left, e kong.Entity, parents map[string]kong.Entity) bool {
	if slices.ContainsFunc(left, func(l importer.Left) bool {
		return l.What == e.Kind.Singular()+" "+display(e) || strings.Contains(l.Why, e.Kind.Singular()+" "+display(e))
	}) {
		return true
	}
	for _, id := range []string{e.ConsumerID, e.Fields.Ref("consumer"), e.Fields.Ref("route"), e.Fields.Ref("service")} {
		if parent, is := parents[id]; is && named(left, parent, parents) {
			return true
		}
	}
	return false
}

// display is the name that a report has for an entity.
func display(e kong.Entity) string {
	for _, field := range []string{"username", "name", "key", "group", "custom_id"} {
		if name := e.Fields.Text(field); name != "" {
			return name
		}
	}
	return e.ID
}
