// Package ingress replays recordings of an ingress controller (testdata/README.md) against the stand-in for it,
// internal/kicsim, with two simulated Kongs without a database. Time is the recordings': nothing waits.
package ingress

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
)

//go:embed testdata/*.json
var testdata embed.FS

// recording is one file.
type recording struct {
	Scenario   string `json:"scenario"`
	Controller string `json:"controller"`
	Namespace  string `json:"namespace"`
	Steps      []step `json:"steps"`
}

// step is one line of a file; which fields it has says what it is.
type step struct {
	At         float64        `json:"at"`
	Apply      map[string]any `json:"apply"`
	Generation *int64         `json:"generation"`
	Manager    string         `json:"fieldManager"`
	Refused    string         `json:"refused"`
	Delete     string         `json:"delete"`
	Wrote      string         `json:"wrote"`
	Status     map[string]any `json:"status"`
	Event      *event         `json:"event"`
	Node       string         `json:"node"`
	Admin      string         `json:"admin"`
	Proxy      string         `json:"proxy"`
	Host       string         `json:"host"`
	Token      *token         `json:"token"`
	XProbe     string         `json:"x-probe"`
	Answered   int            `json:"answered"`
	Body       any            `json:"body"`
	// WWWAuthenticate and RateLimit are headers of the answer.
	WWWAuthenticate string          `json:"www-authenticate"`
	RateLimit       string          `json:"ratelimit-limit"`
	UpstreamHost    string          `json:"upstreamHost"`
	From            string          `json:"from"`
	UpstreamSaw     *upstreamSaw    `json:"upstreamSaw"`
	Object          string          `json:"object"`
	Is              map[string]any  `json:"is"`
	Note            string          `json:"note"`
	Polled          string          `json:"polled"`
	Answers         json.RawMessage `json:"answers"`
	Order           string          `json:"order"`
	OpenSeconds     float64         `json:"openSeconds"`
	Rotation        map[string]any  `json:"rotation"`
	Measured        map[string]any  `json:"measured"`
}

type event struct {
	On, Reason, Message string
}

type upstreamSaw struct {
	Headers map[string]string `json:"headers"`
	Path    string            `json:"path"`
}

type token struct {
	Alg, Iss, Kid, Exp, SignWith string
}

// key is a key pair that tokens are signed with.
// bases are the files whose objects others were recorded with: those leave out what was alike.
var bases = map[string]string{
	"router-expressions":                "attach-httproute",
	"ko-attach-httproute":               "attach-httproute",
	"ko-fallback-protection":            "fallback-protection",
	"ko-fallback-protection-last-valid": "fallback-protection",
}

func load(part string) ([]recording, error) {
	files, err := fs.Glob(testdata, "testdata/*.json")
	if err != nil {
		return nil, err
	}
	var found []recording
	for _, file := range files {
		if name := path.Base(file); !strings.Contains("ingress/"+name, part) {
			continue
		}
		r, err := read(file)
		if err != nil {
			return nil, err
		}
		if base := bases[r.Scenario]; base != "" {
			full, err := read("testdata/" + base + ".json")
			if err != nil {
				return nil, err
			}
			r.Steps = withObjects(r, full)
		}
		found = append(found, r)
	}
	return found, nil
}

func read(file string) (recording, error) {
	var r recording
	raw, err := testdata.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// withObjects adds the objects of the file that a recording was made with, at the times of its own notes.
func withObjects(r, base recording) []step {
	raw, _ := json.Marshal(base.Steps) //nolint:errchkjson // it was decoded from JSON
	var steps []step
	_ = json.Unmarshal([]byte(strings.ReplaceAll(string(raw), `"`+base.Namespace+`"`, `"`+r.Namespace+`"`)), &steps)
	noted := map[string]float64{}
	for _, s := range r.Steps {
		noted[s.Note] = s.At
	}
	shift := 0.0
	var given []step
	for _, s := range steps {
		if at, found := noted[s.Note]; found && s.Note != "" {
			shift = at - s.At
		}
		if s.Apply != nil || s.Delete != "" {
			s.At += shift
			s.Generation = nil
			given = append(given, s)
		}
	}
	all := append(given, r.Steps...)
	slices.SortStableFunc(all, func(a, b step) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return all
}

// leaveOut drops the steps that show routes as expressions, and says how many there are.
func (r *recording) leaveOut() int {
	before := len(r.Steps)
	r.Steps = slices.DeleteFunc(r.Steps, func(s step) bool {
		return strings.Contains(r.Controller, "router_flavor expressions") && strings.HasSuffix(s.Admin, "/routes")
	})
	return before - len(r.Steps)
}

// options are how the controller of a recording was run.
func (r recording) options() kicsim.Options {
	says := func(text string) bool { return strings.Contains(r.Controller, text) }
	o := kicsim.Options{
		Fallback:  says("FallbackConfiguration"),
		LastValid: says("useLastValidConfig on"),
		NodeNames: []string{"http://kong1:8001", "http://kong2:8001"},
		Pod:       "kong/kic-a",
	}
	if says("Kong Operator") {
		o.SecretLabel, o.CombinedServices = "konghq.com/secret", true
	}
	return o
}

func (r recording) hasWebhook() bool { return strings.Contains(r.Controller, "admission-webhook") }

// firstApplied gives the nth object of a kind that a recording applies.
func (r recording) firstApplied(kind string, n int) map[string]any {
	for _, s := range r.Steps {
		if s.Apply["kind"] != kind {
			continue
		}
		if n == 0 {
			return s.Apply
		}
		n--
	}
	return nil
}

// clone copies an object, so that a replay does not change the recording.
func clone(object map[string]any) map[string]any {
	copied := maps.Clone(object)
	raw, err := json.Marshal(object)
	if err == nil {
		_ = json.Unmarshal(raw, &copied)
	}
	return copied
}
