package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// revisions is the state of the credentials that are generated, or that overlap: what was made, and what becomes of
// it. package credential decides; the state is written before anything rests on it.
//
// read takes the state from its Secret, want and wantOf say what the spec asks of it, seen collects what the other
// parts find out, and advance is the only place that changes it. docs/design/2026-11-23-rotation-steps.md has the
// steps, and 2026-11-29-state-secret.md what becomes of a state that is lost.
type revisions struct {
	*subject
	state credential.State
	// snapshot is the Secret that the state was read from. advance writes over that version alone: what another
	// process decided meanwhile is not lost.
	snapshot secrets.Snapshot
	// unread says that there is a state, and that it cannot be read: nothing is decided about what may be in it.
	unread bool
	// wants is what the spec asks of the state.
	wants []credential.Want
	// seen is what Kong, data planes and clients have, by the name of the credential. It lives for one reconcile.
	// What it does not have is unknown, which gives nothing up.
	seen map[string]credential.Seen
}

func newRevisions(s *subject) *revisions {
	return &revisions{subject: s, seen: map[string]credential.Seen{}}
}

// had says whether a credential has revisions, or had some.
func (r *revisions) had(c v1alpha1.Credential) bool {
	return c.Generate != nil || resolve.KeepsFormer(c) || slices.ContainsFunc(r.former, func(s v1alpha1.CredentialStatus) bool {
		return s.Name == c.Name && s.Revision > 0
	})
}

// mayExist says whether there may be a state to read: the spec asks for one, the status tells of one, or what is in
// Kong of a credential that follows an issuer was another's before. An operator that was killed may have told nothing.
// False spares a request for the Secret in each reconcile of a consumer that has Secrets of others alone.
func (r *revisions) mayExist() bool {
	return r.isNews() || slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
		return r.had(c) || c.JWKS != nil && r.hasSlot(c.Name)
	}) || slices.ContainsFunc(r.former, func(s v1alpha1.CredentialStatus) bool { return s.Revision > 0 })
}

// hasSlot says whether Kong holds anything of a credential but an issuer's keys. A consumer that is being deleted has
// no engine at this point: the answer is no then, and its status tells.
func (r *revisions) hasSlot(name string) bool {
	return r.gateway.Engine != nil && len(r.gateway.Engine.CredentialIDs(r.owner(), func(part string) bool {
		slot, ok := desired.CredentialSlot(part)
		return ok && slot.Credential == name
	})) > 0
}

// read reads the state, and makes its Secret the consumer's again where a restore from a backup took it from the
// consumer. The error is a *status.StalledError where the Secret is somebody else's, or of another version of the
// operator.
func (r *revisions) read(ctx context.Context) (err error) {
	if !r.mayExist() {
		return nil
	}
	if r.state, r.snapshot, err = resolve.CredentialState(ctx, r.Secrets, r.consumer); err != nil {
		return err
	}
	name := credential.StateSecretName(r.consumer.Name)
	// The seal does not fit: somebody edited the Secret, or the seed of the seals was lost.
	if r.snapshot.Found() && r.state.Credentials == nil {
		r.Event(r.consumer, corev1.EventTypeWarning, v1alpha1.EventStateRecovered, "Recover",
			fmt.Sprintf("Secret %s is not as the operator wrote it: it counts for nothing, and what Kong and clients hold is taken up", name))
	}
	// The garbage collector deletes with the consumer only what has an ownerReference with its UID, which a
	// restore changes.
	r.snapshot, err = r.Secrets.Own(ctx, r.secretOwner(), name, r.snapshot)
	return err
}

// of is the history of one credential.
func (r *revisions) of(name string) credential.History { return r.state.Credentials[name] }

// knows says whether the state has anything of a credential.
func (r *revisions) knows(name string) bool {
	_, known := r.state.Credentials[name]
	return known
}

// sawPublished notes what the Secret for clients of a credential holds.
func (r *revisions) sawPublished(name string, material credential.Material) {
	seen := r.seen[name]
	seen.Clients = &material
	r.seen[name] = seen
}

