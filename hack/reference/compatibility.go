package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// compatibilityTail has the versions of Kubernetes, by hack/controlplane.
const compatibilityTail = `
## Kubernetes

| Kubernetes | It is |
|---|---|
| %s | the newest: everything is run on it, at each change |
| %s | the oldest that is supported upstream: the controllers and ` + "`make e2e`" + ` are run on it, each night |

Versions between them follow. From 1.30 on the definitions are taken as they are; versions older than 1.35 have no support anywhere, and are not run.

## Modes of Kong

| What | Database | DB-less | Hybrid |
|---|---|---|---|
| where the operator writes | the Admin API of any node | the Admin API of each node | the Admin API of the control plane |
| beside what others write | yes | no: the whole configuration is the operator's | yes |
| ` + "`spec.adoption`" + ` that takes up what is there | ` + "`Unowned`" + ` | ` + "`Replace`" + ` | ` + "`Unowned`" + ` |
| ` + "`spec.drift.policy: Report`" + ` | yes | no | yes |
| ` + "`spec.dataPlanes`" + `: seen on each node | yes | yes | yes, and needed to know |
`

// compatibilityPage writes docs/reference/compatibility.md: features by version of Kong.
func compatibilityPage(root string) (string, error) {
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
	var versions []any
	for _, file := range []string{"go.mod", "oldest.mod"} {
		version, err := kubernetesOf(filepath.Join(root, "hack", "controlplane", file))
		if err != nil {
			return "", err
		}
		versions = append(versions, version)
	}
	fmt.Fprintf(&page, compatibilityTail, versions...)
	return page.String(), nil
}

// kubernetesOf is the version of Kubernetes that a module file of hack/controlplane pins.
func kubernetesOf(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // a file of this repository
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes v([0-9.]+)$`).FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%s pins no k8s.io/kubernetes", file)
	}
	return string(found[1]), nil
}

func yes(has bool) string {
	if has {
		return "yes"
	}
	return "no"
}
