// Command chartdocs writes the README and the values schema of a chart from the comments in its values.yaml.
//
//	chartdocs CHART
//
// The comment above a value is its description. A comment line "@schema {...}" adds keywords of JSON Schema that the
// default cannot tell. The README is CHART/README.md.gotmpl with the table of values in it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chartdocs CHART")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chartdocs:", err)
		os.Exit(1)
	}
}

func run(chart string) error {
	content, err := os.ReadFile(filepath.Join(chart, "values.yaml")) //nolint:gosec // The chart that the caller names.
	if err != nil {
		return err
	}
	root, rows, err := describe(content)
	if err != nil {
		return fmt.Errorf("values.yaml: %w", err)
	}
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema, err := encode(root, "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(chart, "values.schema.json"), schema, 0o644); err != nil { //nolint:gosec // Read by everyone.
		return err
	}
	page, err := template.ParseFiles(filepath.Join(chart, "README.md.gotmpl"))
	if err != nil {
		return err
	}
	var readme bytes.Buffer
	if err := page.Execute(&readme, map[string]any{"Values": rows}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(chart, "README.md"), readme.Bytes(), 0o644) //nolint:gosec // Read by everyone.
}

// row is a value in the README.
type row struct{ Name, Default, Description string }

// schema is a JSON Schema; encoding/json sorts its keywords.
type schema = map[string]any

// describe reads a values.yaml.
func describe(content []byte) (schema, []row, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("is no mapping")
	}
	root, rows, err := object(document.Content[0], "")
	if err == nil {
		// Helm hands these to every chart.
		root["properties"].(schema)["global"] = schema{"type": "object"}
	}
	return root, rows, err
}

// object describes a mapping whose keys are known.
func object(node *yaml.Node, path string) (schema, []row, error) {
	properties, rows := schema{}, []row(nil)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := strings.TrimPrefix(path+"."+key.Value, ".")
		text, keywords, err := comment(key.HeadComment)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		// A mapping with comments inside is a group; one without is a value as a whole.
		if value.Kind == yaml.MappingNode && described(value) {
			group, below, err := object(value, name)
			if err != nil {
				return nil, nil, err
			}
			if text != "" {
				group["description"] = text
			}
			properties[key.Value], rows = group, append(rows, below...)
			continue
		}
		if text == "" {
			return nil, nil, fmt.Errorf("%s has no comment", name)
		}
		leaf, row, err := leafOf(value, name, text)
		if err != nil {
			return nil, nil, err
		}
		for keyword, setting := range keywords {
			leaf[keyword] = setting
		}
		properties[key.Value], rows = leaf, append(rows, row)
	}
	return schema{"type": "object", "additionalProperties": false, "properties": properties}, rows, nil
}

// leafOf describes one value.
func leafOf(node *yaml.Node, name, text string) (schema, row, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, row{}, fmt.Errorf("%s: %w", name, err)
	}
	shown, err := encode(value, "")
	if err != nil {
		return nil, row{}, fmt.Errorf("%s: %w", name, err)
	}
	kinds := map[string]string{"!!str": "string", "!!int": "integer", "!!bool": "boolean", "!!seq": "array", "!!map": "object", "!!float": "number"}
	kind, known := kinds[node.Tag]
	if !known {
		return nil, row{}, fmt.Errorf("%s has no type: its default is %s", name, node.Tag)
	}
	return schema{"type": kind, "description": text}, row{Name: name, Default: string(bytes.TrimSpace(shown)), Description: text}, nil
}

// described says whether a value somewhere inside has a comment.
func described(node *yaml.Node) bool {
	for _, child := range node.Content {
		if child.HeadComment != "" || (child.Kind == yaml.MappingNode && described(child)) {
			return true
		}
	}
	return false
}

// comment takes a comment apart. Of several paragraphs only the last is the value's.
func comment(head string) (text string, keywords schema, err error) {
	paragraphs := strings.Split(head, "\n\n")
	var words []string
	for _, line := range strings.Split(paragraphs[len(paragraphs)-1], "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		if rest, found := strings.CutPrefix(line, "@schema "); found {
			if err := json.Unmarshal([]byte(rest), &keywords); err != nil {
				return "", nil, fmt.Errorf("@schema: %w", err)
			}
			continue
		}
		words = append(words, line)
	}
	return strings.TrimSpace(strings.Join(words, " ")), keywords, nil
}

func encode(value any, indent string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(value)
	return out.Bytes(), err
}
