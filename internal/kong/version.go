package kong

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Version is the part of Kong's version that its answers follow from: "3.4.2" is 3.4. The zero value is an unknown
// version.
type Version struct{ Major, Minor int }

// ParseVersion reads what `GET /` calls version: "3.9.3", "3.10.0.1", "2.8.4.7-enterprise-edition". A text that is no
// version gives the zero value.
func ParseVersion(text string) Version {
	major, rest, _ := strings.Cut(text, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	var v Version
	var errMajor, errMinor error
	v.Major, errMajor = strconv.Atoi(major)
	v.Minor, errMinor = strconv.Atoi(minor)
	if errMajor != nil || errMinor != nil || v.Major <= 0 || v.Minor < 0 {
		return Version{}
	}
	return v
}

// CheckVersion is the error for a text that a user gave as a version, and is none; "" is no fault. field names it.
func CheckVersion(field, text string) error {
	if text != "" && ParseVersion(text) == (Version{}) {
		return fmt.Errorf("%s: %q is no version of Kong. Write it as Kong does, such as 3.9 or 3.4.2", field, text)
	}
	return nil
}

// AtLeast says whether v is a version of Kong from other on. An unknown version is taken for a new one.
func (v Version) AtLeast(other Version) bool {
	if v == (Version{}) || v.Major > other.Major {
		return true
	}
	return v.Major == other.Major && v.Minor >= other.Minor
}

// String implements fmt.Stringer: "3.4".
func (v Version) String() string { return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) }

// sinceRedisRecord is the first version whose rate-limiting plugin has the record config.redis.
var sinceRedisRecord = Version{3, 6}

// sinceCheckedHeaders is the first version that refuses a route with a header's expression that it cannot compile
// (kong/db/schema/entities/routes.lua). One before takes it, and its router leaves the route out.
var sinceCheckedHeaders = Version{3, 6}

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
