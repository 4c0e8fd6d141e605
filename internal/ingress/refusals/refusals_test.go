package refusals_test

import (
	"slices"
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
		if len(l.Refused(owner, "a")) > 0 {
			t.Errorf("%s: refused from the start", name)
		}
		l.Note(owner, plugin, "invalid config.minute")
		for i, s := range steps {
			now = now.Add(s.later)
			what := l.Refused(owner, s.digest)
			if len(what) > 0 != s.refused || s.refused && what[0] != (refusals.Refusal{Object: plugin, Message: "invalid config.minute"}) {
				t.Errorf("%s, step %d: %q", name, i, what)
			}
		}
	}
}

func TestAllThatIsRefusedOfTheSameWishesIsRemembered(t *testing.T) {
	l, owner := refusals.New(time.Hour, time.Now), desired.ServiceOwner("team", "api")
	other := objects.Reference{Kind: objects.KindClusterPlugin, Name: "api-2"}
	l.Note(owner, plugin, "b")
	l.Refused(owner, "wishes")
	l.Note(owner, other, "a")
	l.Note(owner, other, "a")
	want := []refusals.Refusal{{Object: other, Message: "a"}, {Object: plugin, Message: "b"}}
	if what := l.Refused(owner, "wishes"); !slices.Equal(what, want) {
		t.Errorf("%q", what)
	}
	if what := l.Refused(owner, "others"); len(what) > 0 {
		t.Errorf("%q", what)
	}
	l.Note(owner, other, "a")
	if what := l.Refused(owner, "others"); !slices.Equal(what, want[:1]) {
		t.Errorf("what was refused of other wishes stays: %q", what)
	}
}

func TestARefusalIsOfOneOwner(t *testing.T) {
	l := refusals.New(time.Hour, time.Now)
	one, two := desired.ServiceOwner("team", "one"), desired.ServiceOwner("team", "two")
	l.Note(one, plugin, "bad")
	if len(l.Refused(two, "a")) > 0 {
		t.Error("another owner is refused")
	}
	l.Forget(one)
	if len(l.Refused(one, "a")) > 0 {
		t.Error("refused after it was forgotten")
	}
}
