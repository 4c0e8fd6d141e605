package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

// A folder for each version that was recorded.
//
//go:embed testdata/*/*.json
var testdata embed.FS

// scenario is one file of recordings; testdata/README.md has the format.
type scenario struct {
	file string // with its folder
	keys map[string]tokens.Key
	Kong struct {
		Database string `json:"database"`
		Version  string `json:"version"`
	} `json:"kong"`
	Steps []step `json:"steps"`
}

// version is the one that the scenario was recorded on.
func (s scenario) version() kong.Version { return kong.ParseVersion(s.Kong.Version) }

// mode is the kind of gateway that the scenario was recorded on.
func (s scenario) mode() mode { return modeOf(s.Kong.Database) }

// step is a request and its answer.
type step struct {
	Name        string            `json:"name"`
	Request     request           `json:"request"`
	Response    response          `json:"response"`
	Capture     map[string]string `json:"capture"`
	Eventually  bool              `json:"eventually"`
	UpstreamSaw []string          `json:"upstreamSaw"`
}

type request struct {
	Target  string            `json:"target"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	JSON    json.RawMessage   `json:"json"`
	Form    *string           `json:"form"`
	Raw     *string           `json:"raw"`
	Tokens  []tokens.Token    `json:"tokens"`
}

type response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	JSON    json.RawMessage   `json:"json"`
}

// loadScenarios reads the scenarios whose folder and file name contain part, by name.
func loadScenarios(part string) ([]scenario, error) {
	files, err := fs.Glob(testdata, "testdata/*/*.json")
	if err != nil {
		return nil, err
	}
	var scenarios []scenario
	for _, file := range files {
		name := strings.TrimPrefix(file, "testdata/")
		if path.Base(name) == tokens.KeysFile || !strings.Contains(name, part) {
			continue
		}
		s := scenario{file: name}
		if err := errors.Join(decode(name, &s), decode(path.Join(path.Dir(name), tokens.KeysFile), &s.keys)); err != nil {
			return nil, err
		}
		scenarios = append(scenarios, s)
	}
	return scenarios, nil
}

func decode(name string, into any) error {
	raw, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
