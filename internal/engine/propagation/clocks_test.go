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

	now = now.Add(time.Minute)
	c.Expire()
	if len(c.routes)+len(c.credentials) > 0 {
		t.Error("what is over is kept")
	}
}

// What is not over is kept, and of another Kong nothing is known.
func TestDeparturesAreOfOneKong(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := New(func() time.Time { return now })
	c.SetDelay(10 * time.Second)
	john, jane := desired.ConsumerOwner("team", "john"), desired.ConsumerOwner("team", "jane")
	c.Departed(plan.Entry{Kind: kong.KindJWT, Owner: jane})
	now = now.Add(8 * time.Second)
	c.Departed(plan.Entry{Kind: kong.KindRoute, Service: "s"})
	c.Departed(plan.Entry{Kind: kong.KindJWT, Owner: john})
	now = now.Add(3 * time.Second)
	c.Expire()
	if c.RoutesRemaining("s") != 7*time.Second || c.CredentialsRemaining(john) != 7*time.Second || len(c.credentials) != 1 {
		t.Errorf("%s and %s are left, of %d owners", c.RoutesRemaining("s"), c.CredentialsRemaining(john), len(c.credentials))
	}
	c.Fill()
	c.Reset()
	if c.Filled() || c.RoutesRemaining("s") != 0 || c.CredentialsRemaining(john) != 0 {
		t.Error("something is known of another Kong")
	}
	if c.Delay() != 10*time.Second {
		t.Errorf("the delay is %s", c.Delay())
	}
	c.Fill()
	if c.RoutesRemaining("s") != 10*time.Second {
		t.Error("what left another Kong just before is not waited for")
	}
}
