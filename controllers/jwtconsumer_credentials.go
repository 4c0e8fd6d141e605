package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// credentialRun is one credential on its way through a reconcile.
type credentialRun struct {
	spec       v1alpha1.Credential
	field      string
	generation credential.Generation
	material   credential.Material
	// missing says that there is no material now: what is in Kong stays.
	missing bool
}

func (r *consumerRun) secretOwner() secrets.Owner {
	return secrets.Owner{Kind: v1alpha1.KindJwtConsumer, Object: r.consumer}
}

// readCredentials gathers the material of all credentials. What is wrong with one does not hold up the others: it stays in Kong as it is.
func (r *consumerRun) readCredentials(ctx context.Context) error {
	if err := r.generated(ctx); err != nil {
		return err
	}
	for i, spec := range r.consumer.Spec.Credentials {
		run := credentialRun{spec: spec, field: fmt.Sprintf("spec.credentials[%d]", i)}
		var problem error
		if spec.Generate != nil {
			run.generation, _ = r.state.Credentials[spec.Name].Newest()
			run.material = run.generation.Material
		} else {
			run.material, problem = r.referenced(ctx, run)
		}
		var stalled *status.StalledError
		if problem != nil && !errors.As(problem, &stalled) {
			return problem
		}
		if problem != nil {
			run.missing = true
			r.problem = errors.Join(r.problem, problem)
		}
		r.credentials = append(r.credentials, run)
		r.want(run)
	}
	r.flagWeakSecrets()
	return nil
}

// want adds a credential to what shall be in Kong.
func (r *consumerRun) want(run credentialRun) {
	part := desired.CredentialPart(run.spec.Name)
	if run.missing {
		if !r.consumer.Spec.Revoked {
			r.keep = append(r.keep, desired.CredentialID(r.target.scope, desired.ConsumerOwner(r.consumer.Namespace, r.consumer.Name), part))
		}
		return
	}
	if weakness := run.material.Weakness(); weakness != "" {
		r.weak = append(r.weak, "credential "+run.spec.Name+": "+weakness)
	}
	if r.consumer.Spec.Revoked {
		return
	}
	fromSecret := run.spec.SecretRef != nil && run.spec.SecretRef.DataKeys != nil && run.spec.SecretRef.DataKeys.Key != ""
	r.input.Credentials = append(r.input.Credentials, desired.Credential{
		Field: run.field, Part: part, TenantKey: run.spec.Key != "" || fromSecret, Material: run.material,
	})
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

// generated brings the state of the generated credentials to what the spec asks, and has it written before anybody uses it.
func (r *consumerRun) generated(ctx context.Context) error {
	if err := credential.CheckSecretNames(r.consumer.Name, r.consumer.Spec.Credentials); err != nil {
		return err
	}
	for i, spec := range r.consumer.Spec.Credentials {
		if spec.Generate == nil {
			continue
		}
		// A Secret that cannot be published must be known before anything is generated for it.
		field := fmt.Sprintf("spec.credentials[%d].generate.secretName", i)
		if _, _, err := r.Secrets.Owned(ctx, r.secretOwner(), field, spec.Generate.SecretName); err != nil {
			return err
		}
		r.wants = append(r.wants, credential.Want{Name: spec.Name, Key: r.keyOf(spec), Recipe: credential.NewRecipe(spec.Algorithm, *spec.Generate)})
	}
	if len(r.wants) == 0 && !r.hadGenerated() {
		return nil
	}
	if err := r.readState(ctx); err != nil {
		return err
	}
	return r.advance(ctx, nil)
}

// hadGenerated says whether there may be a state although the spec generates nothing.
func (r *consumerRun) hadGenerated() bool {
	return slices.ContainsFunc(r.consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool { return s.Generation > 0 })
}

// advance decides what has to become of the state, and writes it. live are the generations that are in Kong and published.
func (r *consumerRun) advance(ctx context.Context, live map[string]int64) error {
	decision := credential.Decide(credential.Input{State: r.state, Wants: r.wants, Live: live}, r.Now())
	if len(decision.Steps) == 0 {
		return nil
	}
	next, err := r.state.Apply(decision, credential.Generate)
	if err != nil {
		return err
	}
	content, err := next.Encode()
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	name := credential.StateSecretName(r.consumer.Name)
	r.snapshot, err = r.Secrets.Replace(ctx, r.secretOwner(), name, r.snapshot, map[string][]byte{credential.StateDataKey: content})
	if err != nil {
		return err
	}
	r.state = next
	return nil
}

func (r *consumerRun) readState(ctx context.Context) error {
	name := credential.StateSecretName(r.consumer.Name)
	var err error
	if r.snapshot, err = r.Secrets.Snapshot(ctx, r.secretOwner(), "state", name); err != nil || !r.snapshot.Found() {
		return err
	}
	if r.state, err = credential.DecodeState(r.snapshot.Value(credential.StateDataKey)); err != nil {
		return status.Stalled(v1alpha1.ReasonSecretInvalid,
			"Secret %s/%s: %v; nothing is generated anew, so that nothing in use is lost. Restore it, or delete it to begin anew", r.consumer.Namespace, name, err)
	}
	return nil
}

// publish writes the Secrets that clients read, once Kong has what is in them, and drops those that the spec no longer names.
func (r *consumerRun) publish(ctx context.Context) error {
	live := map[string]int64{}
	for _, run := range r.credentials {
		if run.spec.Generate == nil {
			continue
		}
		name := run.spec.Generate.SecretName
		written, err := r.Secrets.Publish(ctx, r.secretOwner(), run.field+".generate.secretName", name, credential.PublishedData(run.material))
		if err != nil {
			return err
		}
		live[run.spec.Name] = run.generation.Number
		if written {
			r.event(r.consumer, corev1.EventTypeNormal, "Published", "Publish",
				fmt.Sprintf("Credential %s, generation %d, is in Secret %s", run.spec.Name, run.generation.Number, name))
		}
	}
	for _, name := range r.formerSecrets {
		if err := r.Secrets.Drop(ctx, r.secretOwner(), name); err != nil {
			return err
		}
	}
	return r.advance(ctx, live)
}

// noteFormerSecrets lists the Secrets that the operator published and that the spec no longer names.
func (r *consumerRun) noteFormerSecrets() {
	for _, former := range r.consumer.Status.Credentials {
		named := slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool {
			return c.Generate != nil && c.Generate.SecretName == former.SecretName
		})
		if former.Generation > 0 && !named {
			r.formerSecrets = append(r.formerSecrets, former.SecretName)
		}
	}
}

