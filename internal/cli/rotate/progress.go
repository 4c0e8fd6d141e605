package rotate

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/follow"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

// Steps of a rotation.
const (
	stepMade = iota + 1
	stepInKong
	stepKnown
	stepPublished
	stepRetired
)

// progress follows the rotation of some credentials of one consumer by its status.
type progress struct {
	consumer *v1alpha1.JwtConsumer
	// revoked says that nothing of it comes into Kong: new material is made, and that is all.
	revoked bool
	clock   clock.PassiveClock
	tracks  []*track
	// said is what was last said of the consumer as a whole.
	said string
}

// track follows one credential.
type track struct {
	name string
	// target is the lowest revision that is new enough.
	target int64
	// done is the last step that was told.
	done int
	// announced says that the end of the overlap was told.
	announced bool
}

func newProgress(consumer *v1alpha1.JwtConsumer, credentials []string, c clock.PassiveClock) *progress {
	p := &progress{consumer: consumer, clock: c, revoked: consumer.Spec.Revoked}
	// The status of a consumer that is revoked, or was until now, has all as Pending: what is out of Kong. None of
	// it is on its way.
	outOfKong := p.revoked || follow.Ready(consumer).Reason == v1alpha1.ReasonRevoked
	for _, name := range credentials {
		p.tracks = append(p.tracks, &track{name: name, target: targetOf(consumer.Status.Credentials, name, outOfKong)})
	}
	return p
}

// targetOf is the revision after the newest, or the one that is on its way already: it was never published, so it is
// new enough.
func targetOf(all []v1alpha1.CredentialStatus, name string, outOfKong bool) int64 {
	var newest, pending int64
	for _, c := range all {
		switch {
		case c.Name != name:
		case c.State == v1alpha1.CredentialPending && !outOfKong:
			pending = max(pending, c.Revision)
		default:
			newest = max(newest, c.Revision)
		}
	}
	if pending > newest {
		return pending
	}
	return newest + 1
}

// until looks at the status until all credentials are published, or retired. It prints each step once, and gives the
// last in words.
func (p *progress) until(
	ctx context.Context, out io.Writer, kube client.Reader, deadline time.Time, retired bool,
) (done string, err error) {
	goal, done := stepPublished, "rotated: the new material is published"
	switch {
	case p.revoked:
		goal, done = stepMade, "rotated: the new material is made, and comes into Kong once spec.revoked is false"
	case retired:
		goal, done = stepRetired, "rotated: the former material is gone from Kong"
	}
	late := fmt.Sprintf("the rotation of JwtConsumer %s goes on, but did not come to its end in time", selection.Path(p.consumer))
	err = follow.Until(ctx, kube, p.consumer, deadline, late, func(consumer *v1alpha1.JwtConsumer, ready *metav1.Condition) (bool, error) {
		all := true
		for _, t := range p.tracks {
			if err := t.tell(out, consumer.Status.Credentials, ready, p.clock.Now()); err != nil {
				return false, err
			}
			all = all && t.done >= goal
		}
		return all, p.condition(out, ready)
	})
	if err != nil {
		return "", err
	}
	return done, nil
}

// condition tells what the operator says while it is not done.
func (p *progress) condition(out io.Writer, ready *metav1.Condition) error {
	said := follow.Said(ready)
	if said == p.said {
		return nil
	}
	p.said = said
	if ready.Reason == v1alpha1.ReasonSucceeded {
		return nil
	}
	_, err := fmt.Fprintf(out, "     %s\n", said)
	return err
}

// tell prints the steps that were done since.
func (t *track) tell(out io.Writer, all []v1alpha1.CredentialStatus, ready *metav1.Condition, now time.Time) error {
	done, fresh, former := t.stand(all, ready)
	texts := map[int]string{
		stepMade:      fmt.Sprintf("revision %d is made, key %s", fresh.Revision, fresh.Key),
		stepInKong:    "it is in Kong, beside the former",
		stepKnown:     "every data plane knows it",
		stepPublished: fmt.Sprintf("it is published in Secret %s", fresh.SecretName),
		stepRetired:   "the former is gone from Kong",
	}
	for t.done < done {
		t.done++
		if _, err := fmt.Fprintf(out, "%d/5  %s: %s\n", t.done, t.name, output.Line(texts[t.done])); err != nil {
			return err
		}
	}
	if t.done == stepPublished && !t.announced && former != nil && former.RetirementTime != nil {
		t.announced = true
		_, err := fmt.Fprintf(out, "     %s: the former, key %s, retires %s, at %s\n", t.name, output.Line(former.Key),
			output.When(former.RetirementTime, now), former.RetirementTime.UTC().Format(time.RFC3339))
		return err
	}
	return nil
}

// stand reads from the status how far a rotation is. A Pending revision is made and on its way into Kong; the
// operator waits for data planes once it is there, and makes it Active only after they know it and it is published,
// so these two are told together.
func (t *track) stand(all []v1alpha1.CredentialStatus, ready *metav1.Condition) (done int, fresh v1alpha1.CredentialStatus, former *v1alpha1.CredentialStatus) {
	for i, c := range all {
		switch {
		case c.Name != t.name:
		case c.Revision < t.target:
			if former == nil || c.Revision > former.Revision {
				former = &all[i]
			}
		case c.State == v1alpha1.CredentialActive:
			done, fresh = stepPublished, c
		case c.Revision > fresh.Revision:
			done, fresh = max(done, stepMade), c
		}
	}
	switch {
	case done == stepPublished && former == nil:
		done = stepRetired
	case done == stepMade && ready.Reason == v1alpha1.ReasonAwaitingDataPlane && strings.Contains(ready.Message, "credential "+t.name):
		done = stepInKong
	}
	return done, fresh, former
}
