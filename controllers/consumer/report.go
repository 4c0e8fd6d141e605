package consumer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// credentials writes the status of each credential: of one with revisions the Active first, then the Pending, then the
// Retiring, newest first. It is called at the end of each round, and also where Kong failed: what is not known then is
// as the status said before.
func (r *report) credentials(ctx context.Context) {
	former := r.consumer.Status.Credentials
	r.consumer.Status.Credentials = nil
	for _, c := range r.sources.credentials {
		state := r.revisions.of(c.spec.Name)
		switch {
		case c.spec.JWKS != nil && !r.keySets.awaitsIssuer(c.spec.Name):
			r.keysOf(c.spec.Name, former)
			r.revisionsOf(c, state, former)
		case c.spec.JWKS != nil && len(state.Revisions) > 0:
			r.revisionsOf(c, state, former)
		case c.spec.JWKS != nil:
			r.kept(c.spec.Name, former)
		case c.missing && !hasActive(state):
			r.kept(c.spec.Name, former)
			r.revisionsOf(c, state, former)
		case c.stateful:
			r.revisionsOf(c, state, former)
		default:
			r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, r.inPlace(c, former))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.revisions.state.Credentials)) {
		if !r.hasCredential(name) { // it left Kong, and is not known to have left every data plane
			r.revisionsOf(resolvedCredential{spec: v1alpha1.Credential{Name: name}}, r.revisions.of(name), former)
		}
	}
	// After all that is there: departures adds what is in the former status and not in this one.
	r.departures.report(ctx, former)
	r.concealKeys()
	if len(r.consumer.Status.Credentials) > maxReported {
		r.consumer.Status.Credentials = r.consumer.Status.Credentials[:maxReported]
	}
	r.consumer.Status.NextRotationTime = nextRotation(r.consumer.Status.Credentials)
	r.consumer.Status.NewestIssueTime = newestIssue(r.consumer.Status.Credentials)
}

// kept goes on with what the status said of a credential that stays in Kong as it is: of its revisions where their
// state cannot be read.
func (r *report) kept(name string, former []v1alpha1.CredentialStatus) {
	for _, s := range former {
		left := s.State == v1alpha1.CredentialRetiring && s.RetirementTime == nil // see departures
		if s.Name == name && (s.Revision == 0 && !left || r.revisions.unread) {
			if r.consumer.Spec.Revoked {
				s.State = v1alpha1.CredentialPending
			}
			r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, s)
		}
	}
}

func hasActive(history credential.History) bool {
	_, found := history.Active()
	return found
}

// newestIssue is the last of the times when keys were made, nil where none is known.
func newestIssue(credentials []v1alpha1.CredentialStatus) *metav1.Time {
	var newest *metav1.Time
	for _, c := range credentials {
		if c.IssueTime != nil && (newest == nil || newest.Before(c.IssueTime)) {
			newest = c.IssueTime
		}
	}
	return newest
}

// concealKeys leaves out the keys out of Secrets that Kong does not hold: a Secret's data key that is no credential's
// key, a password say, may have been named by mistake, or to read it.
func (r *report) concealKeys() {
	for _, c := range r.sources.credentials {
		for i := range r.consumer.Status.Credentials {
			report := &r.consumer.Status.Credentials[i]
			if report.Name == c.spec.Name && report.State == v1alpha1.CredentialPending && keyInSecret(c.spec) {
				report.Key = ""
			}
		}
	}
}

// report writes status.credentials.
type report struct {
	*subject
	sources    *sources
	revisions  *revisions
	keySets    *keySets
	sync       *kongSync
	departures *departures
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

// maxReported is how many credentials a status takes: the maxItems of status.credentials in the CRD.
const maxReported = 256

// inPlace is the status of a credential without revisions. Pending stands for all that is not known to be in Kong.
// result.Applied is false where the Sync did not get to the end: the former state is better than a guess.
func (r *report) inPlace(c resolvedCredential, former []v1alpha1.CredentialStatus) v1alpha1.CredentialStatus {
	id := desired.CredentialID(r.gateway.Scope, r.owner(), r.sync.partOf(c.spec.Name, c.material.Key))
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

// revisionsOf reports the revisions of a credential: the active one first, then the one that replaces it, then those
// whose overlap runs.
func (r *report) revisionsOf(c resolvedCredential, state credential.History, former []v1alpha1.CredentialStatus) {
	want := r.revisions.wantFor(c.spec.Name)
	revisions := slices.Clone(state.Revisions)
	order := []v1alpha1.CredentialState{v1alpha1.CredentialActive, v1alpha1.CredentialPending, v1alpha1.CredentialRetiring}
	slices.SortStableFunc(revisions, func(a, b credential.Revision) int {
		if a.State != b.State {
			return slices.Index(order, a.State) - slices.Index(order, b.State)
		}
		return int(b.Number - a.Number)
	})
	_, rotating := state.Pending()
	for _, revision := range revisions {
		report := v1alpha1.CredentialStatus{
			Name: c.spec.Name, Key: revision.Material.Key, KongID: r.gateway.Engine.ActualID(r.credentialID(revision.Slot)),
			Algorithm: revision.Material.Algorithm, State: revision.State, Revision: revision.Number, IssueTime: at(revision.IssueTime),
			SecretName: cmp.Or(state.SecretName, secretName(c.spec)),
		}
		switch {
		case revision.State == v1alpha1.CredentialRetiring:
			report.RetirementTime = at(want.RetiresAt(revision))
		case revision.State == v1alpha1.CredentialActive && !rotating:
			report.RotationTime = at(want.RotatesAt(revision))
		}
		if c.missing {
			// What clients read stays until there is something else.
			report.SecretName = formerSecret(former, report)
		}
		report.State = r.stateOf(c.spec.Name, revision, report, former)
		r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, report)
	}
}

// stateOf is the state of a revision as far as Kong has it. What is not known now is as it was. The state of the
// history is what shall be. Absent and Unknown are what is: the status does not call a credential Active that Kong
// does not have.
func (r *report) stateOf(
	name string, revision credential.Revision, report v1alpha1.CredentialStatus, former []v1alpha1.CredentialStatus,
) v1alpha1.CredentialState {
	standing := r.revisions.seen[name].Verdicts[revision.Number].Standing
	switch {
	case revision.State == v1alpha1.CredentialRetiring:
		return revision.State
	case r.consumer.Spec.Revoked, standing == credential.Absent:
		return v1alpha1.CredentialPending
	case standing == credential.Unknown:
		return formerState(former, report)
	default:
		return revision.State
	}
}

// keysOf writes the status of each key of a set.
func (r *report) keysOf(name string, former []v1alpha1.CredentialStatus) {
	set := r.keySets.sets[name]
	if set == nil {
		return
	}
	for _, held := range set.decision.Held {
		id := r.keySets.keyID(set, held.ID)
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

// formerSecret is where the status said that a revision is.
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