// sawDeleted notes that a former Secret for clients of a credential is deleted.
func (r *revisions) sawDeleted(name, secret string) {
	seen := r.seen[name]
	seen.Deleted = append(seen.Deleted, secret)
	r.seen[name] = seen
}

// lookInKong finds what Kong holds and the state does not know: the state was lost, or is older than what was made
// since. Nothing is asked of Kong where they agree. Kong is read by the ids of the slots, and only with a reason: the
// engine knows hashes, not material. The highest number of the status and of Kong's tags tells an older state from the
// right one, and is never given again.
func (r *revisions) lookInKong(ctx context.Context) error {
	if r.consumer.Spec.Revoked {
		return nil
	}
	slots := map[string][]credential.Slot{}
	// It is called for the parts, and wants none of the ids.
	r.gateway.Engine.CredentialIDs(r.owner(), func(part string) bool {
		if slot, ok := desired.CredentialSlot(part); ok {
			slots[slot.Credential] = append(slots[slot.Credential], slot)
		}
		return false
	})
	for _, want := range r.wants {
		seen := r.seen[want.Name]
		inPlace := false
		for _, s := range r.former {
			if s.Name == want.Name {
				seen.Last = max(seen.Last, s.Revision)
				// Revision 0 in the status stands for a Secret of somebody else, whose entity has no
				// revisions.
				inPlace = inPlace || s.Revision == 0 && s.SecretName != credential.JWKSSecretName(r.consumer.Name)
			}
		}
		for _, slot := range slots[want.Name] {
			seen.Last = max(seen.Last, slot.Number)
		}
		// A state that was restored from a backup: all that Kong holds of the credential is read, also what
		// the state knows.
		outdated := seen.Last > r.of(want.Name).Last
		for _, slot := range slots[want.Name] {
			if r.state.Known(slot) && !outdated {
				continue
			}
			entity, found, err := r.gateway.Engine.Credential(ctx, r.credentialID(slot))
			if err != nil {
				return fmt.Errorf("read credential %s in Kong: %w", want.Name, err)
			}
			if found {
				seen.InKong = append(seen.InKong, credential.Holding{Slot: slot, Material: desired.MaterialOf(entity), InPlace: inPlace})
			}
		}
		r.seen[want.Name] = seen
	}
	return nil
}

// want takes a credential in, with what the spec asks of its revisions where it has some. A credential that has a
// history keeps it when the spec turns to a Secret without overlap: what retires has to go in its time.
func (r *revisions) want(c *resolvedCredential) {
	c.stateful = c.spec.Generate != nil || resolve.KeepsFormer(c.spec) || r.knows(c.spec.Name)
	if c.stateful {
		c.want = r.wantOf(*c)
		r.wants = append(r.wants, c.want)
	}
}

// wantOf says what the spec asks of the revisions of a credential. The defaults are those that the CRD documents.
// Overlaps and intervals are as the spec has them at this moment, and are not stored: a changed spec counts for
// revisions that retire already.
func (r *revisions) wantOf(c resolvedCredential) credential.Want {
	want := credential.Want{
		Name: c.spec.Name, Username: desired.Username(r.consumer), Key: c.spec.Key,
		Seed:    r.consumer.Namespace + "/" + r.consumer.Name,
		Revoked: r.consumer.Spec.Revoked, Missing: c.missing,
	}
	generate := c.spec.Generate
	switch {
	case generate == nil:
		if c.missing {
			// Nothing takes the place of what retires yet.
			want.Overlap = c.spec.SecretRef.Overlap.Or(credential.DefaultOverlap)
			return want
		}
		want.Overlap, want.Given = c.spec.SecretRef.Overlap.Or(0), &c.material
		return want
	case generate.Rotation == nil:
		want.Recipe, want.Overlap = credential.NewRecipe(c.spec.Algorithm, *generate), credential.DefaultOverlap
	default:
		want.Recipe, want.Numbered = credential.NewRecipe(c.spec.Algorithm, *generate), true
		want.Interval = generate.Rotation.Interval.Or(0)
		// Below the interval, as the schema asks of an overlap that is set: former material is gone before the
		// next change.
		want.Overlap = generate.Rotation.Overlap.Or(min(credential.DefaultOverlap, want.Interval/2))
	}
	want.SecretName = generate.SecretName
	return want
}

