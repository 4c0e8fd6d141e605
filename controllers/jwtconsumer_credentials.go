package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// credentialRun is one credential on its way through a reconcile.
type credentialRun struct {
	spec  v1alpha1.Credential
	field string
	// want is what the spec asks of the state, if stateful is true. Else material is all there is: it is replaced in place.
	want     credential.Want
	stateful bool
	material credential.Material
	// published is the Secret that clients read, as it was found or written.
	published secrets.Snapshot
	// unknown is what that Secret holds though the state knows nothing of the credential.
	unknown *credential.Material
	// former is what Kong holds from another source, or under another name, of the credential.
	former *credential.Material
	// missing says that there is no material now: what is in Kong stays.
	missing bool
}

func (r *consumerRun) secretOwner() secrets.Owner {
	return secrets.Owner{Kind: v1alpha1.KindJwtConsumer, Object: r.consumer}
}

// readCredentials gathers the material of all credentials, and begins what the spec asks for. What is wrong with one does not hold up the others: it
// stays in Kong as it is.
func (r *consumerRun) readCredentials(ctx context.Context) error {
	if err := credential.CheckSecretNames(r.consumer.Name, r.consumer.Spec.Credentials); err != nil {
		return err
	}
	if r.hasState() {
		if err := r.readState(ctx); err != nil {
			return err
		}
	}
	for i, spec := range r.consumer.Spec.Credentials {
		run := credentialRun{spec: spec, field: fmt.Sprintf("spec.credentials[%d]", i)}
		if spec.JWKS != nil {
			r.keepUntilKnown(spec)
			r.credentials = append(r.credentials, run) // readKeySets reads its keys
			continue
		}
		problem := r.readCredential(ctx, &run)
		if problem == nil {
			problem = r.readFormer(ctx, &run)
		}
		var stalled *status.StalledError
		if problem != nil && !errors.As(problem, &stalled) {
			return problem
		}
		if problem != nil {
			run.missing = true
			r.problem = errors.Join(r.problem, problem)
		}
		r.add(run)
	}
	if _, err := r.advance(ctx); err != nil {
		return err
	}
	return nil
}

// readCredential reads what one credential is made of: the Secret that it refers to, or the one that it is published in. One that cannot be published is known
// so before anything is generated for it.
func (r *consumerRun) readCredential(ctx context.Context, run *credentialRun) error {
	if run.spec.Generate == nil {
		var err error
		run.material, err = r.referenced(ctx, *run)
		return err
	}
	var err error
	run.published, err = r.Secrets.Snapshot(ctx, r.secretOwner(), run.field+".generate.secretName", run.spec.Generate.SecretName)
	if err != nil {
		return err
	}
	if !run.published.Found() {
		return nil
	}
	state, known := r.state.Credentials[run.spec.Name]
	if known {
		r.seen[run.spec.Name] = credential.Seen{Published: state.Holding(run.published.Data())}
	} else if material, ok := credential.FromPublished(run.published.Data()); ok {
		run.unknown = &material
	}
	return nil
}

// add takes a credential in, with what the spec asks of its generations where it has some.
func (r *consumerRun) add(run credentialRun) {
	_, known := r.state.Credentials[run.spec.Name]
	run.stateful = run.spec.Generate != nil || keepsFormer(run.spec) || known
	if run.stateful {
		run.want = r.wantOf(run)
		r.wants = append(r.wants, run.want)
	}
	r.credentials = append(r.credentials, run)
}

// keepsFormer says whether the former content of a Secret that somebody else owns stays valid for a while.
func keepsFormer(spec v1alpha1.Credential) bool {
	return spec.SecretRef != nil && spec.SecretRef.Overlap != ""
}

// wantCredentials lists what shall be in Kong now.
func (r *consumerRun) wantCredentials() {
	r.input.Credentials, r.keep, r.weak = nil, nil, nil
	for _, run := range r.credentials {
		if run.spec.JWKS != nil {
			r.wantKeySet(run)
			continue
		}
		entity := desired.Credential{Field: run.field, Part: desired.CredentialPart(run.spec.Name, 0), TenantKey: choosesKey(run.spec), Material: run.material}
		state := r.state.Credentials[run.spec.Name]
		if run.missing && len(state.Generations) == 0 {
			r.keepInKong(run.spec.Name)
			continue
		}
		if !run.stateful {
			r.noteWeakness(run.spec.Name, run.material)
			if !r.consumer.Spec.Revoked {
				r.input.Credentials = append(r.input.Credentials, entity)
			}
			continue
		}
		for _, g := range r.outcomeOf(run).Kong {
			entity.Part, entity.Material = desired.CredentialPart(run.spec.Name, g.Slot), g.Material
			r.input.Credentials = append(r.input.Credentials, entity)
		}
		if active, found := state.Active(); found {
			r.noteWeakness(run.spec.Name, active.Material)
		}
	}
	r.flagWeakSecrets()
}

// choosesKey says whether the tenant chose the key, in the spec or in a Secret.
func choosesKey(spec v1alpha1.Credential) bool {
	return spec.Key != "" || spec.SecretRef != nil && spec.SecretRef.DataKeys != nil && spec.SecretRef.DataKeys.Key != ""
}

