package pluginconfig

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

type object = map[string]any

// TestDecodeSaysAllOrNamesIt draws what a schema allows: what is not named as dropped means the same after it was
// read and written again.
func TestDecodeSaysAllOrNamesIt(t *testing.T) {
	for _, version := range versions {
		t.Run(version, rapid.MakeCheck(func(t *rapid.T) {
			form := RedisRecord
			if version == "3.4.2" {
				form = RedisFlat
			}
			jwt := configs(t, version, "jwt")
			jwtSpec, dropped := DecodeJWT(jwt)
			sameSettings(t, jwt, EncodeJWT(jwtSpec), dropped, JWTSettings)
			acl := configs(t, version, "acl")
			access, dropped := DecodeACL(acl)
			sameSettings(t, acl, EncodeACL(access), dropped, ACLSettings)
			limits := configs(t, version, "rate-limiting")
			limit, server, dropped := DecodeRateLimit(limits)
			sameSettings(t, limits, EncodeRateLimit(limit, server, "", form), dropped, RateLimitSettings)
		}))
	}
}

// sameSettings holds what was made of a configuration to what it was, but for what was dropped.
func sameSettings[T any](t *rapid.T, config, made object, dropped []Dropped, read func(map[string]any) (T, error)) {
	want, err := read(config)
	if err != nil {
		t.Fatalf("%v: %v", config, err)
	}
	got, err := read(made)
	if err != nil {
		t.Fatalf("%v: %v", made, err)
	}
	wanted, gotten := flat(jsonObject(want)), flat(jsonObject(got))
	for _, d := range dropped {
		delete(wanted, d.Option)
		delete(gotten, d.Option)
	}
	if !reflect.DeepEqual(wanted, gotten) {
		t.Fatalf("%v\nis read as\n%v\nwithout %v", wanted, gotten, dropped)
	}
}

// flat gives the options of Redis beside the others, and what says nothing not at all.
func flat(config object) object {
	all := object{}
	for name, value := range config {
		if inner, isObject := value.(map[string]any); isObject {
			for key, value := range flat(inner) {
				all[name+"."+key] = value
			}
		} else if !empty(value) {
			all[name] = value
		}
	}
	return all
}

// configs draws a configuration from a schema.
func configs(t *rapid.T, version, plugin string) object {
	return record(t, children(config(&testing.T{}, version, plugin).Fields))
}

func record(t *rapid.T, fields map[string]schemaField) object {
	drawn := object{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if rapid.Bool().Draw(t, name+" set") {
			drawn[name] = value(t, name, fields[name])
		}
	}
	return drawn
}

func value(t *rapid.T, name string, field schemaField) any {
	choices := []func() any{
		func() any {
			switch field.Type {
			case "boolean":
				return rapid.Bool().Draw(t, name)
			case "integer":
				return float64(rapid.IntRange(0, 1<<33).Draw(t, name))
			case "number":
				return rapid.SampledFrom([]float64{0.5, 1, 60, 3600, 1 << 33}).Draw(t, name)
			case "record":
				return record(t, children(field.Fields))
			case "set", "array":
				values := []any{}
				for i := range rapid.IntRange(0, 2).Draw(t, name) {
					values = append(values, value(t, fmt.Sprint(name, i), *field.Elements))
				}
				return slices.Compact(values)
			default:
				return rapid.StringMatching(`(kongjwt:)?[a-z]{1,3}`).Draw(t, name)
			}
		},
	}
	if len(field.OneOf) > 0 {
		choices = []func() any{func() any { return rapid.SampledFrom(field.OneOf).Draw(t, name) }}
	}
	if field.Default != nil {
		choices = append(choices, func() any { return field.Default })
	}
	return rapid.SampledFrom(choices).Draw(t, name+" how")()
}

// TestEncodeIsReadBack: whatever spec the API takes, Kong's form of it gives the spec again, but for values that are
// Kong's defaults.
func TestEncodeIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := v1alpha1.RateLimit{
			Minute: rapid.Ptr(rapid.Int32Min(1), true).Draw(t, "minute"), Year: rapid.Ptr(rapid.Int32Min(1), true).Draw(t, "year"),
			LimitBy: rapid.SampledFrom([]v1alpha1.LimitBy{"", "credential", "ip", "service"}).Draw(t, "limitBy"), Policy: "redis",
		}
		server := &v1alpha1.RedisServer{
			Host: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "host"), Port: rapid.Int32Range(1, 6378).Draw(t, "port"),
			Database: rapid.Int32Range(0, 1023).Draw(t, "database"), SSL: rapid.Bool().Draw(t, "ssl"),
			Timeout: rapid.SampledFrom([]v1alpha1.Duration{"", "1ms", "1s", "1m30s", "1m"}).Draw(t, "timeout"),
		}
		form := rapid.SampledFrom([]RedisForm{RedisRecord, RedisFlat}).Draw(t, "form")
		got, from, dropped := DecodeRateLimit(EncodeRateLimit(limit, server, "", form))
		if !reflect.DeepEqual(got, limit) || !reflect.DeepEqual(from, server) || len(dropped) > 0 {
			t.Fatalf("%+v in %+v is read back as %+v in %+v, without %v", limit, server, got, from, dropped)
		}
	})
}

