package ingress

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/guards"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestSomebodyIsLetInThoughWhatTheyGetToIsEditedAllTheTime(t *testing.T) {
	for _, kind := range []string{"Ingress", "Service"} {
		r, push, live := pushing(t)
		owner := desired.ServiceOwner("team", "api")
		program := func(want []objects.Object) bool {
			result, _ := r.program(t.Context(), owner, aim{}, want)
			return result.Applied
		}
		former := exposed(t, r, "/admin", addressed("10.1.0.0/16"))
		for !program(former) {
			push()
		}
		want := exposed(t, r, "/public", addressed("10.0.0.0/8"))
		edit := func() {
			live[kind].SetLabels(map[string]string{"edited": "yes"})
			for _, o := range want {
				if o.Kind == kind {
					r.held.Changed(o.Reference, "edited")
				}
			}
		}
		widened := func() bool {
			guard := guardsOf(t, live)["ip-restriction"]
			return !guards.Compare("ip-restriction", guard, guardOfWant(t, r, want, "ip-restriction")).Widens
		}
		for edits := 0; !widened(); edits++ {
			if edits > 20 {
				t.Errorf("%s: kept out for ever", kind)
				break
			}
			edit()
			program(want)
			if widened() && edits < 3 {
				t.Errorf("%s: let in after %d edits", kind, edits)
			}
			push()
			edit()
			program(want) // before what was edited is in Kong
		}
		for i := 0; !program(want); i++ {
			if push(); i > 10 {
				t.Fatalf("%s: never done", kind)
			}
		}
		if path := pathOf(t, live); path != "/public" || live[kind].GetLabels()["edited"] != "" {
			t.Errorf("%s: %s, labels %v", kind, path, live[kind].GetLabels())
		}
	}
}

func TestARouteThatSomebodyOpensBeforeItsPluginsAreInKongIsGuardedAgain(t *testing.T) {
	r, push, live := pushing(t)
	want := exposed(t, r, "/admin", addressed("10.0.0.0/8"))
	program := func() bool {
		result, _ := r.program(t.Context(), desired.ServiceOwner("team", "api"), aim{}, want)
		return result.Applied
	}
	host := func() string {
		rules, _, _ := unstructured.NestedSlice(live["Ingress"].Object, "spec", "rules")
		rule, _ := rules[0].(map[string]any)
		text, _ := rule["host"].(string)
		return text
	}
	program()
	guard := host()
	for range 10 {
		live["Ingress"].Object["spec"] = map[string]any{"rules": []any{map[string]any{"host": "api.example"}}}
		for _, o := range want {
			if o.Kind == "Ingress" {
				r.held.Changed(o.Reference, "edited")
			}
		}
		if program(); host() != guard || !strings.HasSuffix(guard, ".invalid") {
			t.Fatalf("reached by host %q", host())
		}
	}
	for i := 0; !program(); i++ {
		if push(); i > 10 {
			t.Fatal("never done")
		}
	}
	if host() != "" {
		t.Errorf("reached by host %q alone", host())
	}
}

func TestAnEditedListOfGroupsIsPutRightThoughARouteIsNotPushed(t *testing.T) {
	r, push, live := pushing(t)
	owner := desired.ServiceOwner("team", "api")
	want := reached(t, r, "/admin", "staff")
	program := func() bool {
		result, _ := r.program(t.Context(), owner, aim{}, want)
		return result.Applied
	}
	for !program() {
		push()
	}
	edits := func(kind string, fields ...string) {
		t.Helper()
		if err := unstructured.SetNestedStringSlice(live[kind].Object, []string{"edited"}, fields...); err != nil {
			t.Fatal(err)
		}
		for _, o := range want {
			if o.Kind == kind {
				r.held.Changed(o.Reference, "edited")
			}
		}
	}
	edits("Ingress", "spec", "rules")
	program() // no push follows
	edits(objects.KindClusterPlugin, "config", "allow")
	program()
	groups, _, _ := unstructured.NestedStringSlice(live[objects.KindClusterPlugin].Object, "config", "allow")
	if !slices.Equal(groups, []string{"staff"}) {
		t.Errorf("it admits %v", groups)
	}
}
