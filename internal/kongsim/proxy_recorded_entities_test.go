package kongsim

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// write plays a step of the Admin API: the store gets what the recorded answer shows.
func (r *replay) write(t *testing.T, step recordedStep) {
	t.Helper()
	k, ref, parent := r.target(t, step.Request.Path)
	before := r.store.find(k, ref)
	if step.Request.Method == http.MethodDelete {
		if problem := r.store.remove(k, idOf(before)); before == nil || problem != nil {
			t.Fatalf("%s: nothing to delete, or refused", step.Name)
		}
		return
	}
	after := r.resolve(t, step.Response.JSON, before)
	maps.Copy(after, parent)
	if problem := r.store.put(k, after); problem != nil {
		t.Fatalf("%s: refused with %v", step.Name, problem.body)
	}
	for name, field := range step.Capture {
		value, _ := after[field].(string)
		r.captured["{{"+name+"}}"] = value
	}
}

// target reads a path: a collection and maybe an entity of it, below a parent or not.
func (r *replay) target(t *testing.T, path string) (k *kind, ref string, parent object) {
	t.Helper()
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 2 {
		row := r.store.find(kinds[parts[0]], parts[1])
		if row == nil {
			t.Fatalf("%s: no parent", path)
		}
		parent = object{strings.TrimSuffix(parts[0], "s"): object{"id": idOf(row)}}
		parts = parts[2:]
	}
	name := parts[0]
	if name == "jwt" {
		name = "jwt_secrets"
	}
	if len(parts) > 1 {
		ref = parts[1]
	}
	if id, ok := r.captured[ref]; ok {
		ref = id
	}
	return kinds[name], ref, parent
}

// resolve fills in what the recordings leave open.
func (r *replay) resolve(t *testing.T, recorded, before object) object {
	t.Helper()
	after := maps.Clone(recorded)
	if strings.ContainsAny(idOf(after), "<{") {
		after["id"] = schema.NewID()
		if before != nil {
			after["id"] = before["id"]
		}
	}
	for field, v := range after {
		switch v := v.(type) {
		case string:
			if name, ok := strings.CutPrefix(v, "{{public:"); ok {
				after[field] = r.keys[strings.TrimSuffix(name, "}}")].PublicPEM
			}
			if v == "{{upstream_port}}" {
				port, err := strconv.Atoi(r.upstream.Port())
				if err != nil {
					t.Fatal(err)
				}
				after[field] = port
			}
		case object:
			if idOf(v) == "<uuid>" && before != nil {
				after[field] = before[field]
			}
		}
	}
	return after
}
