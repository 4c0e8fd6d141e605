package pluginconfig

import (
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// ACL is the configuration of an acl plugin (kong/plugins/acl/schema.lua).
type ACL struct {
	Allow            []string `json:"allow"`
	Deny             []string `json:"deny"`
	HideGroupsHeader bool     `json:"hide_groups_header"`
	// AlwaysUseAuthenticatedGroups prefers the groups of another authentication plugin. Kong 3.5 or newer.
	AlwaysUseAuthenticatedGroups bool `json:"always_use_authenticated_groups"`
}

// reservedGroups begin the names of groups that belong to the operator.
const reservedGroups = "kongjwt:"

var aclDefaults = jsonObject(ACL{})

// aclReasons say why options of the acl plugin have no field.
var aclReasons = map[string]string{
	"allow":                           "spec.access.groups is written in order, and no group of it begins with " + reservedGroups,
	"deny":                            "spec.access names those who are allowed, and nobody who is not",
	"hide_groups_header":              "upstreams always get X-Consumer-Groups",
	"always_use_authenticated_groups": "groups come from consumers, and from no other plugin",
}

// EncodeACL makes the configuration of an acl plugin: it allows the groups of the spec, and the reserved groups of
// the consumers that the rest of the spec matches.
func EncodeACL(access v1alpha1.Access, reserved ...string) map[string]any {
	allow := slices.Concat(access.Groups, reserved)
	slices.Sort(allow)
	return map[string]any{"allow": slices.Compact(allow), "hide_groups_header": false}
}

// DecodeACL reads the configuration of an acl plugin, and gives what the spec does not say of it.
func DecodeACL(config map[string]any) (v1alpha1.Access, []Dropped) {
	config = jsonObject(config)
	var access v1alpha1.Access
	if groups, ok := convert[[]string](config["allow"]); ok {
		access.Groups = slices.DeleteFunc(groups, func(g string) bool { return strings.HasPrefix(g, reservedGroups) })
	}
	return access, compare(config, EncodeACL(access), aclDefaults, aclReasons)
}

// ACLSettings is what an acl plugin with a configuration does.
func ACLSettings(config map[string]any) (ACL, error) { return settings[ACL](config, aclDefaults) }
