package main

import (
	"fmt"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// comparedVersions are versions of Kong that take different things, each the first of its kind but for those that
// were recorded.
var comparedVersions = []string{"3.4.2", "3.6", "3.7", "3.8", "3.9.3", "3.14"}

const compatibilityHead = `# What each Kong takes

<!-- Made by make docs from the capabilities of internal/kong. Do not edit. -->

What a gateway takes is read from it when the operator connects: from its version, its plugins and its schemas. What it does not take
stalls the one credential or resource, with the version that it needs in the message; the other credentials of a consumer are in use.
An upgrade of Kong is noticed by itself, and what was refused goes on.

3.4.2 and 3.9.3 are held to recordings of real gateways, and ` + "`make e2e`" + ` runs on a simulation of each. The others follow from Kong's
changelog and were not run.

`

// compatibilityPage writes docs/reference/compatibility.md: features by version of Kong.
func compatibilityPage(string) (string, error) {
	var page strings.Builder
	page.WriteString(compatibilityHead)
	row := func(name string, cell func(kong.Capabilities) string) {
		fmt.Fprintf(&page, "| %s |", name)
		for _, version := range comparedVersions {
			fmt.Fprintf(&page, " %s |", cell(kong.CapabilitiesOf(kong.Node{Version: version}, kong.Schemas{})))
		}
		page.WriteString("\n")
	}
	row("Field", func(c kong.Capabilities) string { return "Kong " + c.Version })
	page.WriteString("|---" + strings.Repeat("|---", len(comparedVersions)) + "|\n")
	for _, names := range [][]string{
		{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384"}, {"ES512", "PS256", "PS384", "PS512", "EdDSA"},
	} {
		row("`algorithm`: "+strings.Join(names, ", "), func(c kong.Capabilities) string {
			return yes(c.TakesAlgorithm(names[0]))
		})
	}
	row("`jwt.realm`", func(c kong.Capabilities) string { return yes(c.TakesJWTOption("realm")) })
	row("`rateLimit.redis`", func(c kong.Capabilities) string {
		if c.FlatRedis {
			return "as `redis_host`"
		}
		return "as `redis.host`"
	})
	return page.String(), nil
}

func yes(has bool) string {
	if has {
		return "yes"
	}
	return "no"
}
