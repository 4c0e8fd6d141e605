package kongsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func startDBLess(t *testing.T, o Options) *adminAPI {
	t.Helper()
	o.Database = "off"
	return startAdmin(t, o)
}

// postYAML sends a configuration as a text.
func (a *adminAPI) postYAML(t *testing.T, query, text string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.AdminURL()+"/config"+query, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/yaml")
	response, err := a.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

func (a *adminAPI) configHash(t *testing.T) any {
	t.Helper()
	return a.must(t, "GET", "/status", "")["configuration_hash"]
}

func TestConfigAsText(t *testing.T) {
	a := startDBLess(t, Options{})
	if hash := a.configHash(t); hash != emptyHash {
		t.Errorf("at first: %v", hash)
	}
	const text = "_format_version: '3.0'\nconsumers:\n- username: john\n  acls:\n  - group: g\n"
	if response := a.postYAML(t, "", text); response.StatusCode != http.StatusCreated {
		t.Fatalf("%s", response.Status)
	}
	first := a.must(t, "GET", "/consumers/john", "")
	hash := a.configHash(t)
	if response := a.postYAML(t, "?check_hash=1", text); response.StatusCode != http.StatusNotModified {
		t.Errorf("the same again, hash checked: %s", response.Status)
	}
	if response := a.postYAML(t, "", text); response.StatusCode != http.StatusCreated {
		t.Errorf("the same again: %s", response.Status)
	}
	if again := a.must(t, "GET", "/consumers/john", ""); idOf(again) != idOf(first) || a.configHash(t) != hash {
		t.Error("the same configuration makes other ids, or another hash")
	}
	if response := a.postYAML(t, "", "- a\n- b\n"); response.StatusCode != http.StatusBadRequest || a.configHash(t) != hash {
		t.Errorf("a list: %s", response.Status)
	}
	if groups := a.must(t, "GET", "/consumers/john/acls", ""); len(ids(groups)) != 1 {
		t.Errorf("%v", groups)
	}
}

func TestConfigByName(t *testing.T) {
	a := startDBLess(t, Options{})
	a.must(t, "POST", "/config", `{"_format_version":"3.0","services":[{"id":"`+aUUID+`","name":"s","host":"h"}],"routes":[{"name":"r","paths":["/r"],"service":"s"}],
		"plugins":[{"name":"jwt","route":"r"},{"name":"cors","service":{"id":"`+aUUID+`"}}],"consumers":[{"username":"c"}],"jwt_secrets":[{"key":"k","consumer":"c"}]}`)
	if owner := a.must(t, "GET", "/jwts/k/consumer", ""); owner["username"] != "c" {
		t.Errorf("%v", owner)
	}
	for path, want := range map[string]int{"/routes/r/plugins": 1, "/services/s/plugins": 1, "/services/s/routes": 1} {
		if page := a.must(t, "GET", path, ""); len(ids(page)) != want {
			t.Errorf("%s: %v", path, page)
		}
	}
}

func TestConfigIsRefusedWhole(t *testing.T) {
	a := startDBLess(t, Options{})
	a.must(t, "POST", "/config", `{"_format_version":"3.0","consumers":[{"username":"before"}]}`)
	for input, want := range map[string]string{
		`{"_format_version":"3.0","plugins":[{"name":"rate-limiting","config":{"minute":1,"policy":"cluster"}}]}`: `{"plugins":[{"config":{"policy":"expected one of: local, redis"}}]}`,
		`{"_format_version":"9"}`:                      `{"_format_version":"expected one of: 1.1, 2.1, 3.0"}`,
		`{"_format_version":"3.0","nope":[]}`:          `{"nope":"unknown field"}`,
		`{"_format_version":"3.0","services":{"a":1}}`: `{"services":"expected an array"}`,
		`{"_format_version":"3.0","services":[{"host":"h"},{"host":"h","routes":[{"name":"r"}]}]}`:                          `{"services":[null,{"routes":[{"@entity":["must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"]}]}]}`,
		`{"_format_version":"3.0","services":[{"name":"s","host":"h"}],"plugins":[{"name":"cors","service":{"name":"s"}}]}`: `{"plugins":[{"service":{"id":"missing primary key"}}]}`,
		`{"_format_version":"3.0","consumers":[{"username":"a"},{"username":"a"}]}`:                                         `{"consumers":[null,"uniqueness violation: 'consumers' entity with username set to 'a' already declared"]}`,
		`{"_format_version":"3.0","routes":[{"name":"r","paths":["/"],"service":"nope"}]}`:                                  `{"routes":{"r":["invalid reference 'service: nope' (no such entry in 'services')"]}}`,
		`{"_format_version":"3.0","consumers":[{"username":"a","plugins":[{"name":"jwt"}]}]}`:                               `{"consumers":[{"plugins":[{"consumer":"value must be null"}]}]}`,
		`{"_format_version":"3.0","consumers":[{"username":"a","jwt_secrets":[{"algorithm":"none"}]}]}`:                     `{"consumers":[{"jwt_secrets":[{"algorithm":"expected one of: HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512, EdDSA"}]}]}`,
	} {
		status, answer := a.do(t, "POST", "/config", input)
		var fields any
		if err := json.Unmarshal([]byte(want), &fields); err != nil {
			t.Fatal(err)
		}
		if status != http.StatusBadRequest || !reflect.DeepEqual(answer["fields"], fields) {
			t.Errorf("%s\n%d %v\nwant %s", input, status, answer["fields"], want)
		}
	}
	a.must(t, "GET", "/consumers/before", "")
}

func TestFlatErrors(t *testing.T) {
	a := startDBLess(t, Options{})
	_, answer := a.do(t, "POST", "/config?flatten_errors=yes", `{"_format_version":"3.0","services":[{"id":"`+aUUID+`","name":"s","host":"h","port":70000,"tags":["t"],
		"routes":[{"name":"r","tags":["k8s-name:r"],"paths":["x","/ok","y"]}]}]}`)
	got := map[string]object{}
	list, _ := answer["flattened_errors"].([]any)
	for _, one := range list {
		flat, _ := one.(object)
		got[fmt.Sprint(flat["entity_type"])] = flat
	}
	service, route := got["service"], got["route"]
	if len(got) != 2 || service["entity_id"] != aUUID || route["entity_name"] != "r" || !reflect.DeepEqual(route["entity_tags"], []any{"k8s-name:r"}) {
		t.Fatalf("%v", answer)
	}
	entity, _ := route["entity"].(object)
	if refID(entity, "service") != aUUID || !reflect.DeepEqual(answer["fields"], object{}) {
		t.Errorf("%v", answer)
	}
	if shown, _ := service["entity"].(object); shown["routes"] != nil || shown["host"] != "h" {
		t.Errorf("a service with its routes: %v", shown)
	}
	errs, _ := route["errors"].([]any)
	if text := fmt.Sprint(errs); len(errs) != 2 || !strings.Contains(text, "field:paths.1") || !strings.Contains(text, "field:paths.3") {
		t.Errorf("%s", text)
	}
}

// TestConfigWhileAnotherLoads sends two at once: one is refused while the other loads.
func TestConfigWhileAnotherLoads(t *testing.T) {
	a := startDBLess(t, Options{ConfigLoadTime: time.Minute})
	ctx, cancel := contextWithTimeout(t, 30*time.Second)
	defer cancel()
	answers := make(chan *http.Response, 2)
	for range 2 {
		go func() {
			// One is cut off, when the other was answered.
			response, _, _ := a.send(ctx, "POST", "/config", `{"_format_version":"3.0"}`)
			answers <- response
		}()
	}
	refused := <-answers
	cancel()
	if refused == nil || refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "60" {
		t.Errorf("meanwhile: %v", refused)
	}
	if other := <-answers; other != nil {
		t.Errorf("the other was answered %s", other.Status)
	}
}

func TestWritesWithoutDatabase(t *testing.T) {
	a := startDBLess(t, Options{MaxBodyBytes: 1000})
	a.must(t, "POST", "/config", `{"_format_version":"3.0","consumers":[{"username":"john"}]}`)
	for _, tt := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"PATCH", "/consumers/john", `{"custom_id":"1"}`, 405, "cannot update 'consumers' entities when not using a database"},
		{"PATCH", "/consumers/jane", `{"custom_id":"1"}`, 404, "could not find the entity with '{username=\"jane\"}'"},
		{"DELETE", "/consumers/john", "", 405, "cannot remove 'consumers' entities when not using a database"},
		{"POST", "/consumers", `{}`, 400, "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')"},
		{"PUT", "/services/s", `{"host":"h"}`, 405, "cannot create or update 'services' entities when not using a database"},
	} {
		status, answer := a.do(t, tt.method, tt.path, tt.body)
		if status != tt.status || answer["message"] != tt.message {
			t.Errorf("%s %s: %d %v", tt.method, tt.path, status, answer)
		}
	}
	if response := a.postYAML(t, "", "_format_version: '3.0'\n#"+strings.Repeat("x", 1000)); response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body too long: %s", response.Status)
	}
	text, _ := a.must(t, "GET", "/config", "")["config"].(string)
	if !strings.Contains(text, "username: john") {
		t.Errorf("GET /config: %s", text)
	}
}
