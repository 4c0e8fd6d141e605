package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
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
	simulated          bool
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
		kind, err := askMode(ctx, g.adminURL)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", adminName, err)
		}
		if other, taken := found[kind]; taken {
			return nil, fmt.Errorf("%s and %s are both %s: which one is to answer?", other.adminURL, g.adminURL, kind)
		}
		found[kind] = g
	}
	return found, nil
}

// lacks says why a scenario of a mode is skipped.
func (g gateways) lacks(wanted mode) string {
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

// askMode asks a gateway for its mode.
func askMode(ctx context.Context, adminURL string) (mode, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+"/", nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: patience}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	var node struct {
		Configuration struct {
			Database string `json:"database"`
		} `json:"configuration"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&node); err != nil || answer.StatusCode != http.StatusOK {
		return "", errors.Join(fmt.Errorf("GET /: answered %s", answer.Status), err)
	}
	return modeOf(node.Configuration.Database), nil
}
