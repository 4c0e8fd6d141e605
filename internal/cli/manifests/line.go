package manifests

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LineOf is the line of the file that a field is at, such as spec.routes[0].hosts, or the nearest that is there of
// what it is in. Of an item of a List it is the document's.
func (o Object) LineOf(field string) int {
	var root yaml.Node
	if o.Content["kind"] == nil || yaml.Unmarshal(o.document, &root) != nil || len(root.Content) == 0 {
		return o.Line
	}
	node := root.Content[0]
	if kind := child(node, "kind"); kind == nil || kind.Value != o.Content["kind"] {
		return o.Line
	}
	line := node.Line
	for _, step := range strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := child(node, step)
		if next == nil {
			break
		}
		node, line = next, next.Line
	}
	return o.Line + line - 1
}

// child is the value of a mapping's key, or a sequence's element; nil where there is none.
func child(node *yaml.Node, step string) *yaml.Node {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i]
		}
	}
	return nil
}
