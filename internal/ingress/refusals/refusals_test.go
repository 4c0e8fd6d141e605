package refusals_test

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/refusals"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

var plugin = objects.Reference{Kind: objects.KindClusterPlugin, Name: "api-1"}

func TestTheSameWishesAreRefusedUntilTheyChangeOrTimePasses(t *testing.T) {
	owner := desired.ServiceOwner("team", "api")
	type step struct {
		digest  string
		later   time.Duration
		refused bool
	}
	for name, steps := range map[string][]step{
		"the same":           {{"a", 0, true}, {"a", time.Minute, true}},
		"others":             {{"a", 0, true}, {"b", 0, false}, {"a", 0, false}},
		"the same, too late": {{"a", 0, true}, {"a", time.Hour + 1, false}, {"a", 0, false}},
	} {
		now := time.Unix(0, 0)
		l := refusals.New(time.Hour, func() time.Time { return now })
		if _, refused := l.Refused(owner, "a"); refused {
			t.Errorf("%s: refused from the start", name)
		}
		l.Note(owner, plugin, "invalid config.minute")
		for i, s := range steps {
			now = now.Add(s.later)
			what, refused := l.Refused(owner, s.digest)
			if refused != s.refused || refused && what != (refusals.Refusal{Object: plugin, Message: "invalid config.minute"}) {
				t.Errorf("%s, step %d: %v %q", name, i, refused, what)
			}
		}
	}
}

func TestARefusalIsOfOneOwner(t *testing.T) {
	l := refusals.New(time.Hour, time.Now)
	one, two := desired.ServiceOwner("team", "one"), desired.ServiceOwner("team", "two")
	l.Note(one, plugin, "bad")
	if _, refused := l.Refused(two, "a"); refused {
		t.Error("another owner is refused")
	}
	l.Forget(one)
	if _, refused := l.Refused(one, "a"); refused {
		t.Error("refused after it was forgotten")
	}
}
