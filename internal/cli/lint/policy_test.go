package lint

import (
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// TestARuleThatFailsStopsNoOther: what cannot be evaluated is said, with its rule, and the other rules are looked at.
func TestARuleThatFailsStopsNoOther(t *testing.T) {
	p, err := newPolicy([]byte(`
variables:
- {name: absent, expression: object.spec.absent}
validations:
- {expression: "variables.absent == 1", message: first}
- {expression: "object.spec.missing == 1", message: second}
- {expression: "false", messageExpression: "object.spec.missing"}
- {expression: "false", message: third}
`), []string{"by-variable", "by-itself", "by-message", "sound"})
	if err != nil {
		t.Fatal(err)
	}
	found, failed := p.findings(v1alpha1.KindJwtConsumer, map[string]any{"spec": map[string]any{}})
	if len(found) != 1 || found[0] != (Finding{"sound", Warning, "third"}) {
		t.Errorf("found %v", found)
	}
	for i, want := range []Finding{
		{"by-variable", Warning, "variable absent: "}, {"by-itself", Warning, "missing"}, {"by-message", Warning, "missing"},
	} {
		if i >= len(failed) || failed[i].Rule != want.Rule || !strings.Contains(failed[i].Message, want.Message) {
			t.Errorf("failed: %v, want %v", failed, want)
		}
	}
}
