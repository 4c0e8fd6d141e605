// Package argocd runs our health checks and actions as Argo CD does.
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

var kinds = []string{"KongGateway", "JwtConsumer", "JwtProtectedService", "JwtToken"}

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

// check runs a health check.
func check(t *testing.T, script string, object map[string]any) health {
	t.Helper()
	answer := run(t, script, object)
	return health{Status: lua.LVAsString(answer.RawGetString("status")), Message: lua.LVAsString(answer.RawGetString("message"))}
}

// run runs a script as Argo CD does: base, table, string, math and no other library but the date, an object named obj,
// at most a second, and a table as the answer. The date is always the same.
func run(t *testing.T, script string, object map[string]any) *lua.LTable {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	t.Cleanup(state.Close)
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
	clock := state.NewTable()
	clock.RawSetString("date", state.NewFunction(func(l *lua.LState) int {
		if format := l.CheckString(1); format != "!%Y-%m-%dT%XZ" {
			t.Errorf("the date's format is %s", format)
		}
		l.Push(lua.LString("0001-01-01T00:00:00Z"))
		return 1
	}))
	state.SetGlobal("os", clock)
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
	return answer
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
	for _, kind := range kinds {
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
