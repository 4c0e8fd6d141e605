package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed testdata/*.json
var testdata embed.FS

// keysFile holds the key pairs that tokens are signed with; it is no scenario.
const keysFile = "keys.json"

// scenario is one file of recordings; testdata/README.md has the format.
type scenario struct {
	file string
	Kong struct {
		Database string `json:"database"`
	} `json:"kong"`
	Steps []step `json:"steps"`
}

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
	Tokens  []token           `json:"tokens"`
}

type response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	JSON    json.RawMessage   `json:"json"`
}

// key is a key pair of keys.json.
type key struct {
	PrivatePEM string `json:"privatePEM"`
	PublicPEM  string `json:"publicPEM"`
}

// loadKeys reads the key pairs by name.
func loadKeys() (map[string]key, error) {
	keys := map[string]key{}
	return keys, decode(keysFile, &keys)
}

// loadScenarios reads the scenarios whose file name contains part, by name.
func loadScenarios(part string) ([]scenario, error) {
	files, err := fs.Glob(testdata, "testdata/*.json")
	if err != nil {
		return nil, err
	}
	var scenarios []scenario
	for _, file := range files {
		name := path.Base(file)
		if name == keysFile || !strings.Contains(name, part) {
			continue
		}
		s := scenario{file: name}
		if err := decode(name, &s); err != nil {
			return nil, err
		}
		scenarios = append(scenarios, s)
	}
	if len(scenarios) == 0 {
		return nil, fmt.Errorf("no scenario is named like %q", part)
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
