package resolve

import (
	"context"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Material reads the material of a credential from the Secret that secretRef names. field is where the credential is named.
func (in Inputs) Material(
	ctx context.Context, consumer *v1alpha1.JwtConsumer, spec v1alpha1.Credential, field string,
) (credential.Material, error) {
	data, err := in.Secrets.Data(ctx, field+".secretRef", consumer.Namespace, spec.SecretRef.Name)
	if err != nil {
		return credential.Material{}, err
	}
	return credential.FromSecret(spec, CredentialKey(consumer, spec), data)
}

// CredentialKey is the key of a credential in Kong, unless its Secret holds another.
func CredentialKey(consumer *v1alpha1.JwtConsumer, spec v1alpha1.Credential) string {
	if spec.Key != "" {
		return spec.Key
	}
	return credential.DefaultKey(desired.Username(consumer), spec.Name, 0)
}

// KeepsFormer says whether the former content of a Secret that somebody else owns stays valid for a while.
func KeepsFormer(spec v1alpha1.Credential) bool {
	return spec.SecretRef != nil && spec.SecretRef.Overlap != ""
}

// CredentialState reads the state of a consumer's credentials, and the Secret that it is in. The error is a
// *status.StalledError where what is there cannot be read.
func CredentialState(
	ctx context.Context, store *secrets.Store, consumer *v1alpha1.JwtConsumer,
) (credential.State, secrets.Snapshot, error) {
	owner := secrets.Owner{Kind: v1alpha1.KindJwtConsumer, Object: consumer}
	name := credential.StateSecretName(consumer.Name)
	snapshot, err := store.Snapshot(ctx, owner, "state", name)
	if err != nil || !snapshot.Found() {
		return credential.State{}, snapshot, err
	}
	state, err := credential.DecodeState(snapshot.Value(credential.StateDataKey))
	if err != nil {
		return credential.State{}, snapshot, status.Stalled(v1alpha1.ReasonSecretInvalid,
			"Secret %s/%s: %v; nothing is generated anew, so that nothing in use is lost. "+
				"Restore it, or delete it: what is published is kept, all else begins anew", consumer.Namespace, name, err)
	}
	return state, snapshot, nil
}
