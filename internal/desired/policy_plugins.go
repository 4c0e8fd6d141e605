package desired

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/address"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// codePlugins run code out of their configuration. No policy can allow them: whoever may set them owns Kong.
var codePlugins = []string{"pre-function", "post-function", "serverless-functions", "exit-transformer"}

func (p Policy) checkPlugin(field, plugin string) error {
	if slices.Contains(codePlugins, plugin) {
		return p.violation(field, fmt.Sprintf("plugin %s runs code from its configuration and is never allowed", plugin), "Remove it")
	}
	return p.checkListed(field, "policy.plugins", plugin, p.Plugins)
}

func (p Policy) checkListed(field, list, plugin string, listed []string) error {
	if slices.Contains(listed, plugin) {
		return nil
	}
	instead := "Remove it"
	if len(listed) > 0 {
		instead = "Use one of " + strings.Join(listed, ", ")
	}
	return p.violation(field, fmt.Sprintf("plugin %s is not in %s", plugin, list), instead+", or ask for it to be added")
}

// breach is what the configuration of a plugin has that no tenant may have.
type breach struct {
	// at is the path of the value.
	at string
	// value is the host where it is about one.
	value string
	// wrong is what the value is, and todo what to do.
	wrong, todo string
}

// checkPluginConfig holds a plugin's configuration to what no tenant may do, whichever plugin it is: read Kong's
// vaults, run Lua (custom_fields_by_lua of the logging plugins gets Kong's own objects, its database and settings
// among them), have Kong call a host that policy.upstreams does not open, name a Redis, or let callers in as another
// namespace's consumer. written is what the spec says. whole has what Secrets add, which is not repeated.
func (p Policy) checkPluginConfig(field, namespace, plugin string, written, whole map[string]any) error {
	check := configCheck{policy: p, namespace: namespace, onlyNames: plugin == "cors"}
	if b := check.all(field+".config", written); b != nil {
		return p.violation(b.at, strings.TrimSpace(b.value+" "+b.wrong), b.todo)
	}
	if b := check.all("", whole); b != nil {
		return p.violation(field+".configFrom", "a value in a Secret "+b.wrong, b.todo)
	}
	return nil
}

// configCheck goes through a configuration.
type configCheck struct {
	policy    Policy
	namespace string
	// onlyNames says that hosts are compared with what clients send, and called by nobody.
	onlyNames bool
}

// all goes through a whole configuration.
func (c configCheck) all(field string, config map[string]any) *breach {
	if at, found := pluginconfig.FindRedis(config); found {
		return &breach{at: field + "." + at, wrong: "names a Redis, whose connections Kong shares among namespaces",
			todo: "Remove it: spec.rateLimit.redis takes one of policy.redis"}
	}
	if anonymous, isText := config["anonymous"].(string); isText && !c.policy.mayClaim(c.namespace, anonymous) {
		return &breach{at: field + ".anonymous", wrong: fmt.Sprintf("names a consumer whose username does not begin with %q", c.namespace+"."),
			todo: "Name one of this namespace by its username"}
	}
	return c.object(field, config)
}

func (c configCheck) object(field string, config map[string]any) *breach {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		inner := field + "." + name
		if strings.Contains(name, vaultPrefix) {
			return vaultBreach(field)
		}
		if strings.HasSuffix(strings.ToLower(name), "_by_lua") && config[name] != nil {
			return &breach{at: inner, wrong: "is Lua, which is never allowed in a plugin's configuration", todo: "Remove it"}
		}
		if host, isText := config[name].(string); isText && !c.onlyNames && pluginconfig.IsHost(name) {
			if b := c.host(inner, host, portBeside(config, name)); b != nil {
				return b
			}
		}
		if b := c.value(inner, config[name]); b != nil {
			return b
		}
	}
	return nil
}

func (c configCheck) value(field string, value any) *breach {
	switch v := value.(type) {
	case map[string]any:
		return c.object(field, v)
	case []any:
		for i, element := range v {
			if b := c.value(path("%s[%d]", field, i), element); b != nil {
				return b
			}
		}
	case string:
		return c.text(field, v)
	}
	return nil
}

func vaultBreach(field string) *breach {
	return &breach{at: field, wrong: "is a vault reference ({vault://...}), which is not allowed", todo: "Put the value into a Secret"}
}

func (c configCheck) text(field, text string) *breach {
	if strings.Contains(text, vaultPrefix) {
		return vaultBreach(field)
	}
	if c.onlyNames || !leads.MatchString(text) {
		return nil
	}
	parts := plainURL.FindStringSubmatch(text)
	if parts == nil {
		return &breach{at: field, wrong: "is a URL with a user, or one in which parsers see different hosts",
			todo: "Write it like https://log.example.com:8443/path, and what logs in into a header"}
	}
	return c.host(field, parts[plainURL.SubexpIndex("host")], portOf(parts[plainURL.SubexpIndex("port")], parts[0]))
}

func (c configCheck) host(field, text string, port int) *breach {
	wrong, todo := c.policy.closed(c.namespace, address.Parse(text), port)
	if wrong == "" {
		return nil
	}
	return &breach{at: field, value: text, wrong: wrong, todo: strings.Replace(todo, "Name a Service of this namespace by spec.upstream.serviceRef", "Name another host", 1)}
}

var (
	// leads matches a text that a URL parser finds a host in.
	leads = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9+.-]*:)?//`)
	// plainURL matches the URLs in which every parser finds the same host. Kong's takes all up to the first slash
	// for host, port and user, a query too: in http://a.example.com?@127.0.0.1/ it sees another host than Go does.
	plainURL = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/.*)?$`)
)

// portOf is the port that a URL names, or that of its scheme.
func portOf(port, text string) int {
	if number, err := strconv.Atoi(port); err == nil {
		return number
	}
	scheme, _, _ := strings.Cut(strings.ToLower(text), ":")
	return defaultPort(scheme)
}

// portBeside is the port that goes with a field of a host: port with host, redis_port with redis_host. 0 where there
// is none.
func portBeside(config map[string]any, hostField string) int {
	prefix := strings.TrimSuffix(strings.TrimSuffix(hostField, "host"), "ip")
	number, _ := config[prefix+"port"].(float64)
	return int(number)
}
