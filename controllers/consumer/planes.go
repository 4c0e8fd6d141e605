package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// askAgain is the time until data planes that are not as wanted are asked again. probe.Poller asks no sooner either.
const askAgain = time.Second

// planes asks the data planes what they hold, where the gateway names them; see DataPlanes.
//
// Where the gateway names none, the propagation delay stands for their answer: db_update_frequency plus
// worker_state_update_frequency of Kong (kong.conf.default), and a margin. It is the time after which each worker has
// to have loaded a write.
type planes struct {
	*subject
	sources   *sources
	revisions *revisions
	sync      *kongSync
	// holding says which credentials left Kong and not yet every data plane.
	holding []string
	// departure is how long it takes until the next look at them.
	departure time.Duration
	// confirmed names the data planes that were as wanted when they were asked last.
	confirmed string
	// askSoon says that data planes are to be asked again.
	askSoon bool
}

// observe finds out how the revisions stand after a Sync, also those of credentials that the spec no longer has. Each
// round begins with no verdicts: those of a former round were about what Kong held before this Sync.
func (r *planes) observe() {
	r.holding, r.departure = nil, 0
	// What was answered before a write is about the former material of a slot.
	if r.sync.result.Writes > 0 {
		r.forgetAnswers(r.gateway.Scope.Gateway)
	}
	for name, history := range r.revisions.state.Credentials {
		seen := r.revisions.seen[name]
		seen.Verdicts = map[int64]credential.Verdict{}
		wanted := r.revisions.outcome(name).Kong
		for _, revision := range history.Revisions {
			seen.Verdicts[revision.Number] = r.verdict(name, revision, wantsRevision(wanted, revision))
		}
		r.revisions.seen[name] = seen
	}
}

// verdict says how a revision stands. What Sync did not get to is unknown. The cases go from what ends a revision to
// what promotes one. An Absent verdict is given only where Kong has the consumer itself: without it the credentials
// are missing for that reason alone, and nothing may be dropped.
func (r *planes) verdict(name string, revision credential.Revision, wanted bool) credential.Verdict {
	if !r.sync.result.Applied {
		return credential.Verdict{}
	}
	id := r.credentialID(revision.Slot)
	held, rest := r.gateway.Engine.Standing(id)
	switch consumer, _ := r.gateway.Engine.Standing(r.consumer.Status.ConsumerID); {
	case !held && consumer:
		return r.departed(name, revision)
	// Unknown: Kong lacks the consumer, the revision is not to be there, or Kong holds its slot with former
	// content.
	case !held, !wanted, r.sync.result.Undone[id]:
		return credential.Verdict{}
	case revision.State != v1alpha1.CredentialPending:
		// It was held when it was promoted, or is the first.
		return credential.Verdict{Standing: credential.Held}
	}
	// Of several data planes behind one URL some may never be the one that answers. With addresses of single pods
	// the answers are enough, and the delay is not waited for.
	if rest > 0 && !r.gateway.AsksEachDataPlane {
		return credential.Verdict{
			Standing: credential.Waiting, After: rest,
			Message: fmt.Sprintf("credential %s, revision %d, is in Kong; waiting until every data plane has to know it (propagation delay)", name, revision.Number),
		}
	}
	if r.gateway.AsksDataPlanes {
		return r.arrived(name, revision)
	}
	return credential.Verdict{Standing: credential.Held}
}

// ask asks the data planes in the background; the consumer is looked at again when they have answered. It returns at
// once, with probe.Unsure where nothing is known yet.
func (r *planes) ask(material credential.Material, want probe.Want) (probe.Conclusion, string) {
	key := client.ObjectKeyFromObject(r.consumer)
	return r.DataPlanes.Ask(r.gateway.Scope.Gateway, probe.Question{
		Who: key.String(), Material: material, Want: want, Wake: func() { r.Wake(key) },
	})
}

// forgetAnswers drops what the data planes answered: the credentials were written since.
func (s *subject) forgetAnswers(gateway string) {
	s.DataPlanes.Forget(gateway, client.ObjectKeyFromObject(s.consumer).String())
}

// arrived says whether a Pending revision is on every data plane. Unsure and Contradicted are both a wait here: a data
// plane that is behind is the usual case. Which one it is says the message.
func (r *planes) arrived(name string, revision credential.Revision) credential.Verdict {
	conclusion, message := r.ask(revision.Material, probe.Present)
	if conclusion == probe.Confirmed {
		r.confirmed = message
		return credential.Verdict{Standing: credential.Held}
	}
	return credential.Verdict{
		Standing: credential.Waiting, After: askAgain,
		Message: fmt.Sprintf("credential %s, revision %d, is in Kong; waiting until every data plane holds it: %s", name, revision.Number, message),
	}
}

