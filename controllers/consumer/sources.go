package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// sources finds the material of the spec's credentials. Two come by it: Secrets that somebody else owns (secretRef),
// and the operator's own, of what it generates. Issuers are keySets'.
type sources struct {
	*subject
	revisions *revisions
	// credentials in the order of the spec.
	credentials []resolvedCredential
	// problem joins what is wrong with single credentials: the others go on.
	problem error
}

// resolvedCredential is a credential of the spec, with what was found of it.
type resolvedCredential struct {
	spec  v1alpha1.Credential
	field string
	// want is what the spec asks of the state, if stateful is true. Else material is all there is: it is replaced
	// in place.
	want     credential.Want
	stateful bool
	material credential.Material
	// published is the Secret that clients read, as it was found or written.
	published secrets.Snapshot
	// missing says that there is no material now: what is in Kong stays.
	missing bool
}

// read gathers the material of all credentials, and begins what the spec asks for. What is wrong with one does not
// hold up the others: it stays in Kong as it is. The state is read first: what the spec asks of a credential depends
// on whether the state has a history of it (want). It is written last, by advance, with the steps that the spec asks
// for: a revision that is made has to be in the state before Kong gets it.
func (s *sources) read(ctx context.Context) error {
	var stalled *status.StalledError
	// A state that cannot be read stops what has revisions, and nothing else of the consumer.
	if err := s.revisions.read(ctx); errors.As(err, &stalled) {
		s.problem, s.revisions.unread = err, true
	} else if err != nil {
		return err
	}
	for i, spec := range s.consumer.Spec.Credentials {
		c := resolvedCredential{spec: spec, field: fmt.Sprintf("spec.credentials[%d]", i)}
		if spec.JWKS != nil {
			s.revisions.keepWhileIssuerIsUnknown(spec)
			s.credentials = append(s.credentials, c) // keySets reads its keys
			continue
		}
		if s.revisions.unread && s.revisions.had(spec) {
			c.missing = true // what Kong and clients have of it stays
			s.credentials = append(s.credentials, c)
			continue
		}
		problem := credential.CheckSecretName(s.consumer.Name, c.field, spec)
		if problem == nil {
			problem = s.readOne(ctx, &c)
		}
		// A read that failed says nothing of what is there. Only what is known to be missing or wrong is the
		// credential's own problem.
		if problem != nil && !errors.As(problem, &stalled) {
			return problem
		}
		if problem != nil {
			c.missing = true
			s.problem = errors.Join(s.problem, problem)
		}
		// Also where it is missing: what the state has of the credential goes on, and retires in its time.
		s.revisions.want(&c)
		s.credentials = append(s.credentials, c)
	}
	// Before the first decision: with a state that was lost, the next revision would get a number that Kong has
	// already.
	if err := s.revisions.lookInKong(ctx); err != nil {
		return err
	}
	return s.revisions.begin(ctx)
}

// readOne reads what one credential is made of: the Secret that it refers to, or the one that it is published in. One
// that cannot be published is known so before anything is generated for it. Clients' Secrets are read before Kong is
// written to, since they say which revision clients have: a rotation that was interrupted after the publication goes
// on from there.
func (s *sources) readOne(ctx context.Context, c *resolvedCredential) (err error) {
	if c.spec.Generate == nil {
		c.material, err = s.Inputs.Material(ctx, s.consumer, c.spec, c.field)
		return err
	}
	c.published, err = s.Secrets.Snapshot(ctx, s.secretOwner(), c.field+".generate.secretName", c.spec.Generate.SecretName)
	if err != nil || !c.published.Found() {
		return err
	}
	if material, ok := credential.FromPublished(c.published.Data()); ok {
		s.revisions.sawPublished(c.spec.Name, material)
	}
	return nil
}

// hasCredential says whether the spec has a credential of a name.
func (s *subject) hasCredential(name string) bool {
	return slices.ContainsFunc(s.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == name })
}

// isMissing says whether there is no material of a credential now.
func (s *sources) isMissing(name string) bool {
	return slices.ContainsFunc(s.credentials, func(c resolvedCredential) bool { return c.spec.Name == name && c.missing })
}

// choosesKey says whether the tenant chose the key, in the spec or in a Secret. policy.identities bounds such a key.
// One that the operator chooses begins with the consumer's username, which is bounded already.
func choosesKey(spec v1alpha1.Credential) bool {
	return spec.Key != "" || keyInSecret(spec)
}

// keyInSecret says whether the key comes from a Secret. It is shown only where Kong holds it: whoever sends a token
// shows it then.
func keyInSecret(spec v1alpha1.Credential) bool {
	return spec.SecretRef != nil && spec.SecretRef.DataKeys != nil && spec.SecretRef.DataKeys.Key != ""
}

// secretName of the Secret that a credential is read from, or published in. It is empty for an issuer's key set, whose
// Secret is the operator's own.
func secretName(spec v1alpha1.Credential) string {
	switch {
	case spec.Generate != nil:
		return spec.Generate.SecretName
	case spec.SecretRef != nil:
		return spec.SecretRef.Name
	}
	return ""
}
