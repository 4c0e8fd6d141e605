package probe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

// A data plane that runs the program is told from one that has untrusted_lua = off, from one that has switched the
// plugin off, and from what answers in a data plane's place. No question reaches an upstream.
func TestAskWhetherClaimsAreChecked(t *testing.T) {
	good := newRig(t, dataplane.Propagation{})
	noLua := newRigOn(t, kongsim.Options{Workers: 2, UntrustedLua: "off"})
	without := newRig(t, dataplane.Propagation{})
	without.switchOff("post-function")
	wall := httptest.NewServer(http.NotFoundHandler())
	defer wall.Close()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for name, c := range map[string]struct {
		planes     []string
		conclusion probe.Conclusion
		says       []string
	}{
		"all of two":        {[]string{good.sim.ProxyURL(), good.sim.ProxyURL() + "/"}, probe.Confirmed, []string{good.sim.ProxyURL()}},
		"none":              {nil, probe.Unsure, []string{"no data plane"}},
		"one runs no Lua":   {[]string{good.sim.ProxyURL(), noLua.sim.ProxyURL()}, probe.Contradicted, []string{noLua.sim.ProxyURL() + " answers 500", "untrusted_lua"}},
		"one has no plugin": {[]string{good.sim.ProxyURL(), without.sim.ProxyURL()}, probe.Contradicted, []string{without.sim.ProxyURL() + " does not run the program"}},
		"one is another's":  {[]string{good.sim.ProxyURL(), wall.URL}, probe.Unsure, []string{wall.URL + " answered 404 by another route"}},
		"one is away":       {[]string{good.sim.ProxyURL(), away.URL}, probe.Unsure, []string{away.URL + " refuses connections"}},
		"one is away and one runs no Lua": {[]string{away.URL, noLua.sim.ProxyURL()}, probe.Contradicted,
			[]string{away.URL, noLua.sim.ProxyURL() + " answers 500"}},
	} {
		conclusion, message := good.asker.AskClaims(t.Context(), c.planes)
		if conclusion != c.conclusion {
			t.Errorf("%s: %v, %s", name, conclusion, message)
		}
		for _, text := range c.says {
			if !strings.Contains(message, text) {
				t.Errorf("%s: %q does not say %q", name, message, text)
			}
		}
		if conclusion != probe.Confirmed && strings.Contains(message, good.sim.ProxyURL()) {
			t.Errorf("%s: %q names one that runs the program", name, message)
		}
	}
	for _, r := range []*rig{good, noLua, without} {
		if n := r.upstream.Seen(); n > 0 {
			t.Errorf("%d questions reached an upstream", n)
		}
	}
}

// switchOff disables the plugins of a name.
func (r *rig) switchOff(name string) {
	r.Helper()
	for e, err := range r.kong.List(r.Context(), kong.KindPlugin, kong.ListOptions{}) {
		if err != nil {
			r.Fatal(err)
		}
		if e.Fields.Text("name") == name {
			e.Fields["enabled"] = false
			r.put(kong.KindPlugin, e.ID, "", e.Fields)
		}
	}
}

func TestClaimsAreAskedAboutAgain(t *testing.T) {
	now := time.Now()
	answers := make(chan probe.Conclusion)
	watch := probe.NewClaimsWatch(func(context.Context) (probe.Conclusion, string) { return <-answers, "said" },
		func() time.Time { return now })
	settled := func(want probe.Conclusion) time.Duration {
		t.Helper()
		for range 500 {
			if conclusion, _, again := watch.Look(t.Context()); conclusion == want && again > time.Second {
				return again
			}
			<-time.After(10 * time.Millisecond)
		}
		t.Fatalf("never %v", want)
		return 0
	}
	if conclusion, _, _ := watch.Look(t.Context()); conclusion != probe.Unsure {
		t.Error("known before anybody was asked")
	}
	answers <- probe.Contradicted
	now = now.Add(settled(probe.Contradicted))
	if conclusion, _, _ := watch.Look(t.Context()); conclusion != probe.Contradicted {
		t.Error("what was known is forgotten while they are asked anew")
	}
	answers <- probe.Confirmed
	if again := settled(probe.Confirmed); again < 30*time.Second {
		t.Errorf("asked again in %s", again)
	}
}
