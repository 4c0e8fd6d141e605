package argocd

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	lua "github.com/yuin/gopher-lua"
)

// actionTests is the form of Argo CD's resource_customizations/*/*/actions/action_test.yaml.
type actionTests struct {
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
	DiscoveryTests []struct {
		InputPath string   `json:"inputPath"`
		Result    []action `json:"result"`
	} `json:"discoveryTests"`
}

type action struct {
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

func script(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// plain turns one of Lua's values into decoded YAML.
func plain(from lua.LValue) any {
	switch typed := from.(type) {
	case *lua.LTable:
		if typed.Len() > 0 {
			var list []any
			typed.ForEach(func(_, item lua.LValue) { list = append(list, plain(item)) })
			return list
		}
		object := map[string]any{}
		typed.ForEach(func(key, item lua.LValue) { object[lua.LVAsString(key)] = plain(item) })
		return object
	case lua.LString:
		return string(typed)
	case lua.LBool:
		return bool(typed)
	case lua.LNumber:
		return float64(typed)
	}
	return nil
}

func TestActions(t *testing.T) {
	for _, kind := range kinds {
		var tests actionTests
		folder := filepath.Join(root, kind, "actions")
		read(t, filepath.Join(folder, "action_test.yaml"), &tests)
		tested := map[string]bool{}
		for _, test := range tests.ActionTests {
			t.Run(kind+"/"+test.Action, func(t *testing.T) {
				object, want := map[string]any{}, map[string]any{}
				read(t, filepath.Join(folder, test.InputPath), &object)
				read(t, filepath.Join(folder, test.ExpectedOutputPath), &want)
				NewWithT(t).Expect(plain(run(t, script(t, kind, "actions", test.Action, "action.lua"), object))).To(Equal(want))
			})
			tested[test.Action] = true
		}
		for _, test := range tests.DiscoveryTests {
			t.Run(kind+"/offered for "+filepath.Base(test.InputPath), func(t *testing.T) {
				object := map[string]any{}
				read(t, filepath.Join(folder, test.InputPath), &object)
				var offered []action
				run(t, script(t, kind, "actions", "discovery.lua"), object).ForEach(func(name, about lua.LValue) {
					disabled := lua.LVAsBool(about.(*lua.LTable).RawGetString("disabled"))
					offered = append(offered, action{lua.LVAsString(name), disabled})
				})
				NewWithT(t).Expect(offered).To(ConsistOf(test.Result))
				for _, one := range offered {
					NewWithT(t).Expect(tested).To(HaveKey(one.Name), "each action that is offered is tested")
				}
			})
		}
	}
}

// indent puts a script into a YAML text.
func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}

// customizations are the entries of argocd-cm.
func customizations(t *testing.T) string {
	text := "# Written into argocd-cm by: kubectl -n argocd patch configmap argocd-cm --patch-file argocd/argocd-cm.yaml\n" +
		"# Made of resource_customizations by: go test ./test/argocd -update\ndata:\n"
	for _, kind := range kinds {
		text += "  resource.customizations.health.kongjwt.dev_" + kind + ": |\n" + indent(script(t, kind, "health.lua"), "    ")
		text += "  resource.customizations.actions.kongjwt.dev_" + kind + ": |\n    discovery.lua: |\n" +
			indent(script(t, kind, "actions", "discovery.lua"), "      ") + "    definitions:\n"
		folders, err := filepath.Glob(filepath.Join(root, kind, "actions", "*", "action.lua"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(folders)
		for _, path := range folders {
			name := filepath.Base(filepath.Dir(path))
			text += "    - name: " + name + "\n      action.lua: |\n" + indent(script(t, kind, "actions", name, "action.lua"), "        ")
		}
	}
	return text
}

var update = flag.Bool("update", false, "write argocd-cm.yaml")

// What users put into argocd-cm is what is tested.
func TestConfigMapHoldsTheScripts(t *testing.T) {
	const path = "../../argocd/argocd-cm.yaml"
	want := customizations(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(string(got)).To(Equal(want), "go test ./test/argocd -update writes it")
	var patch struct {
		Data map[string]string `json:"data"`
	}
	read(t, path, &patch)
	NewWithT(t).Expect(patch.Data).To(HaveLen(2 * len(kinds)))
}
