package controllers

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
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// wantOf says what the spec asks of the generations of a credential.
func (r *consumerRun) wantOf(run credentialRun) credential.Want {
	handled := r.state.Credentials[run.spec.Name]
	want := credential.Want{
		Name: run.spec.Name, Username: desired.Username(r.consumer), Key: run.spec.Key,
		Seed:           r.consumer.Namespace + "/" + r.consumer.Name,
		Rotate:         r.askedOf(run.spec.Name, v1alpha1.AnnotationRotate, handled.Rotate),
		RevokePrevious: r.askedOf(run.spec.Name, v1alpha1.AnnotationRevokePrevious, handled.RevokePrevious),
		Revoked:        r.consumer.Spec.Revoked, Missing: run.missing, Published: run.unknown, Former: run.former,
	}
	generate := run.spec.Generate
	switch {
	case generate == nil && !run.missing:
		want.Given, want.Overlap = &run.material, run.spec.SecretRef.Overlap.Or(0)
	case generate == nil:
		want.Overlap = run.spec.SecretRef.Overlap.Or(0)
	case generate.Rotation == nil:
		want.Recipe, want.Overlap = credential.NewRecipe(run.spec.Algorithm, *generate), credential.DefaultOverlap
	default:
		want.Recipe, want.Numbered = credential.NewRecipe(run.spec.Algorithm, *generate), true
		want.Interval = generate.Rotation.Interval.Or(0)
		want.Overlap = generate.Rotation.Overlap.Or(min(credential.DefaultOverlap, want.Interval/2))
	}
	return want
}

// askedOf gives the value of an annotation as it is meant for one credential. One that begins with a credential's name and = is for that credential alone: for
// the others nothing was asked since what they handled last.
func (r *consumerRun) askedOf(credential, annotation, handled string) string {
	value := r.consumer.Annotations[annotation]
	name, _, named := strings.Cut(value, "=")
	if !named || name == credential || !slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == name }) {
		return value
	}
	return handled
}

// hasState says whether there is a state to read: the spec asks for one, or the status tells of one.
func (r *consumerRun) hasState() bool {
	return slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Generate != nil || keepsFormer(c) }) ||
		slices.ContainsFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool { return s.Revision > 0 })
}

func (r *consumerRun) readState(ctx context.Context) error {
	name := credential.StateSecretName(r.consumer.Name)
	var err error
	if r.snapshot, err = r.Secrets.Snapshot(ctx, r.secretOwner(), "state", name); err != nil || !r.snapshot.Found() {
		return err
	}
	if r.state, err = credential.DecodeState(r.snapshot.Value(credential.StateDataKey)); err != nil {
		return status.Stalled(v1alpha1.ReasonSecretInvalid,
			"Secret %s/%s: %v; nothing is generated anew, so that nothing in use is lost. Restore it, or delete it: what is published is kept, all else begins anew", r.consumer.Namespace, name, err)
	}
	return nil
}

// advance takes all steps that are due now, and writes the state once, before anything rests on it. moved says whether there were any.
func (r *consumerRun) advance(ctx context.Context) (moved bool, err error) {
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
	r.tell(taken)
	return true, nil
}

// tell records an event for each step that a person wants to know of.
func (r *consumerRun) tell(steps []credential.Step) {
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
		r.event(r.consumer, corev1.EventTypeNormal, reason, "Rotate", fmt.Sprintf(note, step.Credential, step.Generation))
	}
}

func (r *consumerRun) outcomeOf(run credentialRun) credential.Outcome {
	return r.state.Credentials[run.spec.Name].Outcome(run.want, r.seen[run.spec.Name], r.Now())
}

// observe finds out how the generations stand after a Sync.
func (r *consumerRun) observe(ctx context.Context) {
	r.lingering = nil
	for _, run := range r.credentials {
		if !run.stateful {
			continue
		}
		seen := r.seen[run.spec.Name]
		seen.Verdicts = map[int64]credential.Verdict{}
		wanted := r.outcomeOf(run).Kong
		for _, g := range r.state.Credentials[run.spec.Name].Generations {
			isWanted := slices.ContainsFunc(wanted, func(w credential.Generation) bool { return w.Number == g.Number })
			seen.Verdicts[g.Number] = r.verdict(ctx, run, g, isWanted)
		}
		r.seen[run.spec.Name] = seen
	}
}

