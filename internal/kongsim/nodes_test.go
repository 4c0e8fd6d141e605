package kongsim

import (
	"net/http"
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

func TestNodesShareADatabase(t *testing.T) {
	a := startAdmin(t, Options{})
	late, err := a.AddNode(func(o *Options) { o.Propagation = dataplane.Propagation{RouterMin: time.Hour, RouterMax: time.Hour} })
	if err != nil {
		t.Fatal(err)
	}
	b := &adminAPI{late, a.client}
	b.addRoute(t)
	if found := ids(a.must(t, "GET", "/routes", "")); len(found) != 1 {
		t.Errorf("the other node's Admin API has %d routes", len(found))
	}
	if first, second := serves(t, a.Server), serves(t, late); first != http.StatusBadGateway || second != http.StatusNotFound {
		t.Errorf("the node that takes changes in at once answers %d, the late one %d", first, second)
	}
	if err := late.Close(); err != nil {
		t.Fatal(err)
	}
	a.must(t, "DELETE", "/routes/api", "")
	if status := serves(t, a.Server); status != http.StatusNotFound {
		t.Errorf("without the other node it answers %d", status)
	}
	if len(a.database.watchers) != 1 {
		t.Errorf("%d nodes are told of changes", len(a.database.watchers))
	}
	third, err := a.AddNode(func(*Options) {})
	if err != nil {
		t.Fatal(err)
	}
	if found := ids((&adminAPI{third, a.client}).must(t, "GET", "/services", "")); len(found) != 1 {
		t.Errorf("a node that comes later has %d services", len(found))
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := startAdmin(t, Options{Database: "off"}).AddNode(func(*Options) {}); err == nil {
		t.Error("nodes without a database share one")
	}
}

func TestHybridHasAControlPlaneAndDataPlanes(t *testing.T) {
	control, err := StartControlPlane(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = control.Close() })
	plane, err := control.AddDataPlane(0, func(*Options) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.Close() })
	if control.ProxyURL() != "" || plane.AdminURL() != "" {
		t.Errorf("the control plane has a proxy at %q, the data plane an Admin API at %q", control.ProxyURL(), plane.AdminURL())
	}
	a := &adminAPI{control, http.DefaultClient}
	if role := valueAt(a.must(t, "GET", "/", ""), "configuration.role"); role != "control_plane" {
		t.Errorf("its role is %v", role)
	}
	a.addRoute(t)
	for began := time.Now(); serves(t, plane) != http.StatusBadGateway; {
		if time.Since(began) > time.Minute {
			t.Fatal("the data plane does not get what the control plane has")
		}
	}
	if _, err := startAdmin(t, Options{}).AddDataPlane(0, func(*Options) {}); err == nil {
		t.Error("a Kong that is no control plane has a data plane")
	}
}

// TestDataPlaneIsWhatTheControlPlaneWas: one configuration after the other, each of them whole.
func TestDataPlaneIsWhatTheControlPlaneWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 10 * time.Second
		control, plane := newStore(time.Now), newStore(time.Now)
		stop := plane.follow(control, lag)
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
