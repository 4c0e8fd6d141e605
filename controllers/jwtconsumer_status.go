package controllers

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// reportCredentials writes the status of each credential: of one with generations the Active first, then the Pending, then the Retiring, newest first.
func (r *consumerRun) reportCredentials() {
	former := r.consumer.Status.Credentials
	r.consumer.Status.Credentials = nil
	for _, run := range r.credentials {
		state := r.state.Credentials[run.spec.Name]
		switch {
		case run.spec.JWKS != nil && !r.followsUnknown(run.spec.Name):
			r.reportKeySet(run.spec.Name, former)
		case run.spec.JWKS != nil, run.missing && len(state.Generations) == 0:
			for _, s := range former {
				if s.Name == run.spec.Name {
					r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, s)
				}
			}
		case run.stateful:
			r.reportGenerations(run, state, former)
		default:
			r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, r.reportInPlace(run, former))
		}
	}
	if len(r.consumer.Status.Credentials) > maxReported {
		r.consumer.Status.Credentials = r.consumer.Status.Credentials[:maxReported]
	}
	r.consumer.Status.NextRotationTime = nextRotation(r.consumer.Status.Credentials)
}

// nextRotation is the first of the rotation times, nil where nothing is due.
func nextRotation(credentials []v1alpha1.CredentialStatus) *metav1.Time {
	var next *metav1.Time
	for _, c := range credentials {
		if c.RotationTime != nil && (next == nil || c.RotationTime.Before(next)) {
			next = c.RotationTime
		}
	}
	return next
}

// maxReported is how many credentials a status takes.
const maxReported = 256

// reportInPlace is the status of a credential without generations.
func (r *consumerRun) reportInPlace(run credentialRun, former []v1alpha1.CredentialStatus) v1alpha1.CredentialStatus {
	id := r.credentialID(run, 0)
	report := v1alpha1.CredentialStatus{
		Name: run.spec.Name, Key: run.material.Key, KongID: r.target.engine.ActualID(id), Algorithm: run.material.Algorithm,
		State: v1alpha1.CredentialPending, SecretName: secretName(run.spec),
	}
	held, _ := r.target.engine.Standing(id)
	switch {
	case r.consumer.Spec.Revoked:
	case !r.result.Applied:
		report.State = formerPhase(former, report)
	case held && !r.result.Undone[id]:
		report.State = v1alpha1.CredentialActive
	}
	return report
}

func (r *consumerRun) reportGenerations(run credentialRun, state credential.CredentialState, former []v1alpha1.CredentialStatus) {
	generations := slices.Clone(state.Generations)
	order := []v1alpha1.CredentialState{v1alpha1.CredentialActive, v1alpha1.CredentialPending, v1alpha1.CredentialRetiring}
	slices.SortStableFunc(generations, func(a, b credential.Generation) int {
		if a.Phase != b.Phase {
			return slices.Index(order, a.Phase) - slices.Index(order, b.Phase)
		}
		return int(b.Number - a.Number)
	})
	_, rotating := state.Pending()
	for _, g := range generations {
		report := v1alpha1.CredentialStatus{
			Name: run.spec.Name, Key: g.Material.Key, KongID: r.target.engine.ActualID(r.credentialID(run, g.Slot)), Algorithm: g.Material.Algorithm,
			State: g.Phase, Revision: g.Number, IssueTime: at(g.IssueTime), SecretName: secretName(run.spec),
		}
		switch {
		case g.Phase == v1alpha1.CredentialRetiring:
			report.RetirementTime = at(run.want.RetiresAt(g))
		case g.Phase == v1alpha1.CredentialActive && !rotating:
			report.RotationTime = at(run.want.RotatesAt(g))
		}
		if run.missing {
			report.SecretName = formerSecret(former, report) // what clients read stays until there is something else
		}
		report.State = r.phaseOf(run, g, report, former)
		r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, report)
	}
}

// phaseOf is the phase of a generation as far as Kong has it. What is not known now is as it was.
func (r *consumerRun) phaseOf(run credentialRun, g credential.Generation, report v1alpha1.CredentialStatus, former []v1alpha1.CredentialStatus) v1alpha1.CredentialState {
	standing := r.seen[run.spec.Name].Verdicts[g.Number].Standing
	switch {
	case g.Phase == v1alpha1.CredentialRetiring:
		return g.Phase
	case r.consumer.Spec.Revoked, standing == credential.Absent:
		return v1alpha1.CredentialPending
	case standing == credential.Unknown:
		return formerPhase(former, report)
	default:
		return g.Phase
	}
}

// formerSecret is where the status said that a generation is.
func formerSecret(former []v1alpha1.CredentialStatus, report v1alpha1.CredentialStatus) string {
	for _, s := range former {
		if s.Name == report.Name && s.Revision == report.Revision && s.SecretName != "" {
			return s.SecretName
		}
	}
	return report.SecretName
}

// formerPhase is what the status said of a credential before, if it spoke of the same one.
func formerPhase(former []v1alpha1.CredentialStatus, report v1alpha1.CredentialStatus) v1alpha1.CredentialState {
	for _, s := range former {
		if s.Name == report.Name && s.Key == report.Key && s.Algorithm == report.Algorithm && s.Revision == report.Revision && s.State != "" {
			return s.State
		}
	}
	return v1alpha1.CredentialPending
}

// at writes a time as the API does; nothing where there is none.
func at(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Local().Truncate(time.Second)}
}
