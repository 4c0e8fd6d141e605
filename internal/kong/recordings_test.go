package kong

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// recordings are what a real Kong answered (test/contract/testdata).
const recordings = "../../test/contract/testdata/3.9.3"

type step struct {
	file, Name string
	Request    struct {
		Target, Method, Path string
		JSON                 map[string]any
	}
	Response struct {
		Status  int
		Headers map[string]string
		JSON    json.RawMessage
	}
}

func (s step) title() string { return s.file + ": " + s.Name }

// recordedSteps are the steps of all files whose name matches that ask the Admin API.
func recordedSteps(t *testing.T, pattern string) []step {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(recordings, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings match %s: %v", pattern, err)
	}
	var steps []step
	for _, file := range files {
		var scenario struct{ Steps []step }
		if err := json.Unmarshal([]byte(resolve(t, readFile(t, file))), &scenario); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, s := range scenario.Steps {
			if s.Request.Target == "admin" {
				s.file = filepath.Base(file)
				steps = append(steps, s)
			}
		}
	}
	return steps
}

// recordedAnswer is the body of one step.
func recordedAnswer(t *testing.T, file, name string) string {
	t.Helper()
	for _, s := range recordedSteps(t, file) {
		if s.Name == name {
			return string(s.Response.JSON)
		}
	}
	t.Fatalf("%s has no step %q", file, name)
	return ""
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

var variable = regexp.MustCompile(`\{\{([a-z_]+)\}\}|<uuid>`)

// resolve puts values where the recordings have placeholders.
func resolve(t *testing.T, text string) string {
	t.Helper()
	text = strings.NewReplacer(
		`"<timestamp>"`, "1790000000",
		`"{{upstream_port}}"`, "9000",
		"{{upstream}}", "http://127.0.0.1:9000",
		"{{upstream_host}}", "127.0.0.1",
	).Replace(text)
	for name, pem := range publicKeys(t) {
		quoted, err := json.Marshal(pem)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "{{public:"+name+"}}", strings.Trim(string(quoted), `"`))
	}
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		return fmt.Sprintf("00000000-0000-4000-9000-%012x", len(name)*256+int(name[2]))
	})
}

func publicKeys(t *testing.T) map[string]string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(recordings, "keys.json"))), &all); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for name, pair := range all {
		if pair, ok := pair.(map[string]any); ok {
			keys[name], _ = pair["publicPEM"].(string)
		}
	}
	return keys
}

// testSchemas are the schemas of all plugins in the recordings.
func testSchemas(t *testing.T) func(string) (Schema, bool) {
	t.Helper()
	bodies := map[string]string{
		"jwt": recordedAnswer(t, "admin-node.json", "schema of the plugin"),
		"acl": recordedAnswer(t, "admin-node.json", "schema of the plugin acl"),
	}
	for _, name := range []string{"rate-limiting", "cors", "request-termination"} {
		bodies[name] = readFile(t, "testdata/schema-"+name+".json")
	}
	schemas := map[string]Schema{}
	for name, body := range bodies {
		schema, err := ParseSchema(name, []byte(body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		schemas[name] = schema
	}
	return func(name string) (Schema, bool) {
		schema, found := schemas[name]
		return schema, found
	}
}

// object decodes a JSON object.
func object(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return out
}
