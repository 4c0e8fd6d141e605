package main

import (
	"testing"

	. "github.com/onsi/gomega"
)

const values = `# About the file.

# How many.
# @schema {"minimum": 0}
replicas: 2
image:
  # Which
  # one.
  tag: ""
# Labels on it.
labels:
  app: web
`

func TestDescribe(t *testing.T) {
	g := NewWithT(t)
	root, rows, err := describe([]byte(values))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rows).To(Equal([]row{
		{Name: "replicas", Default: "2", Description: "How many."},
		{Name: "image.tag", Default: `""`, Description: "Which one."},
		{Name: "labels", Default: `{"app":"web"}`, Description: "Labels on it."},
	}))
	properties := root["properties"].(schema)
	g.Expect(properties["replicas"]).To(Equal(schema{"type": "integer", "minimum": 0.0, "description": "How many."}))
	g.Expect(properties["labels"]).To(Equal(schema{"type": "object", "description": "Labels on it."}), "keys of a value without comments are free")
	g.Expect(properties["image"]).To(HaveKeyWithValue("additionalProperties", false))
	g.Expect(properties).To(HaveKey("global"))
}

func TestDescribeRefuses(t *testing.T) {
	for name, content := range map[string]string{
		"no comment":                    "replicas: 2\n",
		"no type":                       "# Null.\nreplicas:\n",
		"@schema":                       "# Number.\n# @schema {oops\nreplicas: 2\n",
		"is no mapping":                 "- 1\n",
		"did not find expected node":    "a: [\n",
		"image.tag has no comment":      "image:\n  # Name.\n  name: a\n  tag: b\n",
		"replicas has no type: its def": "# A.\nreplicas: ~\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := describe([]byte(content))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(name)))
		})
	}
}
