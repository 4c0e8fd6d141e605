package e2e

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// takes is what the Kong under test takes, by its version: KONG_VERSION says it, or else the Kong that KONG_ADMIN_URL
// names. Specs are chosen by it, so that it is known before anything runs.
var takes = kong.CapabilitiesOf(kong.Node{Version: cmp.Or(os.Getenv("KONG_VERSION"), askedVersion(), "3.9.3")}, kong.Schemas{})

// askedVersion asks a real Kong for its version; empty where none is named, or none answers.
func askedVersion() string {
	url := strings.TrimSuffix(os.Getenv("KONG_ADMIN_URL"), "/")
	if url == "" {
		return ""
	}
	response, err := http.Get(url + "/")
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	var node struct{ Version string }
	_ = json.NewDecoder(response.Body).Decode(&node) // no answer is no version
	return node.Version
}

// splitAlgorithms are those that the Kong under test takes, and those that it lacks.
func splitAlgorithms(all []v1alpha1.Algorithm) (taken, lacking []v1alpha1.Algorithm) {
	lacks := func(a v1alpha1.Algorithm) bool { return !takes.TakesAlgorithm(string(a)) }
	for _, algorithm := range all {
		if lacks(algorithm) {
			lacking = append(lacking, algorithm)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), lacks), lacking
}

// redisOption is the path of an option of the rate-limiting plugin's Redis, in the form of the Kong under test.
func redisOption(name string) string {
	if takes.FlatRedis {
		return "config.redis_" + name
	}
	return "config.redis." + name
}

// redisConfig is a configuration of the rate-limiting plugin with one option of its Redis.
func redisConfig(name string, value any) entity {
	if takes.FlatRedis {
		return entity{"redis_" + name: value}
	}
	return entity{"redis": entity{name: value}}
}

// wildcardSNI is an SNI for all names below a host, where the Kong under test takes one: 3.7 or newer.
func wildcardSNI(host string) string {
	if !kong.ParseVersion(takes.Version).AtLeast(kong.Version{Major: 3, Minor: 7}) {
		return "one." + host
	}
	return "*." + host
}

// realm is a realm for a jwt plugin, where the Kong under test takes one.
func realm(text string) string {
	if takes.TakesJWTOption("realm") {
		return text
	}
	return ""
}

// wantedRealm is what Kong shows of it.
func wantedRealm(text string) any {
	if realm(text) == "" {
		return nil
	}
	return text
}
