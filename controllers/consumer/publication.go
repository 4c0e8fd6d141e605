package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// publication keeps the Secrets that clients read. It decides nothing: revisions.outcome says which material clients
// get, and which Secrets nobody reads any more.
type publication struct {
	*subject
	sources   *sources
	revisions *revisions
	keySets   *keySets
	// dropped are the former Secrets that were deleted. They are not deleted again in a later round: the status
	// that formerSecrets goes by is that of before the reconcile.
	dropped []string
}

// publish writes the Secrets that clients read, once Kong has what is in them, and deletes those that the spec no
// longer names, unless keepFormer is set. It is called after a Sync. A crash after a write here is seen by the next
// reconcile, which reads the Secret first (sources.readOne) and promotes what it finds. A *status.WaitError says that
// somebody else changed a Secret since it was read.
func (p *publication) publish(ctx context.Context, keepFormer bool) error {
	var notes []string // in one event: events that differ in their note alone are recorded as one
	defer func() {
		if len(notes) > 0 {
			p.Event(p.consumer, corev1.EventTypeNormal, v1alpha1.EventPublished, "Publish", strings.Join(notes, "; "))
		}
	}()
	for i, c := range p.sources.credentials {
		outcome := p.revisions.outcome(c.spec.Name)
		// Not Published means: leave the Secret as it is. It does not mean that it should be empty.
		if c.spec.Generate == nil || c.missing || !outcome.Published {
			continue
		}
		name := c.spec.Generate.SecretName
		next, written, err := p.Secrets.PublishOver(
			ctx, p.secretOwner(), name, c.published, credential.PublishedData(outcome.Publish.Material))
		var stalled *status.StalledError
		// One Secret that cannot be written does not hold up the other credentials.
		if errors.As(err, &stalled) {
			p.sources.credentials[i].missing = true
			p.sources.problem = errors.Join(p.sources.problem, err)
			continue
		}
		if err != nil {
			return err
		}
		// The next round writes over this version.
		p.sources.credentials[i].published = next
		p.revisions.sawPublished(c.spec.Name, outcome.Publish.Material)
		if written {
			notes = append(notes, fmt.Sprintf("Credential %s, revision %d, is in Secret %s", c.spec.Name, outcome.Publish.Number, name))
		}
	}
	// A reconcile that brings everything into Kong comes later, and the status still names the Secrets then.
	if keepFormer {
		return nil
	}
	for _, name := range p.formerSecrets() {
		if err := p.Secrets.Drop(ctx, p.secretOwner(), name); err != nil {
			return err
		}
		p.dropped = append(p.dropped, name)
	}
	return p.dropUnread(ctx)
}

// dropUnread deletes the Secrets that clients read before the spec named others, once their time is over. A former
// Secret whose name the spec has again for another credential stays, and is only forgotten. sawDeleted has the state
// drop it with the next step.
func (p *publication) dropUnread(ctx context.Context) error {
	for credential := range p.revisions.state.Credentials {
		for _, name := range p.revisions.outcome(credential).UnreadSecrets {
			if !p.isNamed(name) {
				if err := p.Secrets.Drop(ctx, p.secretOwner(), name); err != nil {
					return err
				}
			}
			p.revisions.sawDeleted(credential, name)
		}
	}
	return nil
}

// isNamed says whether the spec names a Secret for a credential.
func (p *publication) isNamed(name string) bool {
	return slices.ContainsFunc(p.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return secretName(c) == name })
}

// formerSecrets lists the Secrets that the operator published and that the spec no longer names. They are found by the
// status, which is written last: a crash in between leaves it as it was, and the Secret is dropped by the reconcile
// after it.
func (p *publication) formerSecrets() []string {
	var names []string
	for _, former := range p.former {
		// While nothing is known yet of what a credential is to be made of, what it was before stays.
		awaitsSource := p.keySets.awaitsIssuer(former.Name) || p.sources.isMissing(former.Name) || p.isRead(former)
		if former.Revision > 0 && !p.isNamed(former.SecretName) && !awaitsSource && !slices.Contains(slices.Concat(names, p.dropped), former.SecretName) {
			names = append(names, former.SecretName)
		}
	}
	return names
}

// isRead says whether clients may still read a Secret: revisions that they read from it are valid, or the spec named
// another a short while ago. Pods that start now have to find it. Kubernetes mounts a Secret when a pod starts, by the
// name that the pod's template had: one that is gone keeps the pod from starting.
func (p *publication) isRead(former v1alpha1.CredentialStatus) bool {
	history := p.revisions.of(former.Name)
	return history.SecretName == former.SecretName && slices.ContainsFunc(history.Revisions, func(r credential.Revision) bool { return !r.Ended && !r.Over }) ||
		slices.ContainsFunc(history.FormerSecrets, func(f credential.FormerSecret) bool { return f.Name == former.SecretName })
}

// release deletes the Secrets of a consumer that is deleted: the garbage collector takes its time, and a consumer that
// is made again at once would take up what may have leaked. Where its credentials are retained in Kong the Secrets
// stay with them, and only the owner is taken off. Drop and LetGo spare a Secret that is somebody else's, and do
// nothing for one that is gone, so that a release that was cut short is done again.
func (p *publication) release(ctx context.Context, retained bool) error {
	p.KeySets.Keep(client.ObjectKeyFromObject(p.consumer).String(), nil)
	end := p.Secrets.Drop
	if retained {
		end = p.Secrets.LetGo
	}
	names, err := p.ownSecrets(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := end(ctx, p.secretOwner(), name); err != nil {
			return err
		}
	}
	return nil
}

// ownSecrets lists the Secrets that the operator made for a consumer. Those of a former spec are in the status and in
// the state; a state that cannot be read tells of none. More names than there are Secrets do no harm.
func (p *publication) ownSecrets(ctx context.Context) ([]string, error) {
	var stalled *status.StalledError
	if err := p.revisions.read(ctx); err != nil && !errors.As(err, &stalled) {
		return nil, err
	}
	var names []string
	for _, history := range p.revisions.state.Credentials {
		names = append(names, history.SecretName)
		for _, former := range history.FormerSecrets {
			names = append(names, former.Name)
		}
	}
	for _, former := range p.former {
		if former.Revision > 0 {
			names = append(names, former.SecretName)
		}
	}
	for _, spec := range p.consumer.Spec.Credentials {
		if spec.Generate != nil {
			names = append(names, spec.Generate.SecretName)
		}
	}
	if p.keySets.exist() {
		names = append(names, credential.JWKSSecretName(p.consumer.Name))
	}
	if p.revisions.mayExist() {
		names = append(names, credential.StateSecretName(p.consumer.Name))
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" }), nil
}
