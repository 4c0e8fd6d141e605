package consumer

import (
	"context"
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

// departures keeps in the status what was taken out of Kong and may still be on a data plane: keys that have no
// revisions in the state, of Secrets and of issuers. The status has all that a question needs, which is the key, and
// outlives a restart. Until it is known that no data plane has a key any more, nothing says that it is gone.
type departures struct {
	*subject
	revisions *revisions
	sync      *kongSync
	planes    *planes
}

// report adds to the status what left, and what is revoked, and is not known to have left every data plane. former is
// the status before. An entry without a RetirementTime is one that only waits for data planes. Revoked, all keys are
// entries of that kind until no data plane has them.
func (d *departures) report(ctx context.Context, former []v1alpha1.CredentialStatus) {
	reported := &d.consumer.Status.Credentials
	for _, s := range former {
		if s.Key == "" || s.Revision > 0 || s.State == v1alpha1.CredentialPending {
			continue // the state knows what becomes of revisions; what is Pending was not in Kong
		}
		i := slices.IndexFunc(*reported, func(now v1alpha1.CredentialStatus) bool { return now.Key == s.Key })
		if i >= 0 && !d.consumer.Spec.Revoked || !d.mayBeHeld(ctx, s) {
			continue
		}
		if i < 0 {
			i = len(*reported)
			*reported = append(*reported, s)
		}
		(*reported)[i].State, (*reported)[i].RetirementTime = v1alpha1.CredentialRetiring, nil
	}
}

// mayBeHeld says whether a data plane may still hold what left Kong. It notes what is waited for. true without a note
// stands for a key that Kong still has, or may have.
func (d *departures) mayBeHeld(ctx context.Context, s v1alpha1.CredentialStatus) bool {
	if _, inKong := d.gateway.Engine.CredentialPart(d.owner(), s.Key); inKong || !d.sync.result.Applied {
		return true // the error says why it stays
	}
	asks := d.gateway.AsksDataPlanes
	rest := d.gateway.Engine.RevocationRemaining(d.owner())
	// Where its time was over nobody waits for its end.
	over := s.RetirementTime != nil && !d.Now().Before(s.RetirementTime.Time)
	what := fmt.Sprintf("credential %s, key %s, left Kong", s.Name, s.Key)
	switch {
	case rest > 0 && (asks && !d.gateway.AsksEachDataPlane || !asks && !over):
		d.planes.holds(rest, what+"; waiting until every data plane has to refuse it (propagation delay)")
		return true
	case !asks:
		return false
	}
	conclusion, message := d.planes.ask(credential.Material{Key: s.Key, Algorithm: s.Algorithm}, probe.Absent)
	if conclusion == probe.Confirmed {
		d.planes.confirmed = message
		return false
	}
	// The key alone is asked for, which another consumer may have taken the moment that it was free. Within the
	// propagation delay the answer may still be about the former one.
	if conclusion == probe.Contradicted && rest == 0 {
		if held, err := d.gateway.Engine.HoldsKey(ctx, s.Key); err == nil && held {
			return false // the key is another consumer's now, and that is what the data planes hold
		}
	}
	d.planes.holds(askAgain, what+"; waiting until no data plane holds it any more: "+message)
	return true
}

// revokedRevisions says which revisions of a revoked consumer the data planes are not known to have lost, but for
// those that retire, which planes looks after. They are asked for by the material in the state: Kong has none of it
// any more.
func (d *departures) revokedRevisions() (found []string) {
	for name, history := range d.revisions.state.Credentials {
		for _, revision := range history.Revisions {
			if revision.State == v1alpha1.CredentialRetiring {
				continue
			}
			if conclusion, message := d.planes.ask(revision.Material, probe.Absent); conclusion != probe.Confirmed {
				found = append(found, "credential "+name+": "+message)
			}
		}
	}
	slices.Sort(found)
	return found
}
