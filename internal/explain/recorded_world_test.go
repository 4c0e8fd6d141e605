package explain_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

type entity = map[string]any

// world is what a recorded Kong holds, by the Admin API's own answers.
type world struct {
	keys map[string]tokens.Key
	rows map[string]map[string]entity // by collection and id
	// gone are consumers that were deleted: their credentials stay in the data plane's cache.
	gone map[string]bool
}

func newWorld(keys map[string]tokens.Key) *world {
	return &world{keys: keys, rows: map[string]map[string]entity{}, gone: map[string]bool{}}
}

func (w *world) clone() *world {
	c := newWorld(w.keys)
	for collection, rows := range w.rows {
		c.rows[collection] = maps.Clone(rows)
	}
	c.gone = maps.Clone(w.gone)
	return c
}

// write takes in a step of the Admin API.
func (w *world) write(t *testing.T, step recordedStep) {
	t.Helper()
	parts := strings.Split(strings.Trim(step.Request.Path, "/"), "/")
	links := entity{}
	if len(parts) > 2 {
		links[strings.TrimSuffix(parts[0], "s")] = entity{"id": idOf(w.find(parts[0], parts[1]))}
		parts = parts[2:]
	}
	collection, ref := parts[0], ""
	if len(parts) > 1 {
		ref = parts[1]
	}
	before := w.find(collection, ref)
	if step.Request.Method == http.MethodDelete {
		if before == nil {
			t.Fatalf("%s: nothing to delete", step.Name)
		}
		if collection == "consumers" {
			w.gone[idOf(before)] = true
			return
		}
		delete(w.rows[collection], idOf(before))
		return
	}
	after := maps.Clone(step.Response.JSON)
	for field, value := range after {
		if text, ok := value.(string); ok && strings.HasPrefix(text, "{{public:") {
			after[field] = w.keys[strings.TrimSuffix(strings.TrimPrefix(text, "{{public:"), "}}")].PublicPEM
		}
		if isPlaceholder(value) && before != nil {
			after[field] = before[field]
		}
	}
	maps.Copy(after, links)
	if strings.ContainsAny(idOf(after), "<{") {
		after["id"] = collection + "/" + ref + nameOf(after)
	}
	if w.rows[collection] == nil {
		w.rows[collection] = map[string]entity{}
	}
	if old := idOf(before); before != nil {
		after["id"] = old
	}
	w.rows[collection][idOf(after)] = after
}

// isPlaceholder says whether a recording leaves a reference open.
func isPlaceholder(value any) bool {
	row, ok := value.(entity)
	return ok && strings.ContainsAny(idOf(row), "<{")
}

func idOf(row entity) string { id, _ := row["id"].(string); return id }

func nameOf(row entity) string {
	for _, field := range []string{"name", "username", "key"} {
		if name, ok := row[field].(string); ok {
			return name
		}
	}
	return ""
}

// find finds a row by id or name; a variable of the recordings stands for the one plugin there is.
func (w *world) find(collection, ref string) entity {
	for id, row := range w.rows[collection] {
		if id == ref || ref != "" && nameOf(row) == ref || strings.HasPrefix(ref, "{{") {
			return row
		}
	}
	return nil
}

func decode[T any](t *testing.T, row entity) T {
	t.Helper()
	raw, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type reference struct {
	ID string `json:"id"`
}

type routeRow struct {
	ID, Name       string
	Service        *reference
	Protocols      []string
	Methods        []string
	Hosts          []string
	Paths          []string
	Headers        map[string][]string
	RedirectStatus int `json:"https_redirect_status_code"`
}

// routes gives what the router knows.
func (w *world) routes(t *testing.T) ([]*router.Route, map[string]*router.Service) {
	t.Helper()
	services := map[string]*router.Service{}
	for id, row := range w.rows["services"] {
		services[id] = &router.Service{ID: id, Name: nameOf(row), Enabled: row["enabled"] == true}
	}
	var routes []*router.Route
	for id, row := range w.rows["routes"] {
		r := decode[routeRow](t, row)
		routes = append(routes, &router.Route{
			ID: id, Name: r.Name, ServiceID: r.Service.ID, Protocols: r.Protocols, Methods: r.Methods, Hosts: r.Hosts,
			Paths: r.Paths, Headers: r.Headers, RedirectStatus: r.RedirectStatus,
		})
	}
	return routes, services
}

// guard is what stands before a service's upstream: a route's plugin goes before its service's.
func (w *world) guard(t *testing.T, routeID, serviceID string, spent bool) explain.Guard {
	t.Helper()
	var guard explain.Guard
	for name, set := range map[string]func(config entity){
		"jwt": func(c entity) { guard.JWT = settings(t, c, pluginconfig.JWTSettings) },
		"acl": func(c entity) { guard.ACL = settings(t, c, pluginconfig.ACLSettings) },
		"rate-limiting": func(c entity) {
			guard.Limits = explain.Limits(*settings(t, c, pluginconfig.RateLimitSettings))
			for i := range guard.Limits {
				guard.Limits[i].Spent = spent
			}
		},
		"request-termination": func(entity) { guard.Others = append(guard.Others, "request-termination") },
	} {
		for _, id := range []string{serviceID, routeID} {
			for _, row := range w.rows["plugins"] {
				if row["name"] == name && (linked(row, "service") == id || linked(row, "route") == id) {
					config, _ := row["config"].(entity)
					set(config)
				}
			}
		}
	}
	return guard
}

func settings[T any](t *testing.T, config entity, read func(map[string]any) (T, error)) *T {
	t.Helper()
	got, err := read(config)
	if err != nil {
		t.Fatal(err)
	}
	return &got
}

func linked(row entity, field string) string {
	link, _ := row[field].(entity)
	return idOf(link)
}

// Credential implements jwtplugin.Directory.
func (w *world) Credential(key string) (jwtplugin.Credential, bool) {
	row := w.find("jwt", key)
	if row == nil || row["key"] != key {
		return jwtplugin.Credential{}, false
	}
	text := func(field string) string { v, _ := row[field].(string); return v }
	return jwtplugin.Credential{
		ID: idOf(row), Key: key, Algorithm: text("algorithm"), Secret: jwtplugin.Secret(text("secret")),
		PublicKey: text("rsa_public_key"), ConsumerID: linked(row, "consumer"),
	}, true
}

// Consumer implements jwtplugin.Directory.
func (w *world) Consumer(ref string) (jwtplugin.Consumer, bool) {
	row := w.find("consumers", ref)
	if row == nil || w.gone[idOf(row)] {
		return jwtplugin.Consumer{}, false
	}
	return jwtplugin.Consumer{ID: idOf(row), Username: nameOf(row)}, true
}

func (w *world) groups(consumerID string) ([]string, bool) {
	var groups []string
	for _, row := range w.rows["acls"] {
		if group, _ := row["group"].(string); linked(row, "consumer") == consumerID {
			groups = append(groups, group)
		}
	}
	return groups, true
}