// TestRedisForms: each form has the names of its version's schema, and no other.
func TestRedisForms(t *testing.T) {
	server := &v1alpha1.RedisServer{Host: "r", Username: "u", ServerName: "n", Timeout: "1s", Port: 1}
	for version, form := range map[string]RedisForm{"3.4.2": RedisFlat, "3.9.3": RedisRecord} {
		schema := children(config(t, version, "rate-limiting").Fields)
		made := EncodeRateLimit(v1alpha1.RateLimit{Policy: "redis"}, server, "p", form)
		for name, value := range made {
			if _, known := schema[name]; !known {
				t.Errorf("Kong %s has no option %s", version, name)
			}
			for inner := range jsonObject(value) {
				if _, known := children(schema[name].Fields)[inner]; !known {
					t.Errorf("Kong %s has no option %s.%s", version, name, inner)
				}
			}
		}
	}
}

// TestDropped: each option that no field says is named, with a reason that holds no value.
func TestDropped(t *testing.T) {
	cases := []struct {
		name   string
		decode func(object) []Dropped
		config object
		want   string
	}{
		{"a claim of the future", jwt, object{"claims_to_verify": []any{"exp"}, "new": true}, "new"},
		{"nothing new", jwt, object{"new": false, "newer": nil, "newest": []any{}}, ""},
		{"half a second", jwt, object{"maximum_expiration": 0.5}, "maximum_expiration"},
		{"null where Kong has a default", jwt, object{"key_claim_name": nil}, "key_claim_name"},
		{"a deny list", acl, object{"deny": []any{"a"}}, "deny"},
		{"another order", acl, object{"allow": []any{"b", "a"}}, "allow"},
		{"a reserved group", acl, object{"allow": []any{"kongjwt:a.b"}}, "allow"},
		{"groups that upstreams do not see", acl, object{"allow": []any{"a"}, "hide_groups_header": true}, "hide_groups_header"},
		{"by a header", limit, object{"minute": 1.0, "limit_by": "header", "header_name": "x"}, "header_name, limit_by"},
		{"half a request", limit, object{"second": 0.5}, "second"},
		{"another answer", limit, object{"minute": 1.0, "error_code": 503.0}, "error_code"},
		{"a password", limit, object{"policy": "redis", "redis": object{"host": "r", "password": "s3cret"}}, "redis.password"},
		{"an old password", limit, object{"policy": "redis", "redis_host": "r", "redis_password": "s3cret"}, "redis.password"},
		{"a server that is not used", limit, object{"redis_host": "r"}, "redis.host"},
		{"both forms", limit, object{"policy": "redis", "redis_host": "r", "redis": object{"host": "r"}}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dropped := c.decode(c.config)
			if got := Names(dropped); got != c.want {
				t.Errorf("dropped %q, want %q", got, c.want)
			}
			for _, d := range dropped {
				if d.Reason == "" || strings.Contains(d.Reason, "s3cret") {
					t.Errorf("%s: reason %q", d.Option, d.Reason)
				}
			}
		})
	}
}

func jwt(c object) []Dropped   { _, dropped := DecodeJWT(c); return dropped }
func acl(c object) []Dropped   { _, dropped := DecodeACL(c); return dropped }
func limit(c object) []Dropped { _, _, dropped := DecodeRateLimit(c); return dropped }

// TestRedisRecordGoesFirst: Kong from 3.6 on answers with both forms.
func TestRedisRecordGoesFirst(t *testing.T) {
	for name, c := range map[string]object{
		"the record":               {"redis_host": "old", "redis": object{"host": "new"}},
		"the old name, where null": {"redis_host": "new", "redis": object{"host": nil}},
	} {
		settings, err := RateLimitSettings(c)
		if err != nil || settings.Redis.Host != "new" || settings.Redis.Port != 6379 {
			t.Errorf("%s: %+v, %v", name, settings.Redis, err)
		}
	}
}
