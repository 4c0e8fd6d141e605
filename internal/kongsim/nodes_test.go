package kongsim

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
)

// addRoute opens a route to an upstream that is not there: a node that knows it answers 502.
func (a *adminAPI) addRoute(t *testing.T) {
	t.Helper()
	a.must(t, "POST", "/services", `{"name":"api","host":"127.0.0.1","port":1,"retries":0}`)
	a.must(t, "POST", "/services/api/routes", `{"name":"api","paths":["/api"]}`)
}

// serves gives what a node's proxy answers for the route.
func serves(t *testing.T, node *Server) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.ProxyURL()+"/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// within waits for what comes by a poll.
func within(t *testing.T, what string, come func() bool) {
	t.Helper()
	for began := time.Now(); !come(); {
		if time.Since(began) > time.Minute {
			t.Fatal(what)
		}
	}
}

func TestNodesShareADatabase(t *testing.T) {
	o := Options{Cluster: Cluster{DatabaseFile: filepath.Join(t.TempDir(), "database")}}
	a := startAdmin(t, o)
	o.DBUpdateFrequency = time.Hour
	late := startAdmin(t, o)
	o.DBUpdateFrequency, o.DBUpdatePropagation = 0, time.Hour
	replica := startAdmin(t, o)
	late.addRoute(t)
	if found := ids(a.must(t, "GET", "/routes", "")); len(found) != 1 {
		t.Errorf("the other node's Admin API has %d routes", len(found))
	}
	within(t, "the other node's workers do not hear of it", func() bool { return serves(t, a.Server) == http.StatusBadGateway })
	if status := serves(t, replica.Server); status != http.StatusNotFound {
		t.Errorf("a node that waits for its read replica answers %d", status)
	}
	if said := valueAt(replica.must(t, "GET", "/", ""), "configuration.db_update_propagation"); said != 3600.0 {
		t.Errorf("it says %v", said)
	}
	a.must(t, "DELETE", "/routes/api", "")
	if first, second := serves(t, a.Server), serves(t, late.Server); first != http.StatusNotFound || second != http.StatusBadGateway {
		t.Errorf("the node that wrote answers %d, the one that has not polled yet %d", first, second)
	}
	if status, answer := a.do(t, "POST", "/services", `{"name":"api","host":"h"}`); status != http.StatusConflict {
		t.Errorf("a name is there twice: %d %v", status, answer)
	}
	third := startAdmin(t, o)
	a.must(t, "DELETE", "/services/api", "")
	if found := ids(third.must(t, "GET", "/services", "")); len(found) != 0 {
		t.Errorf("a node that comes later has %d services", len(found))
	}
}

// TestNodesReadWhatOthersWrote: every kind, and every type of value.
func TestNodesReadWhatOthersWrote(t *testing.T) {
	o := Options{Cluster: Cluster{DatabaseFile: filepath.Join(t.TempDir(), "database")}}
	a, b := startAdmin(t, o), startAdmin(t, o)
	a.must(t, "POST", "/services", `{"name":"api","url":"https://h:1/p","tags":["<t>","ü"],"retries":0}`)
	a.must(t, "POST", "/services/api/routes", `{"name":"api","paths":["/api"],"headers":{"x":["1"]},"methods":null}`)
	a.must(t, "POST", "/routes/api/plugins", `{"name":"rate-limiting","config":{"minute":5,"redis":{"host":"h"}}}`)
	a.must(t, "POST", "/services/api/plugins", `{"name":"jwt","config":{"claims_to_verify":["exp"]}}`)
	a.must(t, "POST", "/consumers", `{"username":"john","custom_id":"1"}`)
	a.must(t, "POST", "/consumers/john/jwt", `{"key":"k","secret":"s"}`)
	a.must(t, "POST", "/consumers/john/acls", `{"group":"g"}`)
	a.must(t, "POST", "/consumers/john/key-auth", `{"key":"k"}`)
	a.must(t, "PATCH", "/services/api", `{"retries":3}`)
	for name, k := range kinds {
		first, second := a.must(t, "GET", "/"+k.path, ""), b.must(t, "GET", "/"+k.path, "")
		if len(ids(first)) == 0 || !reflect.DeepEqual(first, second) {
			t.Errorf("%s: one node has %v, the other %v", name, first, second)
		}
		if own, others := a.database.all(k), b.database.all(k); !reflect.DeepEqual(own, others) {
			t.Errorf("%s: one node holds %#v, the other %#v", name, own, others)
		}
	}
}

