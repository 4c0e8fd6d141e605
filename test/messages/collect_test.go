package messages

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// kinds of messages, in the order in which they are written down.
const (
	stalled   = "Stalled"   // a refusal: a person has to act
	waiting   = "Wait"      // the operator goes on by itself
	condition = "Condition" // a message of a condition beside the two
	event     = "Event"
	cause     = "Cause" // an error that becomes the end of another message
	plugin    = "Plugin"
	schema    = "Schema" // a rule of the CRDs that the API server checks
)

func (m message) String() string {
	if m.reason == "" {
		return m.kind + ": " + m.text
	}
	return m.kind + " " + m.reason + ": " + m.text
}

// root is the repository.
const root = "../.."

// said are the packages whose messages users see, and what their errors are.
var said = map[string]string{
	"controllers": cause, "internal/claims": cause, "internal/credential": cause, "internal/desired": cause, "internal/engine": cause,
	"internal/ingress": cause, "internal/jwks": cause, "internal/kong": cause, "internal/objects": cause, "internal/pluginconfig": cause,
	"internal/mistakes": cause, "internal/probe": cause, "internal/resolve": cause, "internal/secrets": cause, "internal/token": cause, "internal/backend": cause,
	"internal/cli": plugin, "internal/importer": plugin, "cmd/kubectl-kongjwt": plugin,
}

// collect reads all messages from the source.
func collect(t *testing.T) []message {
	t.Helper()
	var all []message
	for folder, errors := range said {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // a package of another day
			}
			if err != nil || !entry.IsDir() || strings.Contains(path, "testdata") {
				return err
			}
			all = append(all, ofPackage(t, path, errors)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return append(all, ofSchemas(t)...)
}

var (
	words      = regexp.MustCompile(`[A-Za-z]`)
	expression = regexp.MustCompile(`\{[^{}]*\}`)
)

// ofSchemas reads the messages of the CRDs' rules.
func ofSchemas(t *testing.T) []message {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d CRDs, %v", len(paths), err)
	}
	var found []message
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd map[string]any
		if err := yaml.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), "kongjwt.dev_"), ".")
		walk(crd, "", func(field string, rule map[string]any) {
			text, _ := rule["message"].(string)
			if expression, ok := rule["messageExpression"].(string); ok {
				text = "{" + expression + "}"
			}
			if below, ok := rule["fieldPath"].(string); ok {
				field += below
			}
			found = append(found, message{kind: schema, where: name, text: strings.TrimPrefix(field, ".") + ": " + text})
		})
	}
	return found
}

// walk visits the rules of a schema, with the field that each is on.
func walk(node any, field string, visit func(string, map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		rules, _ := node["x-kubernetes-validations"].([]any)
		for _, rule := range rules {
			if rule, ok := rule.(map[string]any); ok {
				visit(field, rule)
			}
		}
		for name, child := range node {
			switch name {
			case "properties":
				fields, _ := child.(map[string]any)
				for property, schema := range fields {
					walk(schema, field+"."+property, visit)
				}
			case "items":
				walk(child, field+"[]", visit)
			case "additionalProperties":
				walk(child, field+"{}", visit)
			default:
				walk(child, field, visit)
			}
		}
	case []any:
		for _, child := range node {
			walk(child, field, visit)
		}
	}
}

// page writes messages down for a reader: by package, refusals first.
func page(all []message) string {
	order := []string{stalled, waiting, condition, event, schema, cause, plugin}
	slices.SortFunc(all, func(a, b message) int {
		for _, by := range []int{
			strings.Compare(a.where, b.where), slices.Index(order, a.kind) - slices.Index(order, b.kind),
			strings.Compare(a.reason, b.reason), strings.Compare(a.text, b.text),
		} {
			if by != 0 {
				return by
			}
		}
		return 0
	})
	var out strings.Builder
	out.WriteString(head)
	where := ""
	for _, m := range slices.Compact(all) {
		if m.where != where {
			fmt.Fprintf(&out, "\n%s\n%s\n", m.where, strings.Repeat("-", len(m.where)))
			where = m.where
		}
		fmt.Fprintf(&out, "%s\n", strings.ReplaceAll(strings.ReplaceAll(m.String(), "\n", " "), "\x00", "%"))
	}
	return out.String()
}

const head = `Every message that the operator, the CRDs and kubectl kongjwt can give, by package; {x} stands for the value of x.
Made by go test ./test/messages -update. Read it from top to bottom when a message changes.

Stalled: a person has to act. Wait: the operator goes on by itself. Condition, Event: as in Kubernetes.
Schema: the API server refuses it. Cause: the end of another message. Plugin: kubectl kongjwt.
`