// letSecretsGo takes the owner off the generated Secrets, so that they stay with the credentials that stay in Kong.
func (r *consumerRun) letSecretsGo(ctx context.Context) error {
	names := []string{credential.StateSecretName(r.consumer.Name)}
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

// reportCredentials writes the status of each credential. synced says that Kong has what the spec asks.
func (r *consumerRun) reportCredentials(synced bool) {
	r.noteFormerSecrets()
	former := r.consumer.Status.Credentials
	r.consumer.Status.Credentials = nil
	owner := desired.ConsumerOwner(r.consumer.Namespace, r.consumer.Name)
	for _, run := range r.credentials {
		part := desired.CredentialPart(run.spec.Name)
		id := desired.CredentialID(r.target.scope, owner, part)
		known := slices.IndexFunc(former, func(s v1alpha1.CredentialStatus) bool { return s.Name == run.spec.Name })
		if run.missing {
			if known >= 0 {
				r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, former[known])
			}
			continue
		}
		report := v1alpha1.CredentialStatus{
			Name: run.spec.Name, Key: run.material.Key, KongID: id, Algorithm: run.material.Algorithm,
			Phase: v1alpha1.CredentialPending, SecretName: secretName(run.spec),
		}
		if synced && !r.consumer.Spec.Revoked {
			report.Phase = v1alpha1.CredentialActive
		}
		if run.spec.Generate != nil {
			report.Generation = run.generation.Number
			report.IssueTime = &metav1.Time{Time: run.generation.IssueTime.Local()}
		}
		r.consumer.Status.Credentials = append(r.consumer.Status.Credentials, report)
	}
}

func secretName(spec v1alpha1.Credential) string {
	if spec.Generate != nil {
		return spec.Generate.SecretName
	}
	return spec.SecretRef.Name
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
