package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// publication keeps the Secrets that clients read.
type publication struct {
	*subject
	sources   *sources
	revisions *revisions
	keySets   *keySets
	// dropped are the former Secrets that were deleted.
	dropped []string
}

// publish writes the Secrets that clients read, once Kong has what is in them, and deletes those that the spec no
// longer names, unless keepFormer is set.
func (p *publication) publish(ctx context.Context, keepFormer bool) error {
	for i, c := range p.sources.credentials {
		outcome := p.revisions.outcome(c.spec.Name)
		if c.spec.Generate == nil || c.missing || !outcome.Published {
			continue
		}
		name := c.spec.Generate.SecretName
		next, written, err := p.Secrets.PublishOver(
			ctx, p.secretOwner(), name, c.published, credential.PublishedData(outcome.Publish.Material))
		var stalled *status.StalledError
		if errors.As(err, &stalled) { // one Secret that cannot be written does not hold up the other credentials
			p.sources.credentials[i].missing = true
			p.sources.problem = errors.Join(p.sources.problem, err)
			continue
		}
		if err != nil {
			return err
		}
		p.sources.credentials[i].published = next
		p.revisions.sawPublished(c.spec.Name, outcome.Publish.Material)
		if written {
			p.Event(p.consumer, corev1.EventTypeNormal, v1alpha1.EventPublished, "Publish",
				fmt.Sprintf("Credential %s, revision %d, is in Secret %s", c.spec.Name, outcome.Publish.Number, name))
		}
	}
	if keepFormer {
		return nil
	}
	for _, name := range p.formerSecrets() {
		if err := p.Secrets.Drop(ctx, p.secretOwner(), name); err != nil {
			return err
		}
		p.dropped = append(p.dropped, name)
	}
	return nil
}

// formerSecrets lists the Secrets that the operator published and that the spec no longer names.
func (p *publication) formerSecrets() []string {
	var names []string
	for _, former := range p.former {
		named := slices.ContainsFunc(p.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
			return secretName(c) == former.SecretName
		})
		// While nothing is known yet of what a credential is to be made of, what it was before stays.
		awaitsSource := p.keySets.awaitsIssuer(former.Name) || p.sources.isMissing(former.Name) || p.isRetiring(former)
		if former.Revision > 0 && !named && !awaitsSource && !slices.Contains(slices.Concat(names, p.dropped), former.SecretName) {
			names = append(names, former.SecretName)
		}
	}
	return names
}

// isRetiring says whether revisions that clients read from a Secret are still valid: pods that start now have to find
// it.
func (p *publication) isRetiring(former v1alpha1.CredentialStatus) bool {
	history := p.revisions.of(former.Name)
	return history.SecretName == former.SecretName && slices.ContainsFunc(history.Revisions, func(r credential.Revision) bool { return !r.Ended })
}

// release takes the owner off the generated Secrets, so that they stay with the credentials that stay in Kong.
func (p *publication) release(ctx context.Context) error {
	p.KeySets.Keep(client.ObjectKeyFromObject(p.consumer).String(), nil)
	names := []string{credential.StateSecretName(p.consumer.Name)}
	if p.keySets.exist() {
		names = append(names, credential.JWKSSecretName(p.consumer.Name))
	}
	for _, spec := range p.consumer.Spec.Credentials {
		if spec.Generate != nil {
			names = append(names, spec.Generate.SecretName)
		}
	}
	for _, name := range names {
		if err := p.Secrets.LetGo(ctx, p.secretOwner(), name); err != nil {
			return err
		}
	}
	return nil
}
