package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// replayed runs the command and gives its output.
func replayed(t *testing.T, only string, env map[string]string) (same bool, out string, err error) {
	t.Helper()
	var b strings.Builder
	same, err = run(t.Context(), &b, only, func(name string) string { return env[name] })
	return same, b.String(), err
}

func startKong(t *testing.T, o kongsim.Options) (*kongsim.Server, map[string]string) {
	t.Helper()
	kong, err := kongsim.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kong.Close(); err != nil {
			t.Error(err)
		}
	})
	return kong, map[string]string{"KONG_ADMIN_URL": kong.AdminURL() + "/", "KONG_PROXY_URL": kong.ProxyURL()}
}

func put(t *testing.T, kong *kongsim.Server, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, kong.AdminURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", path, response.Status)
	}
}

// held gives the names and ids of all that a Kong holds.
func held(t *testing.T, kong *kongsim.Server) []string {
	t.Helper()
	var found []string
	for _, collection := range collections {
		err := eachEntity(t.Context(), http.DefaultClient, kong.AdminURL(), collection, func(entity map[string]any) {
			found = append(found, fmt.Sprint(collection, " ", entity["id"]))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestSimulatedKongAnswersAsRecorded(t *testing.T) {
	same, out, err := replayed(t, "admin-", nil)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || !same || !strings.HasSuffix(lines[len(lines)-1], " steps") || strings.Contains(out, "FAIL") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestNamedKongIsLeftAsItWas(t *testing.T) {
	kong, env := startKong(t, kongsim.Options{})
	put(t, kong, "/consumers/mine", `{}`)
	put(t, kong, "/services/mine", `{"host":"example.com"}`)
	before := held(t, kong)
	for _, file := range []string{"admin-plugins", "proxy-probe", "admin-jwt"} {
		same, out, err := replayed(t, file, env)
		if err != nil || !same {
			t.Fatalf("%s: %v\n%s", file, err, out)
		}
	}
	if after := held(t, kong); !slices.Equal(before, after) {
		t.Errorf("held %v, holds %v", before, after)
	}
}

func TestNamedKongWithWhatAScenarioMakesIsRefused(t *testing.T) {
	for _, path := range []string{"/consumers/john", "/consumers/00000000-0000-4000-8000-000000000001"} {
		kong, env := startKong(t, kongsim.Options{})
		put(t, kong, path, `{"custom_id":"mine"}`)
		kong.ResetRequests()
		if _, out, err := replayed(t, "admin-acls", env); err == nil || !strings.Contains(err.Error(), "already holds") {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		if n := kong.CountWrites(); n > 0 {
			t.Errorf("%s: %d writes to a Kong that was refused", path, n)
		}
	}
}

func TestOtherKindOfKongIsSkipped(t *testing.T) {
	_, env := startKong(t, kongsim.Options{})
	same, out, err := replayed(t, "-acls", env)
	if err != nil || !same {
		t.Fatalf("%v\n%s", err, out)
	}
	same, out, err = replayed(t, "dbless", env)
	if err != nil || !same || !strings.Contains(out, "skip 3.9.3/dbless-config.json") || !strings.HasSuffix(out, "0 of 0 steps\n") {
		t.Errorf("%v %v\n%s", same, err, out)
	}
	half := maps.Clone(env)
	delete(half, "KONG_PROXY_URL")
	if _, _, err := replayed(t, "-acls", half); err == nil {
		t.Error("an Admin API without a proxy was taken")
	}
}

func TestVersionDecidesWhatIsReplayed(t *testing.T) {
	for version, want := range map[string]string{"3.4.2": "3.4.2", "3.5.0": "3.4.2", "3.9.3": "3.9.3", "3.10.0": "3.9.3"} {
		_, env := startKong(t, kongsim.Options{Version: version})
		same, out, err := replayed(t, "admin-acls", env)
		if err != nil || !same || !strings.Contains(out, "ok   "+want+"/admin-acls.json") || !strings.Contains(out, "7 of 7 steps") {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
	_, env := startKong(t, kongsim.Options{Version: "3.4.2"})
	if _, out, _ := replayed(t, "admin-acls", env); !strings.Contains(out, "recorded on Kong 3.9.3, and "+strings.TrimSuffix(env["KONG_ADMIN_URL"], "/")+" is 3.4") {
		t.Error(out)
	}
}

func TestAnotherAnswerIsFound(t *testing.T) {
	kong, env := startKong(t, kongsim.Options{})
	kong.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPost}, PathPrefix: "/consumers/john/acls", Count: 1, Status: http.StatusBadGateway})
	same, out, err := replayed(t, "admin-acls", env)
	if err != nil || same || !strings.Contains(out, "step 2, create: POST /consumers/john/acls\n    status: want 201, got 502") {
		t.Errorf("%v %v\n%s", same, err, out)
	}
}

func TestMissedAnswerIsFollowedByAnother(t *testing.T) {
	recorded := step{Eventually: true, Response: response{
		Status: http.StatusUnauthorized, Headers: map[string]string{}, JSON: []byte(`{"message":"Could not find consumer for 'kid=k'"}`),
	}}
	next, fleeting := successor(recorded)
	if !fleeting || string(next.Response.JSON) != `{"message":"No credentials found for given 'kid'"}` || len(recorded.Response.Headers) > 0 {
		t.Errorf("%v %s", fleeting, next.Response.JSON)
	}
	for _, lasting := range []step{
		{Response: recorded.Response}, // asked once, it has to be the recorded one
		{Eventually: true, Response: response{JSON: []byte(`{"message":"Invalid signature"}`)}},
	} {
		if _, fleeting := successor(lasting); fleeting {
			t.Errorf("%s has a successor", lasting.Response.JSON)
		}
	}
}

func TestModeDecidesWhatIsReplayed(t *testing.T) {
	kong, _ := startKong(t, kongsim.Options{Database: "off"})
	dbless := map[string]string{"KONG_ADMIN_URL": kong.AdminURL(), "KONG_PROXY_URL": kong.ProxyURL()}
	same, out, err := replayed(t, "dbless", dbless)
	if err != nil || !same || !strings.Contains(out, "ok   3.9.3/dbless-config.json") {
		t.Errorf("%v %v\n%s", same, err, out)
	}
	if _, out, err = replayed(t, "admin-acls", dbless); err != nil || !strings.Contains(out, "recorded with a database, and "+kong.AdminURL()) {
		t.Errorf("%v\n%s", err, out)
	}
	dbless["KONG_DBLESS_ADMIN_URL"], dbless["KONG_DBLESS_PROXY_URL"] = kong.AdminURL(), kong.ProxyURL()
	if _, _, err := replayed(t, "", dbless); err == nil {
		t.Error("two gateways of one mode were taken")
	}
}

func TestDBLessKongThatHoldsSomethingIsRefused(t *testing.T) {
	kong, env := startKong(t, kongsim.Options{Database: "off"})
	configuration := strings.NewReader(`{"_format_version":"3.0","consumers":[{"username":"mine"}]}`)
	answer, err := http.Post(kong.AdminURL()+"/config", "application/json", configuration)
	if err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatal(answer, err)
	}
	_ = answer.Body.Close()
	before := held(t, kong)
	if _, _, err := replayed(t, "dbless", env); err == nil || !strings.Contains(err.Error(), "already holds consumers") {
		t.Error(err)
	}
	if after := held(t, kong); len(before) != 1 || !slices.Equal(before, after) {
		t.Errorf("held %v, holds %v", before, after)
	}
}

func TestDBLessKong(t *testing.T) {
	kong, _ := startKong(t, kongsim.Options{Database: "off"})
	same, out, err := replayed(t, "", map[string]string{"KONG_DBLESS_ADMIN_URL": kong.AdminURL(), "KONG_DBLESS_PROXY_URL": kong.ProxyURL()})
	if err != nil || !same || !strings.Contains(out, "ok   3.9.3/dbless-config.json") || !strings.Contains(out, "skip 3.9.3/admin-acls.json") {
		t.Errorf("%v %v\n%s", same, err, out)
	}
	response, err := http.Get(kong.AdminURL() + "/services")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var page struct{ Data []any }
	if err := json.Unmarshal(body, &page); err != nil || len(page.Data) > 0 {
		t.Errorf("it still holds %s", body)
	}
}