func (r *consumerRun) noteWeakness(name string, material credential.Material) {
	if weakness := material.Weakness(); weakness != "" {
		r.weak = append(r.weak, "credential "+name+": "+weakness)
	}
}

func (r *consumerRun) keyOf(spec v1alpha1.Credential) string {
	if spec.Key != "" {
		return spec.Key
	}
	return credential.DefaultKey(desired.Username(r.consumer), spec.Name, 0)
}

// referenced reads the material of a credential from the Secret that it refers to.
func (r *consumerRun) referenced(ctx context.Context, run credentialRun) (credential.Material, error) {
	data, err := r.Secrets.Data(ctx, run.field+".secretRef", r.consumer.Namespace, run.spec.SecretRef.Name)
	if err != nil {
		return credential.Material{}, err
	}
	return credential.FromSecret(run.spec, r.keyOf(run.spec), data)
}

// keepInKong leaves what Kong holds of a credential as it is, whatever source it is from.
func (r *consumerRun) keepInKong(name string) {
	if r.consumer.Spec.Revoked {
		return
	}
	r.keep = append(r.keep, r.target.engine.CredentialIDs(r.owner(), func(part string) bool {
		of, found := desired.CredentialOf(part)
		return found && of == name
	})...)
}

// readFormer finds what clients use of a credential whose source was another, or whose name was. It goes on beside what the spec asks for now, for the overlap.
func (r *consumerRun) readFormer(ctx context.Context, run *credentialRun) error {
	if _, known := r.state.Credentials[run.spec.Name]; known || run.spec.Generate == nil && !keepsFormer(run.spec) {
		return nil
	}
	for _, s := range r.consumer.Status.Credentials {
		renamed := run.spec.Generate != nil && s.Revision > 0 && s.SecretName == run.spec.Generate.SecretName && !r.names(s.Name)
		switch {
		case renamed:
			if active, found := r.state.Credentials[s.Name].Active(); found {
				run.former = &active.Material
			}
			return nil
		// Active: Kong holds it as this resource wanted it. Of anything else nobody here has to learn the secret.
		case s.Name == run.spec.Name && s.Revision == 0 && s.State == v1alpha1.CredentialActive && s.SecretName != credential.JWKSSecretName(r.consumer.Name):
			entity, found, err := r.target.engine.Credential(ctx, r.credentialID(*run, 0))
			if found {
				material := desired.MaterialOf(entity)
				run.former = &material
			}
			return err
		}
	}
	return nil
}

// names says whether the spec has a credential of a name.
func (r *consumerRun) names(name string) bool {
	return slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == name })
}

// awaitsSource says whether nothing is known yet of what a credential is to be made of: what it was before stays.
func (r *consumerRun) awaitsSource(name string) bool {
	return r.followsUnknown(name) || slices.ContainsFunc(r.credentials, func(run credentialRun) bool { return run.spec.Name == name && run.missing })
}

// noteFormerSecrets lists the Secrets that the operator published and that the spec no longer names.
func (r *consumerRun) noteFormerSecrets() {
	for _, former := range r.former {
		named := slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
			return secretName(c) == former.SecretName
		})
		if former.Revision > 0 && !named && !r.awaitsSource(former.Name) && !slices.Contains(r.formerSecrets, former.SecretName) {
			r.formerSecrets = append(r.formerSecrets, former.SecretName)
		}
	}
}

// letSecretsGo takes the owner off the generated Secrets, so that they stay with the credentials that stay in Kong.
func (r *consumerRun) letSecretsGo(ctx context.Context) error {
	names := []string{credential.StateSecretName(r.consumer.Name)}
	if r.followsIssuers() {
		names = append(names, credential.JWKSSecretName(r.consumer.Name))
	}
	for _, spec := range r.consumer.Spec.Credentials {
		if spec.Generate != nil {
			names = append(names, spec.Generate.SecretName)
		}
	}
	for _, name := range names {
		if err := r.Secrets.LetGo(ctx, r.secretOwner(), name); err != nil {
			return err
		}
	}
	return nil
}

func secretName(spec v1alpha1.Credential) string {
	switch {
	case spec.Generate != nil:
		return spec.Generate.SecretName
	case spec.SecretRef != nil:
		return spec.SecretRef.Name
	}
	return ""
}

// stayingGroups are reserved groups that the consumer has, that no service gives it any more, and that the service's acl plugin still asks for.
func (r *consumerRun) stayingGroups(ctx context.Context, held []string) ([]string, error) {
	var staying []string
	for _, group := range held {
		namespace, name, ok := desired.ParseAccessGroup(group)
		if !ok || !r.target.engine.GroupInUse(group) {
			continue
		}
		var service v1alpha1.JwtProtectedService
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get JwtProtectedService %s/%s: %w", namespace, name, err)
		}
		if err == nil && !desired.NamesConsumers(service.Spec.Access) {
			staying = append(staying, group)
		}
	}
	return staying, nil
}
