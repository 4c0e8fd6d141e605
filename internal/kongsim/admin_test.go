package kongsim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

const aUUID = "00000000-0000-4000-8000-00000000000a"

// adminAPI is the Admin API of a simulated Kong under test.
type adminAPI struct {
	*Server
	client *http.Client
}

func startAdmin(t *testing.T, o Options) *adminAPI {
	t.Helper()
	server, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &adminAPI{server, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// send makes a request; a body that begins with { or [ is JSON, another a form.
func (a *adminAPI) send(ctx context.Context, method, path, body string) (*http.Response, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.AdminURL()+path, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	switch {
	case body == "":
	case strings.HasPrefix(body, "{"), strings.HasPrefix(body, "["):
		request.Header.Set("Content-Type", "application/json")
	default:
		request.Header.Set("Content-Type", formType)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response, string(content), err
}

func (a *adminAPI) do(t *testing.T, method, path, body string) (int, object) {
	t.Helper()
	response, content, err := a.send(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	var answer object
	if content != "" {
		if err := json.Unmarshal([]byte(content), &answer); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, content)
		}
	}
	return response.StatusCode, answer
}

// must is do for what has to succeed.
func (a *adminAPI) must(t *testing.T, method, path, body string) object {
	t.Helper()
	status, answer := a.do(t, method, path, body)
	if status >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

func ids(page object) []string {
	var found []string
	list, _ := page["data"].([]any)
	for _, entity := range list {
		row, _ := entity.(object)
		found = append(found, idOf(row))
	}
	return found
}

func TestEndpoints(t *testing.T) {
	a := startAdmin(t, Options{})
	a.must(t, "PUT", "/services/"+aUUID, `{"name":"s","host":"h"}`)
	a.must(t, "POST", "/services/s/routes", `{"name":"r","paths":["/r"]}`)
	a.must(t, "POST", "/routes", `{"name":"alone","paths":["/alone"]}`)
	a.must(t, "POST", "/consumers", `{"username":"c"}`)
	a.must(t, "POST", "/consumers/c/jwt", `{"key":"k"}`)
	a.must(t, "PUT", "/consumers/c/acls/g", `{}`)
	tests := []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/routes/r/service", "", 200},
		{"PATCH", "/routes/r/service", `{"retries":1}`, 200},
		{"DELETE", "/routes/r/service", "", 405},
		{"GET", "/routes/alone/service", "", 404},
		{"PUT", "/routes/alone/service", `{"host":"new"}`, 200},
		{"GET", "/routes/alone/service", "", 200},
		{"GET", "/services/s/routes/r", "", 200},
		{"GET", "/services/s/routes/alone", "", 404},
		{"PATCH", "/services/s/routes/alone", `{"strip_path":false}`, 404},
		{"GET", "/jwts/k/consumer", "", 200},
		{"GET", "/consumers/c/acls/g", "", 200},
		{"PATCH", "/consumers/c/acls/g", `{"tags":["t"]}`, 200},
		{"GET", "/consumers/c/acls/none", "", 404},
		{"GET", "/acls/g", "", 400}, // a group alone names nothing
		{"POST", "/consumers/c/acls", `{"group":"g"}`, 409},
		{"POST", "/jwts", `{"key":"other","consumer":{"username":"c"}}`, 201},
		{"DELETE", "/jwts/other", "", 204},
		{"POST", "/jwts", `{"key":"k2"}`, 400},
		{"POST", "/consumers", `{"id":"` + aUUID + `","username":"again"}`, 201},
		{"POST", "/consumers", `{"id":"` + aUUID + `","username":"and again"}`, 400},
		{"DELETE", "/consumers/nobody", "", 204},
		{"DELETE", "/consumers/c/jwt/nothing", "", 404},
		{"DELETE", "/consumers/nobody/jwt/k", "", 404},
		{"GET", "/consumers/c/routes", "", 404},
		{"GET", "/services/s/routes/r/plugins", "", 404},
		{"GET", "/consumers/", "", 200},
		{"POST", "/", "", 405},
		{"POST", "/config", `{"_format_version":"3.0"}`, 400},
		{"GET", "/schemas/plugins/nope", "", 404},
		{"GET", "/schemas/nope", "", 404},
		{"GET", "/schemas/plugins/rate-limiting", "", 200},
		{"POST", "/schemas/routes/validate", `{"paths":["/x"]}`, 200},
		{"POST", "/schemas/routes/validate", `{}`, 400},
		{"GET", "/plugins/enabled", "", 200},
		{"GET", "/config", "", 400},
	}
	for _, tt := range tests {
		if status, answer := a.do(t, tt.method, tt.path, tt.body); status != tt.status {
			t.Errorf("%s %s %s: %d %v, want %d", tt.method, tt.path, tt.body, status, answer, tt.status)
		}
	}
}

func TestPutReplacesAndPatchMerges(t *testing.T) {
	a := startAdmin(t, Options{})
	a.must(t, "POST", "/consumers", `{"username":"c"}`)
	created := a.must(t, "POST", "/plugins", `{"name":"rate-limiting","config":{"minute":5,"redis_host":"old.example.com","redis":{"port":1}},"tags":["a","b","a"]}`)
	config, _ := created["config"].(object)
	if redis, _ := config["redis"].(object); redis["host"] != "old.example.com" || redis["port"] != 1.0 || config["redis_port"] != 1.0 {
		t.Errorf("former names and new ones: %v", config)
	}
	if !reflect.DeepEqual(created["tags"], []any{"a", "b"}) {
		t.Errorf("tags %v", created["tags"])
	}
	path := "/plugins/" + idOf(created)
	patched := a.must(t, "PATCH", path, `{"config":{"hour":9,"redis":{"database":3}}}`)
	config, _ = patched["config"].(object)
	if redis, _ := config["redis"].(object); config["minute"] != 5.0 || config["hour"] != 9.0 || redis["host"] != "old.example.com" || redis["database"] != 3.0 {
		t.Errorf("patched: %v", config)
	}
	replaced := a.must(t, "PUT", path, `{"name":"rate-limiting","config":{"hour":1}}`)
	config, _ = replaced["config"].(object)
	if redis, _ := config["redis"].(object); config["minute"] != nil || redis["host"] != nil || replaced["tags"] != nil {
		t.Errorf("replaced: %v", replaced)
	}
	if status, answer := a.do(t, "PATCH", path, `{"config":{"minute":2}}`); status != 400 {
		t.Errorf("limits out of order: %d %v", status, answer)
	}
}

func TestPages(t *testing.T) {
	a := startAdmin(t, Options{})
	a.must(t, "PUT", "/consumers/"+aUUID, `{"username":"owner"}`)
	for i := range 25 {
		a.must(t, "POST", "/consumers/owner/jwt", fmt.Sprintf(`{"key":"k%d","tags":["all","n:%d"]}`, i, i%2))
	}
	for path, want := range map[string]int{
		"/jwts?size=7": 25, "/jwts?size=25": 25, "/jwts?size=7&tags=n:1": 12, "/consumers/owner/jwt?size=7": 25, "/jwts?size=3&tags=n:0/n:1": 25, "/jwts?tags=n:0,n:1": 0,
	} {
		var found []string
		for next := path; next != ""; {
			page := a.must(t, "GET", next, "")
			found = append(found, ids(page)...)
			next, _ = page["next"].(string)
			if below := strings.HasPrefix(path, "/consumers"); next != "" && strings.Contains(next, "size=") == below {
				t.Errorf("%s: next is %s", path, next)
			}
		}
		if len(found) != want || !slices.IsSorted(found) || len(slices.Compact(found)) != want {
			t.Errorf("%s: %d entities, sorted %v", path, len(found), slices.IsSorted(found))
		}
	}
	var tagged []string
	for next := "/tags/n:0?size=5"; next != ""; {
		page := a.must(t, "GET", next, "")
		list, _ := page["data"].([]any)
		for _, one := range list {
			tagged = append(tagged, fmt.Sprint(one))
		}
		if next, _ = page["next"].(string); next != "" {
			next += "&size=5"
		}
	}
	if len(slices.Compact(tagged)) != 13 {
		t.Errorf("/tags: %d", len(tagged))
	}
	for _, path := range []string{"/jwts?tags=a,b,c,d,e,f", "/jwts?offset=!", "/jwts?size=1.5"} {
		if status, answer := a.do(t, "GET", path, ""); status != 400 {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
}

func TestBodies(t *testing.T) {
	a := startAdmin(t, Options{MaxBodyBytes: 2000})
	post := func(contentType, body string) int {
		request, err := http.NewRequestWithContext(t.Context(), "POST", a.AdminURL()+"/services", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		response, err := a.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	for _, tt := range []struct {
		contentType, body string
		status            int
	}{
		{"text/plain", "host=h", 415},
		{"", "host=h", 415},
		{"", "", 400}, // nothing: no host
		{"application/json", "", 400},
		{"application/json", `"text"`, 500},
		{"application/json; charset=utf-8", `{"host":"h"}`, 201},
		{"application/json", `{"host":"` + strings.Repeat("h", 2000) + `"}`, 413},
		{"application/x-www-form-urlencoded", "host=h&port=90&tags=a&enabled=false", 201},
		{"application/x-www-form-urlencoded", "host=h&port=x", 400},
	} {
		if status := post(tt.contentType, tt.body); status != tt.status {
			t.Errorf("%s %q: %d, want %d", tt.contentType, tt.body, status, tt.status)
		}
	}
}

func TestForms(t *testing.T) {
	for form, want := range map[string]object{
		"a=1&b.c=2":              {"a": "1", "b": object{"c": "2"}},
		"a[]=1&a[]=2":            {"a": []any{"1", "2"}},
		"a=1&a=2":                {"a": []any{"1", "2"}},
		"a[1]=x":                 {"a": []any{"x"}},
		"config.headers[x-y]=v":  {"config": object{"headers": object{"x-y": "v"}}},
		"config.headers.x[]=v":   {"config": object{"headers": object{"x": []any{"v"}}}},
		"paths%5B%5D=%2Fa+b%26c": {"paths": []any{"/a b&c"}},
		".a=1":                   {".a": "1"},
	} {
		got := readForm(form)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", form, got, want)
		}
	}
}

// TestUniqueValueMoves: freeing a value makes room for it, and an id keeps its own.
func TestUniqueValueMoves(t *testing.T) {
	a := startAdmin(t, Options{})
	first := a.must(t, "POST", "/consumers", `{"username":"a"}`)
	if status, _ := a.do(t, "POST", "/consumers", `{"username":"a"}`); status != 409 {
		t.Errorf("the same name: %d", status)
	}
	a.must(t, "PUT", "/consumers/"+idOf(first), `{"username":"b"}`)
	a.must(t, "POST", "/consumers", `{"username":"a"}`)
	if status, answer := a.do(t, "PATCH", "/consumers/a", `{"username":"b"}`); status != 409 || !strings.Contains(fmt.Sprint(answer["message"]), `{username="b"}`) {
		t.Errorf("another's name: %d %v", status, answer)
	}
	a.must(t, "DELETE", "/consumers/b", "")
	a.must(t, "PATCH", "/consumers/a", `{"username":"b"}`)
}

func TestPluginHasToShareAProtocol(t *testing.T) {
	a := startAdmin(t, Options{})
	a.must(t, "POST", "/services", `{"name":"s","host":"h"}`)
	a.must(t, "POST", "/services/s/plugins", `{"name":"jwt","protocols":["grpc"]}`) // no route yet
	a.must(t, "POST", "/services/s/routes", `{"name":"r","paths":["/"],"protocols":["https"]}`)
	for path, want := range map[string]string{
		"/services/s/plugins": "must match the protocols of at least one route pointing to this Plugin's service",
		"/routes/r/plugins":   "must match the associated route's protocols",
	} {
		status, answer := a.do(t, "POST", path, `{"name":"cors","protocols":["http"]}`)
		if fields, _ := answer["fields"].(object); status != 400 || fields["protocols"] != want {
			t.Errorf("%s: %d %v", path, status, answer)
		}
		a.must(t, "POST", path, `{"name":"cors","protocols":["https"]}`)
	}
}

func TestNodeSaysWhatItIs(t *testing.T) {
	a := startAdmin(t, Options{Version: "3.4.2", UntrustedLua: "off", DBUpdateFrequency: 5e9, WorkerStateUpdateFrequency: 25e8})
	node := a.must(t, "GET", "/", "")
	configuration, _ := node["configuration"].(object)
	plugins, _ := node["plugins"].(object)
	available, _ := plugins["available_on_server"].(object)
	jwt, _ := available["jwt"].(object)
	if node["version"] != "3.4.2" || configuration["database"] != "postgres" || configuration["db_update_frequency"] != 5.0 ||
		configuration["worker_state_update_frequency"] != 2.5 || jwt["priority"] != 1450.0 ||
		configuration["untrusted_lua"] != "off" {
		t.Errorf("%v", node)
	}
}

func TestPathsAreUnescapedOnce(t *testing.T) {
	a := startAdmin(t, Options{})
	for _, name := range []string{"a/b", "a b", "50%", "50%25", "ü", "a+b", "?", "#"} {
		path := "/consumers/" + url.PathEscape(name)
		a.must(t, "PUT", path, `{}`)
		if got := a.must(t, "GET", path, ""); got["username"] != name {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestEveryPluginHasAPriority(t *testing.T) {
	library, err := schema.Load(false, kong.ParseVersion("3.9.3"), Schemas{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range library.Plugins() {
		if _, known := priorities[name]; !known {
			t.Errorf("the priority of %s is not known", name)
		}
	}
}
