package kongsim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// valueAt is what an answer has at a path; "not there" is not null.
func valueAt(body object, path string) any {
	value, there := schema.PathOf(body, path)
	if !there {
		return "not there"
	}
	return value
}

func TestAVersionHasItsOwnFieldsAndDefaults(t *testing.T) {
	for version, want := range map[string]struct {
		realm, protocols, redisHost any
		es512                       int
		edition                     string
	}{
		"3.4.2":    {"not there", []any{"http", "https"}, nil, http.StatusBadRequest, "community"},
		"3.6.1":    {"not there", []any{"http", "https"}, "not there", http.StatusBadRequest, "community"},
		"3.7.1":    {"not there", []any{"http", "https"}, "not there", http.StatusCreated, "community"},
		"3.9.3":    {nil, []any{"http", "https"}, "not there", http.StatusCreated, "community"},
		"3.14.0.1": {nil, []any{"https"}, "not there", http.StatusCreated, "enterprise"},
	} {
		a := startAdmin(t, Options{Version: version})
		if node := a.must(t, "GET", "/", ""); node["version"] != version || node["edition"] != want.edition {
			t.Errorf("%s: %v %v", version, node["version"], node["edition"])
		}
		a.must(t, "POST", "/services", `{"name":"api","host":"example.com"}`)
		if got := a.must(t, "POST", "/services/api/plugins", `{"name":"jwt"}`); valueAt(got, "config.realm") != want.realm {
			t.Errorf("%s: realm %v", version, valueAt(got, "config.realm"))
		}
		route := a.must(t, "POST", "/services/api/routes", `{"paths":["/a"]}`)
		if got, _ := json.Marshal(route["protocols"]); string(got) != string(mustJSON(t, want.protocols)) {
			t.Errorf("%s: protocols %s", version, got)
		}
		var limit struct {
			Fields []map[string]struct {
				Fields []map[string]any `json:"fields"`
			} `json:"fields"`
		}
		if err := json.Unmarshal(mustJSON(t, a.must(t, "GET", "/schemas/plugins/rate-limiting", "")), &limit); err != nil {
			t.Fatal(err)
		}
		flat := false
		for _, field := range limit.Fields {
			for _, inner := range field["config"].Fields {
				flat = flat || inner["redis_host"] != nil
			}
		}
		if flat != (want.redisHost == nil) {
			t.Errorf("%s: redis_host among the fields: %v", version, flat)
		}
		a.must(t, "POST", "/consumers", `{"username":"john"}`)
		if status, body := a.do(t, "POST", "/consumers/john/jwt", `{"algorithm":"ES512"}`); status != want.es512 {
			t.Errorf("%s: ES512 %d %v", version, status, body)
		}
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAnotherVersionTakesOver(t *testing.T) {
	a := startAdmin(t, Options{Version: "3.7.1"})
	a.must(t, "POST", "/services", `{"name":"api","host":"example.com"}`)
	log := a.must(t, "POST", "/plugins", `{"name":"http-log","config":{"http_endpoint":"http://example.com"}}`)
	if limit := valueAt(log, "config.queue.concurrency_limit"); limit != "not there" {
		t.Errorf("Kong 3.7 has queue.concurrency_limit: %v", limit)
	}
	const newer = `{"name":"acl","config":{"allow":["a"],"always_use_authenticated_groups":true}}`
	if status, body := a.do(t, "POST", "/plugins", newer); status != http.StatusBadRequest {
		t.Errorf("a field of Kong 3.8: %d %v", status, body)
	}
	address := a.AdminURL()
	next, err := a.Replace("3.10.0", Schemas{Added: map[string]map[string]any{
		"services.weight": {"type": "integer", "required": true, "default": float64(7)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	a.Server = next
	if a.AdminURL() != address {
		t.Error("it is somewhere else")
	}
	if weight := valueAt(a.must(t, "GET", "/services/api", ""), "weight"); weight != float64(7) {
		t.Errorf("the field that was added is %v", weight)
	}
	if limit := valueAt(a.must(t, "GET", "/plugins/"+idOf(log), ""), "config.queue.concurrency_limit"); limit != float64(1) {
		t.Errorf("queue.concurrency_limit is %v", limit)
	}
	a.must(t, "POST", "/plugins", newer)
	if _, err := Start(Options{Schemas: Schemas{Lacking: []string{"plugins/jwt.config.nothing"}}}); err == nil {
		t.Error("a field that there is not cannot be taken out")
	}
}

// TestWhatFailsKongItself has configurations that a real 3.9.3 answered 500 to.
func TestWhatFailsKongItself(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 1100) + "1" + strings.Repeat("}", 1100)
	for body, want := range map[string]int{
		`{"name":"rate-limiting","config":{"minute":5,"redis":null,"redis_timeout":1000}}`: http.StatusInternalServerError,
		`{"name":"rate-limiting","config":{"minute":5,"redis":"host"}}`:                    http.StatusInternalServerError,
		`{"name":"request-termination","config":{"message":"a\u0000b"}}`:                   http.StatusInternalServerError,
		`{"name":"request-termination","config":` + deep + `}`:                             http.StatusBadRequest,
	} {
		a := startAdmin(t, Options{})
		status, answer := a.do(t, "POST", "/plugins", body)
		message := "An unexpected error occurred"
		if want == http.StatusBadRequest {
			message = "Cannot parse JSON body"
		}
		if status != want || answer["message"] != message || answer["code"] != nil {
			t.Errorf("%.80s: %d %v", body, status, answer)
		}
		a.must(t, "GET", "/plugins", "")
		dbless := startDBLess(t, Options{})
		if strings.Contains(body, `\u0000`) {
			want = http.StatusCreated // nothing is written to PostgreSQL
		}
		status, answer = dbless.do(t, "POST", "/config", `{"_format_version":"3.0","plugins":[`+body+`]}`)
		if status != want || want != http.StatusCreated && answer["message"] != message {
			t.Errorf("without a database, %.80s: %d %v", body, status, answer)
		}
	}
}

func TestSessionsSecretIsMadeAtRandom(t *testing.T) {
	a := startAdmin(t, Options{})
	session := a.must(t, "POST", "/plugins", `{"name":"session","config":{"cookie_lifetime":60}}`)
	if valueAt(session, "config.rolling_timeout") != 60.0 {
		t.Errorf("the old name: %v", session)
	}
	secret := valueAt(session, "config.secret")
	again := a.must(t, "PUT", "/plugins/"+idOf(session), `{"name":"session"}`)
	if text, _ := secret.(string); len(text) != 32 || valueAt(again, "config.secret") == secret {
		t.Errorf("%v, then %v", secret, valueAt(again, "config.secret"))
	}
	first, second := mustJSON(t, a.must(t, "GET", "/schemas/plugins/session", "")), mustJSON(t, a.must(t, "GET", "/schemas/plugins/session", ""))
	if string(first) == string(second) {
		t.Error("each read of the schema shows the same default")
	}
}

// startProxied starts a Kong with a service in front of an echo upstream, protected by the jwt plugin, at /t.
func startProxied(t *testing.T, o Options, host string) *adminAPI {
	t.Helper()
	upstream, err := echo.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	address, err := url.Parse(upstream.URL())
	if err != nil {
		t.Fatal(err)
	}
	if host == "" {
		host = address.Hostname()
	}
	a := startAdmin(t, o)
	a.must(t, "POST", "/services", `{"name":"s","host":"`+host+`","port":`+address.Port()+`}`)
	a.must(t, "POST", "/services/s/routes", `{"paths":["/t"],"protocols":["http"]}`)
	return a
}

func (a *adminAPI) get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.ProxyURL()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := a.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

func TestIPv6Upstreams(t *testing.T) {
	if got := startProxied(t, Options{}, "::1").get(t, "/t", nil); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("::1: %s", got.Status)
	}
	if got := startProxied(t, Options{}, "[::1]").get(t, "/t", nil); got.StatusCode == http.StatusInternalServerError {
		t.Errorf("[::1]: %s", got.Status) // 200, or 502 where there is no IPv6
	}
}

func TestChallengeFollowsTheVersion(t *testing.T) {
	for version, want := range map[string]string{
		"3.4.2": "", "3.9.3": `Bearer error="invalid_token"`, "3.14.0.0": `Bearer error="invalid_token"`,
	} {
		a := startProxied(t, Options{Version: version}, "")
		a.must(t, "POST", "/services/s/plugins", `{"name":"jwt"}`)
		got := a.get(t, "/t", http.Header{"Authorization": {"Bearer a.b.c"}})
		if got.StatusCode != http.StatusUnauthorized || got.Header.Get("WWW-Authenticate") != want {
			t.Errorf("%s: %s %q", version, got.Status, got.Header.Get("WWW-Authenticate"))
		}
		if hasID := got.Header.Get("X-Kong-Request-Id") != ""; hasID != (version != "3.4.2") {
			t.Errorf("%s: a request's id: %v", version, hasID)
		}
	}
}

func TestConditionSkipsAPlugin(t *testing.T) {
	a := startProxied(t, Options{Version: "3.14.0.0"}, "")
	plugin := a.must(t, "POST", "/services/s/plugins", `{"name":"jwt"}`)
	if got := a.get(t, "/t", nil); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a condition: %s", got.Status)
	}
	a.must(t, "PATCH", "/plugins/"+idOf(plugin), `{"condition":"http.headers.x_check == \"yes\""}`)
	if got := a.get(t, "/t", nil); got.StatusCode != http.StatusOK {
		t.Errorf("where it does not hold: %s", got.Status)
	}
	if got := a.get(t, "/t", http.Header{"X-Check": {"yes"}}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("where it holds: %s", got.Status)
	}
	if status, body := a.do(t, "PATCH", "/plugins/"+idOf(plugin), `{"condition":"what?"}`); status != http.StatusBadRequest {
		t.Errorf("an expression that is none: %d %v", status, body)
	}
	if status, body := startAdmin(t, Options{}).do(t, "POST", "/plugins", `{"name":"jwt","condition":"http.method == \"GET\""}`); status != http.StatusBadRequest {
		t.Errorf("Kong 3.9 has conditions: %d %v", status, body)
	}
}

func TestEnterpriseOptions(t *testing.T) {
	a := startAdmin(t, Options{Version: "3.14.0.0", TLSCertificateVerify: true})
	for body, want := range map[string]int{
		`{"protocol":"https","host":"h","tls_verify":false}`: http.StatusBadRequest,
		`{"protocol":"https","host":"h","tls_verify":true}`:  http.StatusCreated,
		`{"protocol":"https","host":"h"}`:                    http.StatusCreated,
	} {
		if status, answer := a.do(t, "POST", "/services", body); status != want {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
	a.Faults.SetLicenseMissing(true)
	if status, answer := a.do(t, "POST", "/consumers", `{"username":"a"}`); status != http.StatusForbidden ||
		answer["message"] != "Enterprise license missing or expired" {
		t.Errorf("without a license: %d %v", status, answer)
	}
	a.must(t, "GET", "/consumers", "")
}
