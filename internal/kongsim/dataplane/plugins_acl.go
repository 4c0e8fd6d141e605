package dataplane

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// acl is the acl plugin. Groups that come with a token rather than from the
// consumer are not simulated: no simulated plugin provides them.
type acl struct{ pluginconfig.ACL }

func compileACL(view *PluginView) (plugin, error) {
	settings, err := pluginconfig.ACLSettings(view.Config)
	return &acl{settings}, err
}

const aclRefused = "You cannot consume this service"

func (p *acl) access(x *exchange) *reply {
	if x.consumer == nil {
		return x.fail(http.StatusUnauthorized, "")
	}
	groups := x.groups(x.consumer.ID)
	if len(p.Deny) > 0 {
		if intersect(p.Deny, groups) {
			return x.fail(http.StatusForbidden, aclRefused)
		}
		return p.pass(x, groups)
	}
	switch {
	case intersect(p.Allow, groups):
		return p.pass(x, groups)
	case len(groups) == 0 && x.credentialID == "":
		// An anonymous consumer without groups is asked to authenticate.
		return x.fail(http.StatusUnauthorized, "")
	default:
		return x.fail(http.StatusForbidden, aclRefused)
	}
}

// pass tells the upstream all groups, those that matched and the others; an
// empty header too, so that none sent by the client survives.
func (p *acl) pass(x *exchange, groups []string) *reply {
	if !p.HideGroupsHeader {
		x.upstream.Set("X-Consumer-Groups", strings.Join(groups, ", "))
	}
	return nil
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}