// verdict says how a generation stands. What Sync did not get to is unknown.
func (r *consumerRun) verdict(ctx context.Context, run credentialRun, g credential.Generation, wanted bool) credential.Verdict {
	if !r.result.Applied {
		return credential.Verdict{}
	}
	id := r.credentialID(run, g.Slot)
	held, rest := r.target.engine.Standing(id)
	switch consumer, _ := r.target.engine.Standing(r.consumer.Status.ConsumerID); {
	case !held && consumer:
		return r.departed(ctx, run, g)
	case !held, !wanted, r.result.Undone[id]:
		return credential.Verdict{}
	case g.Phase != v1alpha1.CredentialPending:
		return credential.Verdict{Standing: credential.Held} // it was held when it was promoted, or is the first
	}
	if r.target.asks {
		return r.arrived(ctx, run, g)
	}
	if rest > 0 {
		return credential.Verdict{
			Standing: credential.Waiting, After: rest,
			Message: fmt.Sprintf("credential %s, generation %d, is in Kong; waiting until every data plane has to know it (propagation delay)", run.spec.Name, g.Number),
		}
	}
	return credential.Verdict{Standing: credential.Held}
}

func (r *consumerRun) credentialID(run credentialRun, slot int64) string {
	return desired.CredentialID(r.target.scope, r.owner(), desired.CredentialPart(run.spec.Name, slot))
}

// publish writes the Secrets that clients read, once Kong has what is in them, and drops those that the spec no longer names.
func (r *consumerRun) publish(ctx context.Context) error {
	for i, run := range r.credentials {
		outcome := r.outcomeOf(run)
		if run.spec.Generate == nil || run.missing || !outcome.Published {
			continue
		}
		name := run.spec.Generate.SecretName
		next, written, err := r.Secrets.PublishOver(ctx, r.secretOwner(), name, run.published, credential.PublishedData(outcome.Publish.Material))
		if err != nil {
			return err
		}
		r.credentials[i].published = next
		seen := r.seen[run.spec.Name]
		seen.Published = outcome.Publish.Number
		r.seen[run.spec.Name] = seen
		if written {
			r.event(r.consumer, corev1.EventTypeNormal, v1alpha1.EventPublished, "Publish",
				fmt.Sprintf("Credential %s, generation %d, is in Secret %s", run.spec.Name, outcome.Publish.Number, name))
		}
	}
	if len(r.result.Undone) > 0 {
		return nil
	}
	r.noteFormerSecrets()
	for _, name := range r.formerSecrets {
		if err := r.Secrets.Drop(ctx, r.secretOwner(), name); err != nil {
			return err
		}
	}
	r.formerSecrets = nil
	return nil
}

// waiting says what the rotations wait for, if they wait for anything.
func (r *consumerRun) waiting() error {
	var messages []string
	reason := v1alpha1.ReasonRotating
	for _, run := range r.credentials {
		if outcome := r.outcomeOf(run); run.stateful && outcome.Wait != "" {
			messages = append(messages, outcome.Wait)
			if outcome.AwaitsDataPlane {
				reason = v1alpha1.ReasonAwaitingDataPlane
			}
		}
	}
	if len(r.lingering) > 0 {
		messages, reason = append(messages, r.lingering...), v1alpha1.ReasonAwaitingDataPlane
	}
	if len(messages) == 0 {
		return nil
	}
	return status.Wait(r.untilNext(), reason, "%s", strings.Join(messages, "; "))
}

// overdue is the time until the next look at what is due and could not be done.
const overdue = time.Second

// untilNext is how long it takes until something is due; zero where nothing is.
func (r *consumerRun) untilNext() time.Duration {
	var next time.Duration
	now := r.Now()
	for _, run := range r.credentials {
		if !run.stateful {
			continue
		}
		at := r.outcomeOf(run).Next
		switch {
		case at.After(now):
			next = status.Sooner(next, at.Sub(now))
		case !at.IsZero():
			next = status.Sooner(next, overdue)
		}
	}
	return next
}