// request reads an annotation.
func (s *subject) request(annotation string) request.Request {
	return request.Parse(annotation, s.consumer.Annotations[annotation])
}

// refusedRequests says which annotations ask something of a credential that is not there. It is asked at the end,
// since the records have then what this reconcile has seen: a request that was carried out is not refused because its
// credential is gone meanwhile.
func (r *reconciliation) refusedRequests() error {
	var names []string
	for _, c := range r.consumer.Spec.Credentials {
		names = append(names, c.Name)
	}
	return errors.Join(
		r.request(v1alpha1.AnnotationRotate).Check(names, r.revisions.state.Requests),
		r.request(v1alpha1.AnnotationRevokePrevious).Check(names, r.revisions.state.Requests, r.keySets.next.Requests),
	)
}

// keepWhileIssuerIsUnknown keeps the history of a credential that was generated before it followed an issuer, until
// Kong holds a key of that issuer. The want says Missing: nothing new is made, and what is Active stays so until
// supersedeWhere retires it.
func (r *revisions) keepWhileIssuerIsUnknown(spec v1alpha1.Credential) {
	if r.knows(spec.Name) || r.had(spec) {
		r.wants = append(r.wants, credential.Want{
			Name: spec.Name, Missing: true, Overlap: credential.DefaultOverlap, Revoked: r.consumer.Spec.Revoked,
		})
	}
}

// supersedeWhere retires the credentials that another source has replaced.
func (r *revisions) supersedeWhere(replaced func(name string) bool) {
	for i := range r.wants {
		r.wants[i].Superseded = replaced(r.wants[i].Name)
	}
}

// wantFor is what the spec asks of a credential; nothing where it does not have it. A credential that the spec has
// lost wants nothing, and its history is on the way out.
func (r *revisions) wantFor(name string) credential.Want {
	for _, want := range r.wants {
		if want.Name == name {
			return want
		}
	}
	return credential.Want{Name: name, Revoked: r.consumer.Spec.Revoked}
}

// advance takes all steps that are due now, and writes the state once, before anything rests on it. moved says whether
// there were any. One write for all credentials: the state is one object, and steps of several that become due
// together cost no more than one. Nothing is changed where the write fails; a *status.WaitError says that somebody
// else wrote first, and the next reconcile decides again from that.
func (r *revisions) advance(ctx context.Context) (moved bool, err error) {
	return r.advanceTo(ctx, r.wants)
}

// advanceTo is advance to what is wanted of each credential.
func (r *revisions) advanceTo(ctx context.Context, wants []credential.Want) (moved bool, err error) {
	next, now := r.state, r.Now()
	var taken []credential.Step
	// credential.Decide gives one step a credential at a time, and none once nothing is due: there is an end to
	// it. No step rests on a write to Kong here, since what was seen does not change meanwhile.
	for {
		decision := credential.Decide(credential.Input{
			State: next, Wants: wants, Seen: r.seen,
			Rotate: r.request(v1alpha1.AnnotationRotate), RevokePrevious: r.request(v1alpha1.AnnotationRevokePrevious),
		}, now)
		if len(decision.Steps) == 0 {
			break
		}
		if next, err = next.Apply(decision, credential.Generate); err != nil {
			return false, err
		}
		taken = append(taken, decision.Steps...)
	}
	if len(taken) == 0 {
		return false, nil
	}
	content, err := next.Encode()
	if err != nil {
		return false, fmt.Errorf("encode the state: %w", err)
	}
	name := credential.StateSecretName(r.consumer.Name)
	r.snapshot, err = r.Secrets.Keep(ctx, r.secretOwner(), name, r.snapshot, map[string][]byte{credential.StateDataKey: content})
	if err != nil {
		return false, err
	}
	// Only after the write. Kong and clients get what r.state has.
	r.state = next
	r.announce(taken)
	return true, nil
}

