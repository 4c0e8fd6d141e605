package consumer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// maxNamed is how many keys a message names.
const maxNamed = 8

// list names things in a message.
func list(names []string) string {
	if len(names) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}

// announce records an event for each set whose keys changed. It is called once they are written, so that a reconcile
// whose write failed tells of nothing.
func (r *keySets) announce() {
	var notes []string
	for _, spec := range r.consumer.Spec.Credentials {
		set := r.sets[spec.Name]
		if set == nil {
			continue
		}
		d := set.decision
		var changes []string
		for _, change := range []struct {
			what string
			kids []string
		}{
			{"new: ", d.Joined}, {"back: ", d.Returned}, {"replaced under the same kid: ", d.Replaced},
			{fmt.Sprintf("left the set and valid for another %s: ", set.overlap), d.Left}, {"gone: ", d.Gone},
		} {
			if len(change.kids) > 0 {
				changes = append(changes, change.what+list(change.kids))
			}
		}
		if len(changes) > 0 {
			notes = append(notes, fmt.Sprintf("Credential %s: keys %s", spec.Name, strings.Join(changes, "; ")))
		}
	}
	if len(notes) > 0 {
		r.Event(r.consumer, corev1.EventTypeNormal, v1alpha1.EventJWKSChanged, "Refresh", strings.Join(notes, "; "))
	}
}

// flagDegraded says where Kong does not have what an issuer publishes, with an event for another credential or reason.
// The condition stands beside Ready: while there are keys, tokens that they signed pass, and Ready stays true.
func (r *keySets) flagDegraded() {
	conditions := &r.consumer.Status.Conditions
	former := apimeta.FindStatusCondition(*conditions, v1alpha1.ConditionKeySetDegraded)
	var messages []string
	reason, isNew := "", false
	for _, spec := range r.consumer.Spec.Credentials {
		if set := r.sets[spec.Name]; set != nil {
			for _, found := range set.degraded() {
				which := "credential " + spec.Name + ": "
				messages = append(messages, which+found.message)
				isNew = isNew || former == nil || !strings.Contains(former.Message, which)
				if reason == "" {
					reason = found.reason
				}
			}
		}
	}
	isNew = isNew || reason != "" && former.Reason != reason
	message := strings.Join(messages, "; ")
	status.Flag(conditions, r.consumer.Generation, v1alpha1.ConditionKeySetDegraded, reason, message)
	if isNew {
		r.Event(r.consumer, corev1.EventTypeWarning, reason, "Refresh", message)
	}
}

type degradation struct{ reason, message string }

// degraded lists what is wrong with a set of which there are keys.
func (s *keySet) degraded() []degradation {
	var found []degradation
	if s.view.Err != nil {
		kept := ""
		if len(s.decision.Held) > 0 {
			kept = ", and the last good keys stay"
		}
		found = append(found, degradation{reasonOf(s.view.Err), fmt.Sprintf("the key set could not be read since %s%s: %v",
			s.view.FailingSince.UTC().Format(time.RFC3339), kept, s.view.Err)})
	}
	if s.decision.KeptEmpty && len(s.decision.Held) > 0 {
		found = append(found, degradation{v1alpha1.ReasonEmptySet, "the key set has no usable key, and the last good keys stay; set revoked: true if they are to go"})
	}
	if s.selection.Beyond > 0 {
		found = append(found, degradation{v1alpha1.ReasonTooManyKeys, fmt.Sprintf("%d keys of the set are left out, being more than jwks.maxKeys lets in; raise it", s.selection.Beyond)})
	}
	if left := reasons(s.selection.Skipped); left != "" {
		found = append(found, degradation{v1alpha1.ReasonKeysLeftOut, "keys of the set are left out" + left})
	}
	return found
}

// reasonOf an error of a look.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, jwks.ErrRefused):
		return v1alpha1.ReasonPolicyViolation
	case errors.Is(err, jwks.ErrInvalid):
		return v1alpha1.ReasonKeySetInvalid
	default:
		return v1alpha1.ReasonKeySetUnreachable
	}
}

// reasons says why signing keys of a set are not used, each reason once. Keys for other uses, such as encryption, are
// left out without a word: Foreign says so.
func reasons(skipped []jwks.Skipped) string {
	var texts []string
	for _, s := range skipped {
		if !s.Foreign && !slices.Contains(texts, s.Reason) {
			texts = append(texts, s.Reason)
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return fmt.Sprintf(" (a key %s)", strings.Join(texts, "; a key "))
}

// await says which sets are waited for: those of which there is no key yet. Without any key each token of the issuer
// is refused. That is a wait and no stall: the answer of the issuer wakes the consumer.
func (r *keySets) await() error {
	for _, spec := range r.consumer.Spec.Credentials {
		set := r.sets[spec.Name]
		if set == nil || len(set.decision.Held) > 0 || set.view.Known && set.view.Err == nil {
			continue
		}
		switch {
		case set.view.Err != nil:
			return status.Wait(0, v1alpha1.ReasonKeySetUnreachable, "credential %s: %v; none of the issuer's keys are known, so its tokens are refused", spec.Name, set.view.Err)
		case set.view.Pending:
			return status.Wait(0, v1alpha1.ReasonProgressing, "credential %s: asking the issuer for its key set", spec.Name)
		}
	}
	return nil
}

// unanswered is when a look that is under way is asked about, should nothing have woken the consumer.
const unanswered = 2 * jwks.Timeout

// untilNext is how long it takes until a set is due, or a key leaves; zero where there is nothing to follow.
func (r *keySets) untilNext() time.Duration {
	var next time.Duration
	now := r.Now()
	for _, set := range r.sets {
		switch {
		case set.view.Pending:
			next = status.Sooner(next, unanswered)
		case set.view.Known || set.view.Err != nil:
			next = status.Sooner(next, max(set.view.After, overdue))
		}
		if leave := set.decision.NextLeave(set.overlap); !leave.IsZero() {
			next = status.Sooner(next, max(leave.Sub(now), overdue))
		}
	}
	return next
}
