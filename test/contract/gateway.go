package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// mode says where a gateway keeps its configuration: a scenario fits gateways of one mode.
type mode string

const (
	database mode = "with a database"
	dbless   mode = "without a database"
)

// modeOf reads what Kong calls `database`: "postgres", or "off".
func modeOf(configured string) mode {
	if configured == "off" {
		return dbless
	}
	return database
}

// gateway is where a scenario is replayed.
type gateway struct {
	adminURL, proxyURL string
	version            kong.Version
	simulated          bool
}

// fits says whether a scenario of the gateway's mode is of the newest version, up to the gateway's own, that any was
// recorded on.
func (g gateway) fits(s scenario, all []scenario) bool {
	if !g.version.AtLeast(s.version()) {
		return false
	}
	return !slices.ContainsFunc(all, func(other scenario) bool {
		return other.mode() == s.mode() && g.version.AtLeast(other.version()) && !s.version().AtLeast(other.version())
	})
}

// gateways are the real ones that the environment names. None: the simulated Kong answers.
type gateways map[mode]gateway

// namedGateways asks each gateway that the environment names for its mode.
func namedGateways(ctx context.Context, env func(string) string) (gateways, error) {
	found := gateways{}
	for _, prefix := range []string{"KONG_", "KONG_DBLESS_"} {
		adminName, proxyName := prefix+"ADMIN_URL", prefix+"PROXY_URL"
		g := gateway{adminURL: strings.TrimSuffix(env(adminName), "/"), proxyURL: strings.TrimSuffix(env(proxyName), "/")}
		if (g.adminURL == "") != (g.proxyURL == "") {
			return nil, fmt.Errorf("name both the Admin API and the proxy of a Kong, %s and %s, or neither", adminName, proxyName)
		}
		if g.adminURL == "" {
			continue
		}
		kind, version, err := askNode(ctx, g.adminURL)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", adminName, err)
		}
		if other, taken := found[kind]; taken {
			return nil, fmt.Errorf("%s and %s are both %s: which one is to answer?", other.adminURL, g.adminURL, kind)
		}
		g.version = version
		found[kind] = g
	}
	return found, nil
}

// lacks says why a scenario is skipped.
func (g gateways) lacks(s scenario) string {
	wanted := s.mode()
	if fitting, found := g[wanted]; found {
		return fmt.Sprintf("recorded on Kong %s, and %s is %s", s.Kong.Version, fitting.adminURL, fitting.version)
	}
	variables := "KONG_ADMIN_URL and KONG_PROXY_URL"
	if wanted == dbless {
		variables = "KONG_DBLESS_ADMIN_URL and KONG_DBLESS_PROXY_URL"
	}
	for kind, other := range g {
		if kind != wanted {
			return fmt.Sprintf("recorded %s, and %s is one %s; %s may name one that fits", wanted, other.adminURL, kind, variables)
		}
	}
	return "no gateway is named"
}

// askNode asks a gateway for its mode and version.
func askNode(ctx context.Context, adminURL string) (mode, kong.Version, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+"/", nil)
	if err != nil {
		return "", kong.Version{}, err
	}
	client := &http.Client{Timeout: patience}
	answer, err := client.Do(request)
	if err != nil {
		return "", kong.Version{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	var node struct {
		Version       string `json:"version"`
		Configuration struct {
			Database string `json:"database"`
		} `json:"configuration"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&node); err != nil || answer.StatusCode != http.StatusOK {
		return "", kong.Version{}, errors.Join(fmt.Errorf("GET /: answered %s", answer.Status), err)
	}
	return modeOf(node.Configuration.Database), kong.ParseVersion(node.Version), nil
}