// departed says whether a revision that left Kong has left every data plane: they are asked, or, for what was taken
// away before its time, the propagation delay has to pass. Where another has the same key, only that one can be asked
// for. Behind one URL there may be several, and both has to be. The answer is Absent, after which the state drops the
// revision, or Waiting. A revision that was never Retiring had left Kong by somebody else's hand, or was never taken:
// nobody waits for that.
func (r *planes) departed(name string, revision credential.Revision) credential.Verdict {
	absent := credential.Verdict{Standing: credential.Absent}
	if revision.State != v1alpha1.CredentialRetiring {
		return absent
	}
	sharesKey := slices.ContainsFunc(r.revisions.of(name).Revisions, func(other credential.Revision) bool {
		return other.Number != revision.Number && other.Material.Key == revision.Material.Key
	})
	what := fmt.Sprintf("credential %s, revision %d, left Kong", name, revision.Number)
	asks := r.gateway.AsksDataPlanes && !sharesKey
	// An overlap that was ended early is a revocation, which is done when no data plane can have the key. One that
	// ended by the clock needs no such wait: clients have had the next material all the time.
	rest := r.gateway.Engine.RevocationRemaining(r.owner())
	if rest > 0 && (asks && !r.gateway.AsksEachDataPlane || !asks && revision.Ended) {
		return r.holds(rest, what+"; waiting until every data plane has to refuse it (propagation delay)")
	}
	if !asks {
		return absent
	}
	conclusion, message := r.ask(revision.Material, probe.Absent)
	if conclusion == probe.Confirmed {
		r.confirmed = message
		return absent
	}
	return r.holds(askAgain, what+"; waiting until no data plane holds it any more: "+message)
}

// holds notes that data planes may hold what left Kong.
func (r *planes) holds(again time.Duration, message string) credential.Verdict {
	r.holding = append(r.holding, message)
	r.departure = status.Sooner(r.departure, again)
	return credential.Verdict{Standing: credential.Waiting, After: again, Message: message}
}

// verify asks for what is in Kong, and writes what the data planes say into the status. What was once seen to be right
// is not asked for again, unless it was written since. It comes after rotate, and changes nothing in Kong: the
// condition Verified stands beside Ready.
func (r *planes) verify(context.Context) error {
	if !r.gateway.AsksDataPlanes || r.consumer.Spec.Revoked {
		apimeta.RemoveStatusCondition(&r.consumer.Status.Conditions, v1alpha1.ConditionVerified)
		return nil
	}
	unsure := slices.Clone(r.holding)
	var contradicted []string
	last := r.confirmed
	for _, c := range r.sync.input.Credentials {
		id := desired.CredentialID(r.gateway.Scope, r.owner(), c.Part)
		// What was adopted has an id of its own, and the status names that.
		actual := r.gateway.Engine.ActualID(id)
		i := slices.IndexFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool { return s.KongID == actual && s.Key == c.Material.Key })
		held, rest := r.gateway.Engine.Standing(id)
		// What is not in Kong as it is wanted is asked for once it is.
		if i < 0 || !held || r.sync.result.Undone[id] {
			continue
		}
		report := &r.consumer.Status.Credentials[i]
		verified := rest == 0 && r.verifiedBefore(*report)
		switch {
		case verified:
		case rest > 0 && !r.gateway.AsksEachDataPlane:
			unsure = append(unsure, "credential "+report.Name+": waiting until every data plane has to know it (propagation delay)")
		default:
			conclusion, message := r.ask(c.Material, probe.Present)
			switch conclusion {
			case probe.Unsure:
				unsure = append(unsure, "credential "+report.Name+": "+message)
			case probe.Contradicted:
				contradicted = append(contradicted, "credential "+report.Name+": "+message)
			default:
				verified, last = true, message
			}
		}
		report.Verified = &verified
	}
	r.reportVerified(unsure, contradicted, last)
	return nil
}

// verifiedBefore says whether an earlier reconciliation saw every data plane take this very material. The status is
// the memory, so that a restart does not ask for every credential again. It is compared with the status as it was
// read, not as this reconcile has written it.
func (r *planes) verifiedBefore(report v1alpha1.CredentialStatus) bool {
	return slices.ContainsFunc(r.former, func(s v1alpha1.CredentialStatus) bool {
		return s.KongID == report.KongID && s.Key == report.Key && s.Revision == report.Revision && s.Algorithm == report.Algorithm &&
			s.Verified != nil && *s.Verified
	})
}

// reportVerified writes the condition Verified, with an event where it changed. Contradicted weighs more than unsure:
// somebody has to look at a data plane that has other material, while one that did not answer is asked again.
func (r *planes) reportVerified(unsure, contradicted []string, last string) {
	conditions := &r.consumer.Status.Conditions
	condition := metav1.Condition{
		Type: v1alpha1.ConditionVerified, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, ObservedGeneration: r.consumer.Generation,
		Message: "Every data plane holds the credentials: " + last,
	}
	former := apimeta.FindStatusCondition(*conditions, v1alpha1.ConditionVerified)
	switch {
	case len(contradicted) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonAwaitingDataPlane
		condition.Message = strings.Join(append(contradicted, unsure...), "; ")
	case len(unsure) > 0:
		condition.Status, condition.Reason = metav1.ConditionUnknown, v1alpha1.ReasonAwaitingDataPlane
		condition.Message = strings.Join(unsure, "; ")
	case last == "" && former != nil && former.Status == metav1.ConditionTrue:
		condition.Message = former.Message // nobody was asked anew
	case last == "":
		condition.Message = "Every data plane was seen to hold the credentials"
	}
	if condition.Status != metav1.ConditionTrue {
		r.askSoon = true
	}
	if status.Set(conditions, condition) && (former == nil || former.Status != condition.Status) && condition.Status != metav1.ConditionUnknown {
		kind, reason := corev1.EventTypeNormal, v1alpha1.EventVerified
		if condition.Status == metav1.ConditionFalse {
			kind, reason = corev1.EventTypeWarning, v1alpha1.EventNotVerified
		}
		r.Event(r.consumer, kind, reason, "Verify", condition.Message)
	}
}

// untilNext is when data planes are to be asked again; zero where they need not be.
func (r *planes) untilNext() time.Duration {
	if r.askSoon {
		return askAgain
	}
	return 0
}
