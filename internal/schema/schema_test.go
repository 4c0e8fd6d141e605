package schema_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

func parse(t *testing.T, manifest string) map[string]any {
	t.Helper()
	var object map[string]any
	content, err := yaml.YAMLToJSON([]byte(manifest))
	if err == nil {
		err = utiljson.Unmarshal(content, &object)
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

const consumer = "apiVersion: kongjwt.dev/v1alpha1\nkind: JwtConsumer\nmetadata: {name: a}\nspec: "

// TestFaults: what the API server refuses is found, field by field, all at once.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		manifest string
		want     []string // beginnings, in any order
	}{
		"good": {consumer + "{gatewayRef: {name: g}, credentials: [{name: c, generate: {secretName: s}}]}", nil},
		"a duration that Go cannot read": {
			consumer + "{gatewayRef: {name: g}, credentials: [{name: c, generate: {secretName: s, rotation: {interval: 30d}}}]}",
			[]string{"spec.credentials[0].generate.rotation.interval: "},
		},
		"two unknown fields": {
			consumer + "{gatewayRef: {name: g}, usrname: x, credentials: [{name: c, generat: {}, generate: {secretName: s}}]}",
			[]string{"spec.credentials[0].generat: there is no such field", "spec.usrname: there is no such field"},
		},
		"no source: a rule": {consumer + "{gatewayRef: {name: g}, credentials: [{name: c}]}", []string{"spec.credentials[0]: "}},
		"a wrong type":      {consumer + "{gatewayRef: {name: g}, revoked: maybe}", []string{"spec.revoked: must be of type boolean"}},
		"one of some": {
			consumer + "{gatewayRef: {name: g}, credentials: [{name: c, algorithm: none, generate: {secretName: s}}]}",
			[]string{"spec.credentials[0].algorithm: supported values: "},
		},
		"a name twice": {
			consumer + "{gatewayRef: {name: g}, credentials: [{name: c, generate: {secretName: s}}, {name: c, generate: {secretName: t}}]}",
			[]string{"spec.credentials[1]: it is there twice"},
		},
		"a name that is none": {strings.Replace(consumer, "{name: a}", "{name: A_b}", 1) + "{gatewayRef: {name: g}}", []string{"metadata.name: "}},
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := schema.Check(t.Context(), "JwtConsumer", parse(t, c.manifest))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(faults, func(f schema.Fault) bool { return strings.HasPrefix(f.String(), want) }) {
					t.Errorf("%q is not in %v", want, faults)
				}
			}
			if len(faults) != len(c.want) {
				t.Errorf("%d faults, want %d: %v", len(faults), len(c.want), faults)
			}
		})
	}
	if _, err := schema.Check(t.Context(), "JwtConsumers", nil); !errors.Is(err, schema.ErrKind) {
		t.Errorf("a kind that is none: %v", err)
	}
}

// TestSamplesHaveNoFaults: what users begin with is taken.
func TestSamplesHaveNoFaults(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(content), "\n---\n") {
			object := parse(t, document)
			kind, _ := object["kind"].(string)
			faults, err := schema.Check(t.Context(), kind, object)
			if errors.Is(err, schema.ErrKind) {
				continue
			}
			checked++
			if err != nil || len(faults) > 0 {
				t.Errorf("%s: %v %v", file, err, faults)
			}
		}
	}
	if checked < 4 {
		t.Errorf("%d samples were looked at", checked)
	}
}
