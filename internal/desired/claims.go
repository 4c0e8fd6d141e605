package desired

import (
	"sort"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// ClaimKind is a space of values of which Kong, or the operator, lets each be held once.
type ClaimKind string

// The claim kinds. All but ClaimRoute are unique in Kong itself; Kong takes two routes that match the same requests.
const (
	ClaimUsername    ClaimKind = "username"
	ClaimCustomID    ClaimKind = "custom ID"
	ClaimKey         ClaimKind = "key"
	ClaimServiceName ClaimKind = "service name"
	ClaimRouteName   ClaimKind = "route name"
	ClaimRoute       ClaimKind = "route"
)

// Claim is one value that only one holder may have.
type Claim struct {
	Kind ClaimKind
	// Value is the name or key; for a route its host, path, headers and SNIs.
	Value string
	// Methods of a route, sorted; empty stands for all.
	Methods string
}

// Overlaps says whether two claims cannot both be held.
func (c Claim) Overlaps(d Claim) bool {
	if c.Kind != d.Kind || c.Value != d.Value {
		return false
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

// String describes the claim for a message.
func (c Claim) String() string {
	if c.Kind == ClaimRoute && c.Methods != "" {
		return string(c.Kind) + " " + c.Methods + " " + c.Value
	}
	return string(c.Kind) + " " + c.Value
}

// Claims lists what an entity claims, from its fields as sent or as Kong answered them.
func Claims(e kong.Entity) []Claim {
	var claims []Claim
	add := func(kind ClaimKind, field string) {
		if value := e.Fields.Text(field); value != "" {
			claims = append(claims, Claim{Kind: kind, Value: value})
		}
	}
	switch e.Kind {
	case kong.KindConsumer:
		add(ClaimUsername, "username")
		add(ClaimCustomID, "custom_id")
	case kong.KindJWT:
		add(ClaimKey, "key")
	case kong.KindService:
		add(ClaimServiceName, "name")
	case kong.KindRoute:
		add(ClaimRouteName, "name")
		claims = append(claims, routeClaims(e.Fields)...)
	}
	return claims
}

// routeClaims is the cross product of a route's hosts and paths.
func routeClaims(f kong.Fields) []Claim {
	methods := f.Strings("methods")
	sort.Strings(methods)
	rest := routeConditions(f)
	var claims []Claim
	for _, host := range orAny(f.Strings("hosts")) {
		for _, path := range orAny(f.Strings("paths")) {
			claims = append(claims, Claim{
				Kind:    ClaimRoute,
				Value:   strings.ToLower(host) + " " + path + rest,
				Methods: strings.Join(methods, ","),
			})
		}
	}
	return claims
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
