package desired

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// codePlugins run code out of their configuration. No policy can allow them: whoever may set them owns Kong.
var codePlugins = []string{"pre-function", "post-function", "serverless-functions", "exit-transformer"}

func (p Policy) checkPlugin(field, plugin string) error {
	if slices.Contains(codePlugins, plugin) {
		return p.violation(field, "plugin %s runs code from its configuration and is never allowed", plugin)
	}
	if !slices.Contains(p.Plugins, plugin) {
		return p.violation(field, "plugin %s is not in policy.plugins; ask for it to be added, or use one of %s", plugin, strings.Join(p.Plugins, ", "))
	}
	return nil
}

// checkPluginConfig holds a plugin's configuration to what no tenant may do, whichever plugin it is: run Lua (custom_fields_by_lua of the logging
// plugins gets Kong's own objects, its database and settings among them), and have Kong call a host that policy.upstreams denies.
func (p Policy) checkPluginConfig(field, plugin string, config map[string]any) error {
	return p.checkConfig(field, config, plugin == "cors")
}

// checkConfig goes through an object. Where onlyNames is set, hosts in it are compared with what clients send, and called by nobody.
func (p Policy) checkConfig(field string, config map[string]any, onlyNames bool) error {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		inner := field + "." + name
		if strings.HasSuffix(strings.ToLower(name), "_by_lua") && config[name] != nil {
			return p.violation(inner, "Lua in a plugin's configuration is never allowed; remove it")
		}
		if host, isText := config[name].(string); isText && !onlyNames && isHostField(name) {
			if err := p.checkHost(inner, host, portBeside(config, name)); err != nil {
				return err
			}
		}
		if err := p.checkConfigValue(inner, config[name], onlyNames); err != nil {
			return err
		}
	}
	return nil
}

func (p Policy) checkConfigValue(field string, value any, onlyNames bool) error {
	switch v := value.(type) {
	case map[string]any:
		return p.checkConfig(field, v, onlyNames)
	case []any:
		for i, element := range v {
			if err := p.checkConfigValue(path("%s[%d]", field, i), element, onlyNames); err != nil {
				return err
			}
		}
	case string:
		if onlyNames || !leads.MatchString(v) {
			return nil
		}
		parts := plainURL.FindStringSubmatch(v)
		if parts == nil {
			return p.violation(field, "it cannot be said for certain which host this URL leads to; write it like https://log.example.com:8443/path")
		}
		return p.checkHost(field, parts[plainURL.SubexpIndex("host")], portOf(parts[plainURL.SubexpIndex("port")], parts[0]))
	}
	return nil
}

var (
	// leads matches a text that a URL parser finds a host in.
	leads = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9+.-]*:)?//`)
	// plainURL matches the URLs in which every parser finds the same host. Kong's takes all up to the first slash for host, port and user, a query too:
	// in http://a.example.com?@127.0.0.1/ it sees another host than Go does.
	plainURL = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[A-Za-z0-9._~%!$&'()*+,;=:-]*@)?(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/.*)?$`)
)

// portOf is the port that a URL names, or that of its scheme.
func portOf(port, text string) int {
	if number, err := strconv.Atoi(port); err == nil {
		return number
	}
	if strings.HasPrefix(strings.ToLower(text), "https:") {
		return 443
	}
	return 80
}

// isHostField says whether a field of Kong's plugins names what Kong connects to: host, redis_host, ip of a node of a Redis cluster.
func isHostField(name string) bool {
	return name == "host" || name == "ip" || strings.HasSuffix(name, "_host")
}

// portBeside is the port that goes with a field of a host: port with host, redis_port with redis_host. 0 where there is none.
func portBeside(config map[string]any, hostField string) int {
	prefix := strings.TrimSuffix(strings.TrimSuffix(hostField, "host"), "ip")
	number, _ := config[prefix+"port"].(float64)
	return int(number)
}
