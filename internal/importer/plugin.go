package importer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// plugin makes a plugin of a spec; false where it cannot be said, which is then told. owner is the name of the
// resource.
func (m *importing) plugin(e kong.Entity, route, owner string) (v1alpha1.ServicePlugin, bool) {
	name := e.Fields.Text("name")
	for _, field := range []string{"instance_name", "ordering", "consumer_group", "condition"} {
		if _, set := e.Fields[field]; set {
			m.left(e, "on %s: no field of a resource says its %s", owner, field)
			return v1alpha1.ServicePlugin{}, false
		}
	}
	if name == "jwt" {
		m.left(e, "on %s: the jwt plugin is spec.jwt of a service", owner)
		return v1alpha1.ServicePlugin{}, false
	}
	p := v1alpha1.ServicePlugin{Route: route}
	if !usual(e) {
		if p.Protocols = protocolsOf(e); len(p.Protocols) == 0 {
			m.left(e, "on %s: its list of protocols is empty, so that it never runs", owner)
			return v1alpha1.ServicePlugin{}, false
		}
	}
	p.Name, p.Plugin = name, name
	if route != "" {
		p.Name = route + "-" + name
	}
	if e.Fields["enabled"] == false {
		off := false
		p.Enabled = &off
	}
	if config := e.Fields.Object("config"); len(config) > 0 {
		if at, found := pluginconfig.FindRedis(config); found {
			m.left(e, "on %s: config.%s names a Redis, which no plugin's configuration may; spec.rateLimit can name one of the KongGateway's", owner, at)
			return v1alpha1.ServicePlugin{}, false
		}
		raw, err := json.Marshal(config)
		if err != nil { // what came from JSON goes to JSON
			m.left(e, "its configuration cannot be written")
			return v1alpha1.ServicePlugin{}, false
		}
		p.Config = &apiextensionsv1.JSON{Raw: raw}
	}
	return p, true
}

// allow says of a plugin that a resource has now what is left to do: the gateway has to allow it.
func (m *importing) allow(name, owner string) {
	m.leave("plugin "+name+" on "+owner, "it is imported, and has to be in spec.policy.plugins of the KongGateway; "+
		"move what is secret of its config to configFrom")
}

// jwt reads a jwt plugin's configuration; the reason says why it cannot be said.
func jwt(e kong.Entity) (spec v1alpha1.JWTPlugin, reason string) {
	if e.Fields["enabled"] == false {
		return spec, "its jwt plugin is disabled"
	}
	for _, field := range []string{"instance_name", "ordering"} {
		if _, set := e.Fields[field]; set {
			return spec, "no field says the " + field + " of its jwt plugin"
		}
	}
	if !usual(e) {
		return spec, "its jwt plugin has protocols of its own"
	}
	spec, dropped := pluginconfig.DecodeJWT(e.Fields.Object("config"))
	if len(dropped) > 0 {
		return spec, "its jwt plugin has options that no field says: " + pluginconfig.Names(dropped)
	}
	return spec, ""
}

// access reads an acl plugin of which a service's spec.access says all; nil for any other.
func access(e kong.Entity) *v1alpha1.Access {
	spec, dropped := pluginconfig.DecodeACL(e.Fields.Object("config"))
	if len(spec.Groups) == 0 || len(dropped) > 0 || !ordinary(e) {
		return nil
	}
	return &spec
}

// rateLimit reads a rate-limiting plugin of which a service's spec.rateLimit says all; nil for any other. server is
// the Redis that it counts in, which is for the gateway's policy to list.
func rateLimit(e kong.Entity) (limit *v1alpha1.RateLimit, server *v1alpha1.RedisServer) {
	spec, server, dropped := pluginconfig.DecodeRateLimit(e.Fields.Object("config"))
	if server != nil {
		dropped = slices.DeleteFunc(dropped, func(d pluginconfig.Dropped) bool { return d.Option == "redis.password" })
		spec.Redis = labelOf(fmt.Sprintf("%s-%d", server.Host, server.Database))
	}
	if len(dropped) > 0 || !ordinary(e) {
		return nil, nil
	}
	return &spec, server
}

// labelOf makes a text a label of DNS (RFC 1123).
func labelOf(text string) string {
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return strings.Trim(label[:min(len(label), maxLabel)], "-")
}

// maxLabel is the length of a label (RFC 1035, section 2.3.4).
const maxLabel = 63

// ordinary says whether a plugin has nothing set that the plugins with fields of their own do not say.
func ordinary(e kong.Entity) bool {
	_, instance := e.Fields["instance_name"]
	_, ordering := e.Fields["ordering"]
	return e.Fields["enabled"] != false && !instance && !ordering && usual(e)
}

// usual says whether a plugin runs for the protocols that Kong gives it by itself.
func usual(e kong.Entity) bool {
	_, given := e.Fields["protocols"] // an empty list is none of them: such a plugin never runs
	return !given || sameSet(e.Fields.Strings("protocols"), []string{"grpc", "grpcs", "http", "https"})
}

func number(value any) float64 {
	n, _ := plain(value).(float64)
	return n
}

// plain gives a number as a float64, however it was decoded.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		n, err := v.Float64()
		if err != nil {
			return value
		}
		return n
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	default:
		return value
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func pointer[T any](v T) *T { return &v }
