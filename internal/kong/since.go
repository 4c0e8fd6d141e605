package kong

import (
	"maps"
	"slices"
)

// sinceRedisRecord is the first version whose rate-limiting plugin has the record config.redis.
var sinceRedisRecord = Version{3, 6}

// algorithmsSince and jwtOptionsSince say which version brought what
// (https://developer.konghq.com/plugins/jwt/changelog/, and the schemas of 3.4.2 and 3.9.3). The oldest version that
// is told apart is 3.0.
var (
	algorithmsSince = map[string]Version{
		"HS256": {3, 0}, "HS384": {3, 0}, "HS512": {3, 0}, "RS256": {3, 0}, "RS384": {3, 0}, "RS512": {3, 0},
		"ES256": {3, 0}, "ES384": {3, 0}, "ES512": {3, 7}, "PS256": {3, 7}, "PS384": {3, 7}, "PS512": {3, 7}, "EdDSA": {3, 7},
	}
	jwtOptionsSince = map[string]Version{
		"uri_param_names": {3, 0}, "cookie_names": {3, 0}, "header_names": {3, 0}, "key_claim_name": {3, 0},
		"secret_is_base64": {3, 0}, "claims_to_verify": {3, 0}, "anonymous": {3, 0}, "run_on_preflight": {3, 0},
		"maximum_expiration": {3, 0}, "realm": {3, 8},
	}
)

// AlgorithmSince is the version of Kong that brought an algorithm for credentials; the zero value for one that no
// Kong has.
func AlgorithmSince(name string) Version { return algorithmsSince[name] }

// JWTOptionSince is the version of Kong that brought an option of the jwt plugin.
func JWTOptionSince(name string) Version { return jwtOptionsSince[name] }

// namesUpTo are the names that a version has, sorted; nil for a version that is not known.
func namesUpTo(since map[string]Version, version Version) []string {
	if version == (Version{}) {
		return nil
	}
	oldest := Version{3, 0}
	if !version.AtLeast(oldest) {
		version = oldest
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(since)), func(name string) bool { return !version.AtLeast(since[name]) })
}
