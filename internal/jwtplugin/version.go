package jwtplugin

import (
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// What changed in the plugin and when: https://developer.konghq.com/plugins/jwt/changelog/, and the recordings of
// 3.4.2 and 3.9.3 (test/contract).

// algorithmsOf37 are those that Kong verifies from 3.7 on.
var algorithmsOf37 = []string{"ES512", "PS256", "PS384", "PS512", "EdDSA"}

// since says whether the plugin is that of Kong 3.minor or of a newer one.
func (c Config) since(minor int) bool {
	version := c.Version
	if version == (kong.Version{}) {
		version = kong.Version{Major: 3, Minor: 9}
	}
	return version.AtLeast(kong.Version{Major: 3, Minor: minor})
}

// verifies says whether the plugin knows an algorithm.
func (c Config) verifies(alg string) bool {
	_, known := algorithms[alg]
	return known && (c.since(7) || !slices.Contains(algorithmsOf37, alg))
}

// decodeBase64 decodes a part of a token, or a secret: base64url, and before Kong 3.7 the standard alphabet too
// (kong/plugins/jwt/jwt_parser.lua).
func (c Config) decodeBase64(text string) ([]byte, bool) {
	if !c.since(7) {
		text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	}
	return decodeBase64URL(text)
}

// challenges says whether refusals carry a WWW-Authenticate header.
func (c Config) challenges() bool { return c.since(8) }

// decodesPublicKeys says whether secret_is_base64 decodes public keys too. A PEM text is no base64, so that each
// token of such a credential is refused.
func (c Config) decodesPublicKeys() bool { return !c.since(9) }

// separatesByComma says whether the challenge separates realm and error as RFC 9110 does.
func (c Config) separatesByComma() bool { return c.since(11) }
