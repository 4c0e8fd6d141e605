package desired

import (
	"cmp"
	"sort"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// UniqueKind is a space of values of which Kong, or the operator, lets each be held once.
type UniqueKind string

// The kinds of unique keys. All but UniqueRoute and UniqueHost are unique in Kong itself; Kong takes two routes that
// match the same requests.
const (
	UniqueUsername      UniqueKind = "username"
	UniqueCustomID      UniqueKind = "custom ID"
	UniqueCredentialKey UniqueKind = "key"
	UniqueServiceName   UniqueKind = "service name"
	UniqueRouteName     UniqueKind = "route name"
	UniqueRoute         UniqueKind = "route"
	// UniqueHost is a host, or a path on any host, that a namespace has against others.
	UniqueHost UniqueKind = "host"
)

// UniqueKey is one value that only one holder may have.
type UniqueKey struct {
	Kind UniqueKind
	// Value is the name or key; for a route its host, path, headers and SNIs.
	Value string
	// Methods of a route, sorted; empty stands for all.
	Methods string
	// Namespace, Host and Prefix are those of a UniqueHost; an empty Host stands for any. Shared says that others
	// may have other paths of the host.
	Namespace, Host, Prefix string
	Shared                  bool
}

// Bucket is what a resource with the key is looked up by: of a route its host, of a host its registered domain or the
// first segment of its path, of others the value.
func (c UniqueKey) Bucket() string {
	switch {
	case c.Kind == UniqueRoute:
		host, _, _ := strings.Cut(c.Value, " ")
		return host
	case c.Kind == UniqueHost && c.Value == anyHost && c.Host != "":
		return anyHost + " one"
	}
	return c.Value
}

// RivalBucket is the Bucket of the keys that can overlap this one.
func (c UniqueKey) RivalBucket() string {
	if c.Kind == UniqueHost && c.Value == anyHost {
		opposite := c
		opposite.Host = ""
		if c.Host == "" {
			opposite.Host = anyHost
		}
		return opposite.Bucket()
	}
	return c.Bucket()
}

// Overlaps says whether two keys cannot both be held.
func (c UniqueKey) Overlaps(d UniqueKey) bool {
	if c.Kind != d.Kind || c.Value != d.Value {
		return false
	}
	if c.Kind == UniqueHost {
		return c.overlapsHost(d)
	}
	if c.Methods == "" || d.Methods == "" {
		return true
	}
	for _, method := range strings.Split(c.Methods, ",") {
		for _, other := range strings.Split(d.Methods, ",") {
			if method == other {
				return true
			}
		}
	}
	return false
}

// String describes the key for a message.
func (c UniqueKey) String() string {
	if c.Kind == UniqueHost && c.Value == anyHost {
		return "path " + cmp.Or(c.Prefix, "/") + " on " + cmp.Or(c.Host, "any host")
	}
	if c.Kind == UniqueHost {
		return strings.TrimSpace(string(c.Kind)+" "+orAnyHost(c.Host)) + c.sharedPrefix()
	}
	if c.Kind == UniqueRoute && c.Methods != "" {
		return string(c.Kind) + " " + c.Methods + " " + c.Value
	}
	return string(c.Kind) + " " + c.Value
}

func orAnyHost(host string) string {
	if host == "" {
		return "of any name"
	}
	return host
}

func (c UniqueKey) sharedPrefix() string {
	if c.Host != "" && !c.Shared {
		return ""
	}
	return " " + c.Prefix + "/"
}

// UniqueKeys lists the unique keys of an entity, from its fields as sent or as Kong answered them.
func UniqueKeys(e kong.Entity) []UniqueKey {
	var keys []UniqueKey
	add := func(kind UniqueKind, field string) {
		if value := e.Fields.Text(field); value != "" {
			keys = append(keys, UniqueKey{Kind: kind, Value: value})
		}
	}
	switch e.Kind {
	case kong.KindConsumer:
		add(UniqueUsername, "username")
		add(UniqueCustomID, "custom_id")
	case kong.KindJWT:
		add(UniqueCredentialKey, "key")
	case kong.KindService:
		add(UniqueServiceName, "name")
	case kong.KindRoute:
		add(UniqueRouteName, "name")
		keys = append(append(keys, routeUniqueKeys(e.Fields)...), hostKeys(e.Fields)...)
	}
	return keys
}

// routeUniqueKeys is the cross product of a route's hosts and paths.
func routeUniqueKeys(f kong.Fields) []UniqueKey {
	methods := f.Strings("methods")
	sort.Strings(methods)
	rest := routeConditions(f)
	var keys []UniqueKey
	for _, host := range orAny(f.Strings("hosts")) {
		for _, path := range orAny(f.Strings("paths")) {
			keys = append(keys, UniqueKey{
				Kind:    UniqueRoute,
				Value:   strings.ToLower(host) + " " + path + rest,
				Methods: strings.Join(methods, ","),
			})
		}
	}
	return keys
}

// routeConditions renders the headers and SNIs of a route: routes that differ in them match different requests.
func routeConditions(f kong.Fields) string {
	var conditions []string
	if headers, ok := f["headers"].(map[string]any); ok {
		for name, values := range headers {
			list := kong.Fields{"v": values}.Strings("v")
			sort.Strings(list)
			conditions = append(conditions, strings.ToLower(name)+"="+strings.Join(list, "|"))
		}
	}
	if snis := f.Strings("snis"); len(snis) > 0 {
		sort.Strings(snis)
		conditions = append(conditions, "sni="+strings.Join(snis, "|"))
	}
	if len(conditions) == 0 {
		return ""
	}
	sort.Strings(conditions)
	return " (" + strings.Join(conditions, ", ") + ")"
}

func orAny(values []string) []string {
	if len(values) == 0 {
		return []string{"*"}
	}
	return values
}
