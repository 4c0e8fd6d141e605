package propagation

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestDeparturesCountForTheDelay(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := New(func() time.Time { return now })
	c.SetDelay(10 * time.Second)
	john, jane := desired.ConsumerOwner("team", "john"), desired.ConsumerOwner("team", "jane")

	if c.Filled() {
		t.Error("nothing is known yet")
	}
	c.Fill()
	if rest := c.RoutesRemaining("s"); rest != 10*time.Second {
		t.Errorf("a route may have left just before the first listing: %s", rest)
	}
	now = now.Add(time.Minute)
	c.Fill()
	if rest := c.RoutesRemaining("s") + c.CredentialsRemaining(john); rest != 0 {
		t.Errorf("%s after the delay", rest)
	}

	c.Departed(plan.Entry{Kind: kong.KindRoute, Service: "s"})
	c.Departed(plan.Entry{Kind: kong.KindJWT, Owner: john})
	c.Departed(plan.Entry{Kind: kong.KindACL, Owner: jane})
	now = now.Add(4 * time.Second)
	for what, got := range map[string]time.Duration{
		"a service that lost a route":        c.RoutesRemaining("s"),
		"an owner that lost a credential":    c.CredentialsRemaining(john),
		"an entity that was written at once": c.Remaining(now.Add(-4 * time.Second)),
	} {
		if got != 6*time.Second {
			t.Errorf("%s: %s, want 6s", what, got)
		}
	}
	for what, got := range map[string]time.Duration{
		"a service that lost none":      c.RoutesRemaining("other"),
		"an owner that lost a row only": c.CredentialsRemaining(jane),
	} {
		if got != 0 {
			t.Errorf("%s: %s, want 0", what, got)
		}
	}
	if got := c.Remaining(now.Add(time.Hour)); got != 10*time.Second {
		t.Errorf("a clock that was set back begins anew: %s", got)
	}

	c.Forget(john)
	if c.CredentialsRemaining(john) != 0 {
		t.Error("a forgotten owner is remembered")
	}
	now = now.Add(time.Minute)
	c.Expire()
	if len(c.routes)+len(c.credentials) > 0 {
		t.Error("what is over is kept")
	}
}
