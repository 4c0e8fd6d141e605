package engine

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// patch changes an entity as somebody with curl does.
func (r *rig) patch(kind kong.Kind, id, body string) {
	r.Helper()
	path := fmt.Sprintf("%s/%s/%s", r.sim.AdminURL(), kind, id)
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPatch, path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		r.Fatalf("PATCH %s: %s", body, answer.Status)
	}
}

// TestAFieldThatIsNotManagedIsDrift: what nobody sends, and what is not as Kong fills it in, is seen and put back. A
// condition switches authentication off.
func TestAFieldThatIsNotManagedIsDrift(t *testing.T) {
	ordering := kongsim.Schemas{Added: map[string]map[string]any{
		"plugins.run_on":    {"type": "string", "required": true, "default": "first"},
		"services.added":    {"type": "string", "required": true, "default": "on"},
		"routes.added":      {"type": "boolean", "required": true, "default": true},
		"consumers.added":   {"type": "set", "elements": map[string]any{"type": "string"}},
		"jwt_secrets.added": {"type": "integer", "required": true, "default": float64(3)},
	}}
	for name, c := range map[string]struct {
		kind        kong.Kind
		field, body string
	}{
		"a plugin's condition": {kong.KindPlugin, "condition", `{"condition":"http.path == \"/open\""}`},
		"a plugin's new field": {kong.KindPlugin, "run_on", `{"run_on":"second"}`},
		"a service's field":    {kong.KindService, "added", `{"added":"off"}`},
		"a route's field":      {kong.KindRoute, "added", `{"added":false}`},
		"a consumer's field":   {kong.KindConsumer, "added", `{"added":["x"]}`},
		"a credential's field": {kong.KindJWT, "added", `{"added":4}`},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVersionRig(t, "3.14.0.0", ordering, false)
			sets := v.all()
			for _, set := range sets {
				v.opened(set)
			}
			v.restart()
			v.sim.ResetRequests()
			v.nothing("what Kong fills in is no drift", sets)
			set := sets[0]
			if !slices.ContainsFunc(set.Entities, func(e kong.Entity) bool { return e.Kind == c.kind }) {
				set = sets[1]
			}
			target := id(set, c.kind)
			v.patch(c.kind, target, c.body)
			v.gateway.Relist(set.Owner, "")
			v.gateway.Relist(set.Owner, "once")
			v.expect(EventDrift, &set.Owner)
			result, err := v.sync(set)
			if err != nil || len(result.Drifts) != 1 || !slices.Equal(result.Drifts[0].Fields, []string{c.field}) {
				t.Fatalf("%v %v", result, err)
			}
			shown, err := v.kong.Get(t.Context(), c.kind, target)
			if err != nil || strings.Contains(fmt.Sprint(shown.Fields[c.field]), "open") {
				t.Errorf("it is not put back: %v", err)
			}
			if writes := v.mustSync(set); writes != 0 {
				t.Errorf("%d writes after it was put back", writes)
			}
		})
	}
}
