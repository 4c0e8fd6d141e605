package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// askAgain is the time until data planes that are not as wanted are asked again.
const askAgain = time.Second

// arrived says whether a Pending generation is on every data plane.
func (r *consumerRun) arrived(ctx context.Context, run credentialRun, g credential.Generation) credential.Verdict {
	conclusion, message := r.DataPlanes.Ask(ctx, r.target.scope.Gateway, g.Material, probe.Present)
	if conclusion == probe.Confirmed {
		r.confirmed = message
		return credential.Verdict{Standing: credential.Held}
	}
	return credential.Verdict{
		Standing: credential.Waiting, After: askAgain,
		Message: fmt.Sprintf("credential %s, generation %d, is in Kong; waiting until every data plane holds it: %s", run.spec.Name, g.Number, message),
	}
}

// departed says whether a generation that left Kong has left every data plane. Where another has the same key, only that one can be asked for.
func (r *consumerRun) departed(ctx context.Context, run credentialRun, g credential.Generation) credential.Verdict {
	absent := credential.Verdict{Standing: credential.Absent}
	sharesKey := slices.ContainsFunc(r.state.Credentials[run.spec.Name].Generations, func(other credential.Generation) bool {
		return other.Number != g.Number && other.Material.Key == g.Material.Key
	})
	if !r.target.asks || g.Phase != v1alpha1.CredentialRetiring || sharesKey {
		return absent
	}
	conclusion, message := r.DataPlanes.Ask(ctx, r.target.scope.Gateway, g.Material, probe.Absent)
	if conclusion == probe.Confirmed {
		r.confirmed = message
		return absent
	}
	r.lingering = append(r.lingering,
		fmt.Sprintf("credential %s, generation %d, left Kong; waiting until no data plane holds it any more: %s", run.spec.Name, g.Number, message))
	return credential.Verdict{Standing: credential.Waiting, After: askAgain, Message: message}
}

// stillThere says which of a revoked consumer's keys the data planes are not known to have lost.
func (r *consumerRun) stillThere(ctx context.Context) []string {
	var found []string
	for _, run := range r.credentials {
		materials := []credential.Material{run.material}
		if run.stateful {
			materials = nil
			for _, g := range r.state.Credentials[run.spec.Name].Generations {
				materials = append(materials, g.Material)
			}
		}
		for _, material := range materials {
			if material.Key == "" {
				continue // its Secret is gone, or it is a key set's: the propagation delay has to do
			}
			if conclusion, message := r.DataPlanes.Ask(ctx, r.target.scope.Gateway, material, probe.Absent); conclusion != probe.Confirmed {
				found = append(found, "credential "+run.spec.Name+": "+message)
			}
		}
	}
	return found
}

// verify asks for what is in Kong, and writes what the data planes say into the status. What was once seen to be right is not asked for again, unless it
// was written since.
func (r *consumerRun) verify(ctx context.Context) error {
	if !r.target.asks || r.consumer.Spec.Revoked {
		apimeta.RemoveStatusCondition(&r.consumer.Status.Conditions, v1alpha1.ConditionVerified)
		return nil
	}
	unsure := slices.Clone(r.lingering)
	var contradicted []string
	last := r.confirmed
	for _, c := range r.input.Credentials {
		id := desired.CredentialID(r.target.scope, r.owner(), c.Part)
		actual := r.target.engine.ActualID(id) // what was adopted has an id of its own, and the status names that
		i := slices.IndexFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool { return s.KongID == actual && s.Key == c.Material.Key })
		held, rest := r.target.engine.Standing(id)
		if i < 0 || !held || r.result.Undone[id] {
			continue
		}
		report := &r.consumer.Status.Credentials[i]
		verified := rest == 0 && r.verifiedBefore(*report)
		if !verified {
			conclusion, message := r.DataPlanes.Ask(ctx, r.target.scope.Gateway, c.Material, probe.Present)
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

func (r *consumerRun) verifiedBefore(report v1alpha1.CredentialStatus) bool {
	return slices.ContainsFunc(r.former, func(s v1alpha1.CredentialStatus) bool {
		return s.KongID == report.KongID && s.Key == report.Key && s.Revision == report.Revision && s.Algorithm == report.Algorithm &&
			s.Verified != nil && *s.Verified
	})
}

// reportVerified writes the condition Verified, with an event where it changed.
func (r *consumerRun) reportVerified(unsure, contradicted []string, last string) {
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
		r.event(r.consumer, kind, reason, "Verify", condition.Message)
	}
}

// untilVerified is when data planes are to be asked again; zero where they need not be.
func (r *consumerRun) untilVerified() time.Duration {
	if r.askSoon {
		return askAgain
	}
	return 0
}
