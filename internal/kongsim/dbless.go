package kongsim

import (
	"crypto/md5" //nolint:gosec // Kong's own hash of a configuration; it protects nothing.
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"
)

// emptyHash is the hash of a node that was given no configuration.
const emptyHash = "00000000000000000000000000000000"

// declarative is the configuration of a Kong without a database.
type declarative struct {
	mu      sync.Mutex
	current string
	loading bool
}

func (d *declarative) hash() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// begin takes the right to load, if nobody else does.
func (d *declarative) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loading {
		return false
	}
	d.loading = true
	return true
}

// end gives the right back; hash is what was loaded, or "".
func (d *declarative) end(hash string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loading = false
	if hash != "" {
		d.current = hash
	}
}

const databaseOnly = "this endpoint is only available when Kong is configured to not use a database"

// getConfig serves GET /config: the configuration as YAML, in a JSON text.
func (a *admin) getConfig(*call) (*answer, *failed) {
	if !a.readOnly {
		return nil, message(http.StatusBadRequest, databaseOnly)
	}
	document := object{"_format_version": "3.0", "_transform": false}
	for _, name := range kindNames {
		if rows := a.store.all(kinds[name]); len(rows) > 0 {
			document[name] = rows
		}
	}
	text, err := yaml.Marshal(document)
	if err != nil {
		return nil, unexpected()
	}
	return ok(object{"config": string(text)})
}

// postConfig replaces the whole configuration, or nothing of it (kong/api/routes/config.lua).
func (a *admin) postConfig(c *call) (*answer, *failed) {
	if !a.readOnly {
		return nil, message(http.StatusBadRequest, databaseOnly)
	}
	content, problem := a.content(c)
	if problem != nil {
		return nil, problem
	}
	document, hash, problem := readConfig(c, content)
	if problem != nil {
		return nil, problem
	}
	if c.query.Get("check_hash") == "1" && hash != "" && hash == a.config.hash() {
		return &answer{status: http.StatusNotModified}, nil
	}
	loaded, problem := loadConfig(a.library, document, truthy(c.query.Get("flatten_errors")), a.store.now)
	if problem != nil {
		return nil, problem
	}
	if !a.config.begin() {
		wait := strconv.Itoa(int(math.Ceil(max(a.options.ConfigLoadTime, time.Second).Seconds())))
		busy := object{"message": "Currently loading previous configuration"}
		return &answer{status: http.StatusTooManyRequests, body: busy, header: http.Header{"Retry-After": {wait}}}, nil
	}
	pause(c.Request, a.options.ConfigLoadTime)
	shown := loaded.dump()
	a.store.swap(loaded)
	if hash == "" {
		hash = hashOf(shown)
	}
	a.config.end(hash)
	return &answer{status: http.StatusCreated, body: shown}, nil
}

func truthy(text string) bool {
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true
	}
	return false
}

// readConfig reads a body: JSON with the configuration, YAML, or JSON or a form with the text of either under
// `config`. Only a text has a hash.
func readConfig(c *call, content []byte) (document object, hash string, problem *failed) {
	contentType := strings.ToLower(c.Header.Get("Content-Type"))
	text := string(content)
	switch {
	case strings.HasPrefix(contentType, "application/json"):
		if document, problem = readJSON(content); problem != nil {
			return nil, "", problem
		}
	case strings.HasPrefix(contentType, formType):
		document = readForm(text)
	}
	if document["_format_version"] != nil {
		return document, "", nil
	}
	if inner, ok := document["config"].(string); ok {
		text = inner
	}
	if text == "" {
		return nil, "", message(http.StatusBadRequest, "expected a declarative configuration")
	}
	document = nil
	if err := yaml.Unmarshal([]byte(text), &document); err != nil || document == nil {
		return nil, "", invalidConfig(object{"error": "failed parsing declarative configuration: expected an object"}, nil)
	}
	return document, hashText(text), nil
}

func hashText(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

// hashOf is the hash of a configuration that came as JSON: of what became of it, generated values and times included.
func hashOf(entities object) string {
	raw, err := json.Marshal(entities)
	if err != nil {
		return emptyHash
	}
	return hashText(string(raw))
}

// dump gives all rows, by kind and id.
func (s *store) dump() object {
	defer s.rlock()()
	all := object{}
	for name, t := range s.tables {
		if len(t.rows) == 0 {
			continue
		}
		byID := make(object, len(t.rows))
		for id, row := range t.rows {
			byID[id] = row
		}
		all[name] = byID
	}
	return all
}