// announce records an event for each kind of step that a person wants to know of. One event names all credentials:
// events that differ in their note alone are recorded as one, with the first note.
func (r *revisions) announce(steps []credential.Step) {
	var reasons []string
	notes := map[string][]string{}
	for _, step := range steps {
		reason, note := describeStep(step)
		if reason == "" {
			continue
		}
		if notes[reason] == nil {
			reasons = append(reasons, reason)
		}
		notes[reason] = append(notes[reason], note)
	}
	for _, reason := range reasons {
		kind := corev1.EventTypeNormal
		if reason == v1alpha1.EventStateRecovered {
			kind = corev1.EventTypeWarning
		}
		r.Event(r.consumer, kind, reason, "Rotate", strings.Join(notes[reason], "; "))
	}
}

// describeStep gives the reason and the note of a step's event; none for a step that nobody asks for. Such a step is
// bookkeeping: what it records has been told by another event, or by the status.
func describeStep(step credential.Step) (reason, note string) {
	revision := step.Revision
	switch step.Kind {
	case credential.StepGenerate, credential.StepReplace:
		reason, note = v1alpha1.EventRotationStarted, "Credential %s: revision %d is made"
	case credential.StepPromote, credential.StepRevive:
		reason, note = v1alpha1.EventPromoted, "Credential %s: revision %d is the one to use from now on"
	case credential.StepRemove:
		reason, note = v1alpha1.EventRetired, "Credential %s: revision %d is gone from Kong"
	case credential.StepAbandon:
		reason, note = v1alpha1.EventRotationAbandoned, "Credential %s: revision %d is no longer what the spec asks for"
	case credential.StepRecover:
		reason, revision = v1alpha1.EventStateRecovered, step.Recovered.Last
		note = "Credential %s: its state was lost, or older than what Kong holds; that stays, and revision %d is the last"
	default:
		return "", ""
	}
	return reason, fmt.Sprintf(note, step.Credential, revision)
}

// outcome says what of a credential shall be in Kong and in the Secret for clients now, and when to look again.
func (r *revisions) outcome(name string) credential.Outcome {
	return r.of(name).Outcome(r.wantFor(name), r.seen[name], r.Now())
}

// leaving says whether a slot shall not be in Kong, or not any longer, by the state alone. removeWithdrawn asks it for
// a consumer whose material cannot be read: an overlap that is over ends all the same.
func (r *revisions) leaving(slot credential.Slot) bool {
	for name, history := range r.state.Credentials {
		if slices.Contains(history.Leaving(r.wantFor(name), r.seen[name], r.Now()), slot) {
			return true
		}
	}
	return false
}

// overdue is the time until the next look at what is due and could not be done, such as the end of an overlap while
// Kong takes no write.
const overdue = time.Second

// untilNext is how long it takes until something is due; zero where nothing is.
func (r *revisions) untilNext() time.Duration {
	var next time.Duration
	now := r.Now()
	for name := range r.state.Credentials {
		at := r.outcome(name).Next
		switch {
		case at.After(now):
			next = status.Sooner(next, at.Sub(now))
		case !at.IsZero():
			next = status.Sooner(next, overdue)
		}
	}
	return next
}

// awaitRotation says what the rotations wait for, if they wait for anything. nil is: nothing. The wait is no fault:
// Ready is false with reason Rotating or AwaitingDataPlane, and callers notice nothing.
func (r *reconciliation) awaitRotation() error {
	var messages []string
	reason := v1alpha1.ReasonRotating
	for _, c := range r.sources.credentials {
		if outcome := r.revisions.outcome(c.spec.Name); c.stateful && outcome.Wait != "" {
			messages = append(messages, outcome.Wait)
			if outcome.AwaitsDataPlane {
				reason = v1alpha1.ReasonAwaitingDataPlane
			}
		}
	}
	if len(r.planes.holding) > 0 && !r.consumer.Spec.Revoked {
		messages, reason = append(messages, r.planes.holding...), v1alpha1.ReasonAwaitingDataPlane
	}
	if len(messages) == 0 {
		return nil
	}
	return status.Wait(status.Sooner(r.revisions.untilNext(), r.planes.departure), reason, "%s", strings.Join(messages, "; "))
}
