package desired

import (
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// IsGuard says whether a plugin keeps somebody out who gets in without it.
func IsGuard(e kong.Entity) bool {
	return e.Kind == kong.KindPlugin &&
		slices.Contains([]string{"jwt", "acl", PluginClaims, "ip-restriction"}, e.Fields.Text("name"))
}

// Closed is a plugin in place of a guard that Kong does not take: it answers every request with 503.
func Closed(scope Scope, owner Owner, guard kong.Entity) kong.Entity {
	ownership, _ := ParseTags(guard.Fields.Tags())
	part := "closed:" + ownership.Part
	fields := maps.Clone(guard.Fields)
	fields["name"], fields["enabled"], fields["tags"] = "request-termination", true, scope.Tags(owner, part)
	fields["config"] = map[string]any{"status_code": 503, "message": "what protects this is not in Kong"}
	return kong.Entity{Kind: kong.KindPlugin, ID: scope.ID(kong.KindPlugin, owner, part), Fields: fields}
}
