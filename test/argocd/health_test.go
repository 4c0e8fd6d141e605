// Package argocd runs our health checks as Argo CD does.
package argocd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

const root = "../../argocd/resource_customizations/kongjwt.dev"

// healthTests is the form of Argo CD's resource_customizations/*/*/health_test.yaml.
type healthTests struct {
	Tests []struct {
		HealthStatus health `json:"healthStatus"`
		InputPath    string `json:"inputPath"`
	} `json:"tests"`
}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// check runs a script as Argo CD does: base, table, string, math and no other library, an object named obj, at most a
// second, and a table with status and message as the answer.
func check(t *testing.T, script string, object map[string]any) health {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, forbidden := range []string{"dofile", "loadfile", "load", "loadstring", "print", "require"} {
		state.SetGlobal(forbidden, lua.LNil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("answered %s, not a table", state.Get(-1).Type())
	}
	return health{Status: lua.LVAsString(answer.RawGetString("status")), Message: lua.LVAsString(answer.RawGetString("message"))}
}

// value turns decoded YAML into Lua's values.
func value(state *lua.LState, from any) lua.LValue {
	switch typed := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range typed {
			table.RawSetString(key, value(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range typed {
			table.Append(value(state, item))
		}
		return table
	case string:
		return lua.LString(typed)
	case bool:
		return lua.LBool(typed)
	case float64:
		return lua.LNumber(typed)
	default:
		return lua.LNil
	}
}

func TestHealth(t *testing.T) {
	for _, kind := range []string{"KongGateway", "JwtConsumer", "JwtProtectedService", "JwtToken"} {
		script, err := os.ReadFile(filepath.Join(root, kind, "health.lua"))
		if err != nil {
			t.Fatal(err)
		}
		var tests healthTests
		read(t, filepath.Join(root, kind, "health_test.yaml"), &tests)
		seen := map[string]bool{}
		for _, test := range tests.Tests {
			t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(test.InputPath), ".yaml"), func(t *testing.T) {
				object := map[string]any{}
				read(t, filepath.Join(root, kind, test.InputPath), &object)
				NewWithT(t).Expect(object).To(HaveKeyWithValue("kind", kind))
				NewWithT(t).Expect(check(t, string(script), object)).To(Equal(test.HealthStatus))
			})
			seen[test.HealthStatus.Status] = true
		}
		NewWithT(t).Expect(seen).To(HaveLen(4), "%s is tested for Healthy, Progressing, Degraded and Suspended", kind)
	}
}

// What users put into argocd-cm is what is tested.
func TestConfigMapHoldsTheScripts(t *testing.T) {
	g := NewWithT(t)
	var patch struct {
		Data map[string]string `json:"data"`
	}
	read(t, "../../argocd/argocd-cm.yaml", &patch)
	g.Expect(patch.Data).To(HaveLen(4))
	for key, script := range patch.Data {
		kind := strings.TrimPrefix(key, "resource.customizations.health.kongjwt.dev_")
		tested, err := os.ReadFile(filepath.Join(root, kind, "health.lua"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(script).To(Equal(string(tested)))
	}
}