func TestHybridHasAControlPlaneAndDataPlanes(t *testing.T) {
	o := Options{Cluster: Cluster{DatabaseFile: filepath.Join(t.TempDir(), "database"), Address: "127.0.0.1:0"}}
	control, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	plane := startAdmin(t, Options{Cluster: Cluster{ControlPlane: control.ClusterURL()}})
	if control.ProxyURL() != "" || plane.AdminURL() != "" {
		t.Errorf("the control plane has a proxy at %q, the data plane an Admin API at %q", control.ProxyURL(), plane.AdminURL())
	}
	a := &adminAPI{control, plane.client}
	if role := valueAt(a.must(t, "GET", "/", ""), "configuration.role"); role != "control_plane" {
		t.Errorf("its role is %v", role)
	}
	a.addRoute(t)
	within(t, "the data plane does not get what the control plane has", func() bool { return serves(t, plane.Server) == http.StatusBadGateway })

	o.Cluster.Address = strings.TrimPrefix(control.ClusterURL(), "http://")
	if err := control.Close(); err != nil {
		t.Fatal(err)
	}
	if status := serves(t, plane.Server); status != http.StatusBadGateway {
		t.Errorf("without its control plane it answers %d", status)
	}
	again := startAdmin(t, o)
	again.must(t, "DELETE", "/routes/api", "")
	within(t, "the data plane does not come back to its control plane", func() bool { return serves(t, plane.Server) == http.StatusNotFound })
}

func TestNodesThatNoKongIs(t *testing.T) {
	for _, o := range []Options{
		{Database: "off", Cluster: Cluster{DatabaseFile: "file"}},
		{Database: "off", Cluster: Cluster{Address: "127.0.0.1:0"}},
		{Cluster: Cluster{ControlPlane: "http://127.0.0.1:1", Address: "127.0.0.1:0"}},
		{Cluster: Cluster{ControlPlane: "http://127.0.0.1:1", DatabaseFile: "file"}},
		{Cluster: Cluster{DatabaseFile: t.TempDir()}},
	} {
		if node, err := Start(o); err == nil {
			t.Errorf("%+v started", o.Cluster)
			_ = node.Close()
		}
	}
}

// directly asks a handler without a network.
type directly struct{ handler http.Handler }

func (d directly) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// TestDataPlaneIsWhatTheControlPlaneWas: one configuration after the other, each of them whole.
func TestDataPlaneIsWhatTheControlPlaneWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 10 * time.Second
		control, plane := newStore(time.Now), newStore(time.Now)
		ctx, stop := context.WithCancel(t.Context())
		go follow(ctx, plane, directly{outlet(ctx, control)}, "http://control", lag)
		swaps := 0
		plane.watch(func(c dataplane.Change) {
			if c.Everything {
				swaps++
			}
		})
		synctest.Wait()
		john, jane := object{"id": aUUID, "username": "john"}, object{"id": "00000000-0000-4000-8000-00000000000b", "username": "jane"}
		after := func(wait time.Duration, consumers, configurations int) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if found := len(plane.all(kinds["consumers"])); found != consumers || swaps != configurations {
				t.Errorf("at %s: %d consumers, %d configurations; want %d and %d", time.Now().Format(time.TimeOnly), found, swaps, consumers, configurations)
			}
		}
		after(lag, 0, 1)
		control.put(kinds["consumers"], john)
		after(lag-time.Second, 0, 1)
		control.put(kinds["consumers"], jane) // after john was sent
		control.remove(kinds["consumers"], aUUID)
		after(time.Second, 1, 2)
		if plane.find(kinds["consumers"], "john") == nil {
			t.Error("what was sent first is not what it runs")
		}
		after(lag, 1, 3)
		if plane.find(kinds["consumers"], "jane") == nil {
			t.Error("what was sent second is not what it runs")
		}
		control.put(kinds["consumers"], john)
		synctest.Wait()
		stop()
		after(2*lag, 1, 3)
	})
}
