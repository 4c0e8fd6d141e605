package kongsim

import (
	"net/http"
	"testing"
)

func TestAnotherVersionHasTheEntitiesAndItsOwnFields(t *testing.T) {
	a := startAdmin(t, Options{Version: "3.7.1", Schemas: Before38()})
	field := func(body object, path string) any {
		value, there := pathOf(body, path)
		if !there {
			return "not there"
		}
		return value
	}
	a.must(t, "POST", "/services", `{"name":"api","host":"example.com"}`)
	if realm := field(a.must(t, "POST", "/services/api/plugins", `{"name":"jwt"}`), "config.realm"); realm != "not there" {
		t.Errorf("Kong 3.7 has a realm: %v", realm)
	}
	log := a.must(t, "POST", "/plugins", `{"name":"http-log","config":{"http_endpoint":"http://example.com"}}`)
	if limit := field(log, "config.queue.concurrency_limit"); limit != "not there" {
		t.Errorf("Kong 3.7 has queue.concurrency_limit: %v", limit)
	}
	const newer = `{"name":"acl","config":{"allow":["a"],"always_use_authenticated_groups":true}}`
	if status, body := a.do(t, "POST", "/plugins", newer); status != http.StatusBadRequest {
		t.Errorf("a field of Kong 3.8: %d %v", status, body)
	}

	address := a.AdminURL()
	next, err := a.Replace("3.10.0", Schemas{Added: map[string]map[string]any{"services.weight": {"type": "integer", "required": true, "default": float64(7)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	a.Server = next
	if a.AdminURL() != address {
		t.Error("it is somewhere else")
	}
	if version := a.must(t, "GET", "/", "")["version"]; version != "3.10.0" {
		t.Errorf("version %v", version)
	}
	if weight := field(a.must(t, "GET", "/services/api", ""), "weight"); weight != float64(7) {
		t.Errorf("the field that was added is %v", weight)
	}
	if limit := field(a.must(t, "GET", "/plugins/"+idOf(log), ""), "config.queue.concurrency_limit"); limit != float64(1) {
		t.Errorf("queue.concurrency_limit is %v", limit)
	}
	a.must(t, "POST", "/plugins", newer)
	if _, err := Start(Options{Schemas: Schemas{Lacking: []string{"plugins/jwt.config.nothing"}}}); err == nil {
		t.Error("a field that there is not cannot be taken out")
	}
}
