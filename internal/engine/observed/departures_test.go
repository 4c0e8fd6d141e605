package observed

import (
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/propagation"
)

func TestACredentialLeavesWhenItIsDeletedAndWhenItsKeyIsChanged(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(*Store, plan.Entry)
		left  bool
	}{
		"deleted": {func(s *Store, e plan.Entry) { s.RecordGone(e) }, true},
		"another key": {func(s *Store, e plan.Entry) {
			e.Keys = []desired.UniqueKey{{Kind: desired.UniqueCredentialKey, Value: "other"}}
			wrote(s, e)
		}, true},
		"another secret": {func(s *Store, e plan.Entry) { e.Hash = plan.Hash{2}; wrote(s, e) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_700_000_000, 0)
			clock := func() time.Time { return now }
			clocks := propagation.New(clock)
			clocks.SetDelay(10 * time.Second)
			s := New(scope, clocks, clock)
			wrote(s, consumer(john, 1), credential(john, "a"))
			c.leave(s, credential(john, "a"))
			if left := clocks.CredentialsRemaining(john) > 0; left != c.left {
				t.Errorf("left: %v", left)
			}
		})
	}
}
