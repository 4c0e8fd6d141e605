package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// revisions is the state of the credentials that are generated, or that overlap: what was made, and what becomes of it.
// package credential decides; the state is written before anything rests on it.
type revisions struct {
	*subject
	state credential.State
	// snapshot is the Secret that the state was read from.
	snapshot secrets.Snapshot
	// wants is what the spec asks of the state.
	wants []credential.Want
	// seen is what Kong, data planes and clients have, by the name of the credential.
	seen map[string]credential.Seen
}

func newRevisions(s *subject) *revisions {
	return &revisions{subject: s, seen: map[string]credential.Seen{}}
}

// exists says whether there is a state to read: the spec asks for one, or the status tells of one.
func (r *revisions) exists() bool {
	return slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
		return c.Generate != nil || resolve.KeepsFormer(c)
	}) || slices.ContainsFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool { return s.Revision > 0 })
}

func (r *revisions) read(ctx context.Context) (err error) {
	if r.exists() {
		r.state, r.snapshot, err = resolve.CredentialState(ctx, r.Secrets, r.consumer)
	}
	return err
}

// of is the state of one credential.
func (r *revisions) of(name string) credential.CredentialState { return r.state.Credentials[name] }

func (r *revisions) knows(name string) bool {
	_, known := r.state.Credentials[name]
	return known
}

// active is the material of a credential that clients shall use; nil where there is none.
func (r *revisions) active(name string) *credential.Material {
	if active, found := r.of(name).Active(); found {
		return &active.Material
	}
	return nil
}

// sawPublished notes which revision the Secret of a credential holds. known is false where the state has no such credential.
func (r *revisions) sawPublished(name string, published secrets.Snapshot) (known bool) {
	if !r.knows(name) {
		return false
	}
	r.seen[name] = credential.Seen{Published: r.of(name).Holding(published.Data())}
	return true
}

// want takes a credential in, with what the spec asks of its revisions where it has some.
func (r *revisions) want(c *resolvedCredential) {
	c.stateful = c.spec.Generate != nil || resolve.KeepsFormer(c.spec) || r.knows(c.spec.Name)
	if c.stateful {
		c.want = r.wantOf(*c)
		r.wants = append(r.wants, c.want)
	}
}

// wantOf says what the spec asks of the revisions of a credential.
func (r *revisions) wantOf(c resolvedCredential) credential.Want {
	handled := r.of(c.spec.Name)
	want := credential.Want{
		Name: c.spec.Name, Username: desired.Username(r.consumer), Key: c.spec.Key,
		Seed:           r.consumer.Namespace + "/" + r.consumer.Name,
		Rotate:         r.requestFor(c.spec.Name, v1alpha1.AnnotationRotate, handled.Rotate),
		RevokePrevious: r.requestFor(c.spec.Name, v1alpha1.AnnotationRevokePrevious, handled.RevokePrevious),
		Revoked:        r.consumer.Spec.Revoked, Missing: c.missing, Published: c.unknown, Former: c.former,
	}
	generate := c.spec.Generate
	switch {
	case generate == nil:
		want.Overlap = c.spec.SecretRef.Overlap.Or(0)
		if !c.missing {
			want.Given = &c.material
		}
	case generate.Rotation == nil:
		want.Recipe, want.Overlap = credential.NewRecipe(c.spec.Algorithm, *generate), credential.DefaultOverlap
	default:
		want.Recipe, want.Numbered = credential.NewRecipe(c.spec.Algorithm, *generate), true
		want.Interval = generate.Rotation.Interval.Or(0)
		want.Overlap = generate.Rotation.Overlap.Or(min(credential.DefaultOverlap, want.Interval/2))
	}
	return want
}

// requestFor gives the value of an annotation as it is meant for one credential. One that begins with a credential's name and
// = is for that credential alone: for the others nothing was asked since what they handled last.
func (r *revisions) requestFor(name, annotation, handled string) string {
	value := r.consumer.Annotations[annotation]
	scope, _, scoped := strings.Cut(value, "=")
	if !scoped || scope == name || !r.hasCredential(scope) {
		return value
	}
	return handled
}

