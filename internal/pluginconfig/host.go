package pluginconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// IsHost says whether an option of Kong's plugins names what Kong connects to: host, redis_host, ip of a node of a
// Redis cluster.
func IsHost(option string) bool {
	switch option {
	case "host", "ip", "hostdomain", "server":
		return true
	}
	return hasSuffix(option, "_host", "_server")
}

// namesServer says whether an option of the settings of a server, with a value, says which server it is: a host, a
// socket, or the nodes of a cluster.
func namesServer(option string, value any) bool {
	return (IsHost(option) || hasSuffix(option, "nodes", "addresses", "socket")) && !empty(value)
}

func hasSuffix(text string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(text, suffix) {
			return true
		}
	}
	return false
}

// FindRedis gives where in a plugin's configuration a Redis server is named, by its path.
func FindRedis(config map[string]any) (at string, found bool) { return findRedis("", config, false) }

func findRedis(at string, value any, within bool) (string, bool) {
	switch v := value.(type) {
	case []any:
		for i, element := range v {
			if at, found := findRedis(fmt.Sprintf("%s[%d]", at, i), element, within); found {
				return at, true
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			inner, inside := strings.TrimPrefix(at+"."+name, "."), within || strings.Contains(strings.ToLower(name), "redis")
			if inside && namesServer(name, v[name]) {
				return inner, true
			}
			if at, found := findRedis(inner, v[name], inside); found {
				return at, true
			}
		}
	}
	return "", false
}
