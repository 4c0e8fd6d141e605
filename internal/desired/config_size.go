package desired

import (
	"encoding/json"
	"sync"

	"sigs.k8s.io/yaml"
)

// Bounds of the configurations that tenants write for plugins, in bytes. They are the operator's own: what is read is
// in its memory, and a few kilobytes of YAML can become megabytes there.
const (
	// MaxSourceBytes is how long the content of one configFrom may be.
	MaxSourceBytes = 128 << 10
	// MaxConfigBytes is how long all configurations of one resource may be together, Secrets included, and each of
	// them as JSON, with the aliases of YAML resolved.
	MaxConfigBytes = 256 << 10
)

// parsing is held while a configuration is parsed. What a parser needs is many times what it reads: one at a time.
var parsing sync.Mutex

// parseConfig reads a JSON or YAML object; nil where it is none, or too long once its aliases are resolved.
func parseConfig(content []byte) map[string]any {
	parsing.Lock()
	defer parsing.Unlock()
	if len(content) > MaxSourceBytes {
		return nil
	}
	raw, err := yaml.YAMLToJSON(content)
	if err != nil || len(raw) > MaxConfigBytes {
		return nil
	}
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	return object
}