// keepWhileIssuerIsUnknown keeps the state of a credential that was generated before it followed an issuer, until keys of
// that issuer are known.
func (r *revisions) keepWhileIssuerIsUnknown(spec v1alpha1.Credential) {
	if state, generated := r.state.Credentials[spec.Name]; generated {
		r.wants = append(r.wants, credential.Want{
			Name: spec.Name, Missing: true, Overlap: credential.DefaultOverlap,
			Rotate: state.Rotate, RevokePrevious: state.RevokePrevious, Revoked: r.consumer.Spec.Revoked,
		})
	}
}

// dropWhere asks nothing more of the credentials that replaced names: their state goes.
func (r *revisions) dropWhere(replaced func(name string) bool) {
	r.wants = slices.DeleteFunc(r.wants, func(w credential.Want) bool { return replaced(w.Name) })
}

// advance takes all steps that are due now, and writes the state once, before anything rests on it. moved says whether there
// were any.
func (r *revisions) advance(ctx context.Context) (moved bool, err error) {
	next, now := r.state, r.Now()
	var taken []credential.Step
	for {
		decision := credential.Decide(credential.Input{State: next, Wants: r.wants, Seen: r.seen}, now)
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
	r.snapshot, err = r.Secrets.Replace(ctx, r.secretOwner(), name, r.snapshot, map[string][]byte{credential.StateDataKey: content})
	if err != nil {
		return false, err
	}
	r.state = next
	r.announce(taken)
	return true, nil
}

// announce records an event for each step that a person wants to know of.
func (r *revisions) announce(steps []credential.Step) {
	for _, step := range steps {
		reason, note := "", ""
		switch step.Kind {
		case credential.StepGenerate, credential.StepReplace:
			reason, note = v1alpha1.EventRotationStarted, "Credential %s: generation %d is made"
		case credential.StepPromote:
			reason, note = v1alpha1.EventPromoted, "Credential %s: generation %d is the one to use from now on"
		case credential.StepRemove:
			reason, note = v1alpha1.EventRetired, "Credential %s: generation %d is gone from Kong"
		case credential.StepAbandon:
			reason, note = v1alpha1.EventRotationAbandoned, "Credential %s: generation %d is no longer what the spec asks for"
		default:
			continue
		}
		r.Event(r.consumer, corev1.EventTypeNormal, reason, "Rotate", fmt.Sprintf(note, step.Credential, step.Generation))
	}
}

// outcome says what of a credential shall be in Kong and in the Secret for clients now, and when to look again.
func (r *revisions) outcome(c resolvedCredential) credential.Outcome {
	return r.of(c.spec.Name).Outcome(c.want, r.seen[c.spec.Name], r.Now())
}

// overdue is the time until the next look at what is due and could not be done.
const overdue = time.Second

// untilNext is how long it takes until something is due; zero where nothing is.
func (r *revisions) untilNext(credentials []resolvedCredential) time.Duration {
	var next time.Duration
	now := r.Now()
	for _, c := range credentials {
		if !c.stateful {
			continue
		}
		at := r.outcome(c).Next
		switch {
		case at.After(now):
			next = status.Sooner(next, at.Sub(now))
		case !at.IsZero():
			next = status.Sooner(next, overdue)
		}
	}
	return next
}

// awaitRotation says what the rotations wait for, if they wait for anything.
func (r *reconciliation) awaitRotation() error {
	var messages []string
	reason := v1alpha1.ReasonRotating
	for _, c := range r.sources.credentials {
		if outcome := r.revisions.outcome(c); c.stateful && outcome.Wait != "" {
			messages = append(messages, outcome.Wait)
			if outcome.AwaitsDataPlane {
				reason = v1alpha1.ReasonAwaitingDataPlane
			}
		}
	}
	if len(r.planes.holding) > 0 {
		messages, reason = append(messages, r.planes.holding...), v1alpha1.ReasonAwaitingDataPlane
	}
	if len(messages) == 0 {
		return nil
	}
	return status.Wait(r.revisions.untilNext(r.sources.credentials), reason, "%s", strings.Join(messages, "; "))
}
