package resolve

import (
	"context"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Material reads the material of a credential from the Secret that secretRef names. field is where the credential is
// named.
func (in Inputs) Material(
	ctx context.Context, consumer *v1alpha1.JwtConsumer, spec v1alpha1.Credential, field string,
) (credential.Material, error) {
	data, err := in.Secrets.Data(ctx, field+".secretRef", consumer.Namespace, spec.SecretRef.Name)
	if err != nil {
		return credential.Material{}, err
	}
	return credential.FromSecret(field, spec, CredentialKey(consumer, spec), data)
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

// SecretOwner is the owner of a consumer's Secrets. They outlive a consumer whose deletion policy is Retain.
func SecretOwner(consumer *v1alpha1.JwtConsumer) secrets.Owner {
	return secrets.Owner{
		Kind: v1alpha1.KindJwtConsumer, Object: consumer, Retain: consumer.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain,
	}
}

// CredentialState reads the state of a consumer's credentials, and the Secret that it is in. A Secret that the
// operator did not write as it is counts for nothing: the state is empty then, as if it were lost. The error is a
// *status.StalledError where what is there cannot be read.
func CredentialState(
	ctx context.Context, store *secrets.Store, consumer *v1alpha1.JwtConsumer,
) (credential.State, secrets.Snapshot, error) {
	snapshot, intact, err := store.Kept(ctx, SecretOwner(consumer), credential.StateSecretName(consumer.Name))
	if err != nil || !intact {
		return credential.State{}, snapshot, err
	}
	state, err := credential.DecodeState(snapshot.Value(credential.StateDataKey))
	if err != nil {
		return credential.State{}, snapshot, status.Stalled(v1alpha1.ReasonSecretInvalid,
			"spec.credentials: the operator cannot read what it keeps in Secret %s/%s, and changes nothing (%v). "+
				"Run the version that wrote it, or delete the Secret: what Kong and clients hold is taken up from there.",
			consumer.Namespace, credential.StateSecretName(consumer.Name), err)
	}
	return state, snapshot, nil
}
