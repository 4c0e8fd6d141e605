package consumer

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// credentials writes the status of each credential: of one with generations the Active first, then the Pending, then the Retiring, newest first.
func (r *report) credentials() {
	former := r.consumer.Status.Credentials
	r.consumer.Status.Credentials = nil
	for _, c := range r.sources.credentials {
		state := r.revisions.of(c.spec.Name)
		switch {
		case c.spec.JWKS != nil && !r.keySets.awaitsIssuer(c.spec.Name):
			r.keysOf(c.spec.Name, former)
		case c.spec.JWKS != nil, c.missing && len(state.Generations) == 0:
			for _, s := range former {
				if s.Name == c.spec.Name {
					r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, s)
				}
			}
		case c.stateful:
			r.revisionsOf(c, state, former)
		default:
			r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, r.inPlace(c, former))
		}
	}
	if len(r.consumer.Status.Credentials) > maxReported {
		r.consumer.Status.Credentials = r.consumer.Status.Credentials[:maxReported]
	}
	r.consumer.Status.NextRotationTime = nextRotation(r.consumer.Status.Credentials)
}

// report writes status.credentials.
type report struct {
	*subject
	sources   *sources
	revisions *revisions
	keySets   *keySets
	sync      *kongSync
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

// inPlace is the status of a credential without generations.
func (r *report) inPlace(c resolvedCredential, former []v1alpha1.CredentialStatus) v1alpha1.CredentialStatus {
	id := r.credentialID(c.spec.Name, 0)
	report := v1alpha1.CredentialStatus{
		Name: c.spec.Name, Key: c.material.Key, KongID: r.gateway.Engine.ActualID(id), Algorithm: c.material.Algorithm,
		State: v1alpha1.CredentialPending, SecretName: secretName(c.spec),
	}
	held, _ := r.gateway.Engine.Standing(id)
	switch {
	case r.consumer.Spec.Revoked:
	case !r.sync.result.Applied:
		report.State = formerState(former, report)
	case held && !r.sync.result.Undone[id]:
		report.State = v1alpha1.CredentialActive
	}
	return report
}

func (r *report) revisionsOf(c resolvedCredential, state credential.CredentialState, former []v1alpha1.CredentialStatus) {
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
			Name: c.spec.Name, Key: g.Material.Key, KongID: r.gateway.Engine.ActualID(r.credentialID(c.spec.Name, g.Slot)), Algorithm: g.Material.Algorithm,
			State: g.Phase, Revision: g.Number, IssueTime: at(g.IssueTime), SecretName: secretName(c.spec),
		}
		switch {
		case g.Phase == v1alpha1.CredentialRetiring:
			report.RetirementTime = at(c.want.RetiresAt(g))
		case g.Phase == v1alpha1.CredentialActive && !rotating:
			report.RotationTime = at(c.want.RotatesAt(g))
		}
		if c.missing {
			report.SecretName = formerSecret(former, report) // what clients read stays until there is something else
		}
		report.State = r.stateOf(c, g, report, former)
		r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, report)
	}
}

// stateOf is the phase of a generation as far as Kong has it. What is not known now is as it was.
func (r *report) stateOf(c resolvedCredential, g credential.Generation, report v1alpha1.CredentialStatus, former []v1alpha1.CredentialStatus) v1alpha1.CredentialState {
	standing := r.revisions.seen[c.spec.Name].Verdicts[g.Number].Standing
	switch {
	case g.Phase == v1alpha1.CredentialRetiring:
		return g.Phase
	case r.consumer.Spec.Revoked, standing == credential.Absent:
		return v1alpha1.CredentialPending
	case standing == credential.Unknown:
		return formerState(former, report)
	default:
		return g.Phase
	}
}

// keysOf writes the status of each key of a set.
func (r *report) keysOf(name string, former []v1alpha1.CredentialStatus) {
	set := r.keySets.sets[name]
	if set == nil {
		return
	}
	for _, held := range set.decision.Held {
		id := desired.CredentialID(r.gateway.Scope, r.owner(), desired.KeySetPart(name, held.ID))
		report := v1alpha1.CredentialStatus{
			Name: name, Key: held.ID, KongID: r.gateway.Engine.ActualID(id), Algorithm: v1alpha1.Algorithm(held.Algorithm), IssueTime: at(held.Since),
			State: v1alpha1.CredentialPending, SecretName: credential.JWKSSecretName(r.consumer.Name),
		}
		inKong, _ := r.gateway.Engine.Standing(id)
		switch {
		case held.Leaving():
			report.State, report.RetirementTime = v1alpha1.CredentialRetiring, at(held.LeaveTime(set.overlap))
		case r.consumer.Spec.Revoked || set.shadowed[held.ID]:
		case !r.sync.result.Applied:
			report.State = formerState(former, report)
		case inKong && !r.sync.result.Undone[id]:
			report.State = v1alpha1.CredentialActive
		}
		r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, report)
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

// formerState is what the status said of a credential before, if it spoke of the same one.
func formerState(former []v1alpha1.CredentialStatus, report v1alpha1.CredentialStatus) v1alpha1.CredentialState {
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
