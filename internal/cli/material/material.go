// Package material reads the material of credentials with the rights of the caller: from the Secrets that clients
// read, and from the operator's own state where former generations count.
package material

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// ErrUnknown says that the material cannot be read: no right to the Secret, no Secret, or material that is nowhere in
// the cluster.
var ErrUnknown = errors.New("the material cannot be read")

// Of reads what clients sign with: the material of one credential of a consumer. Errors are ErrUnknown, or about what
// the Secret holds; they quote nothing of it.
func Of(ctx context.Context, kube client.Reader, consumer *v1alpha1.JwtConsumer, spec v1alpha1.Credential) (credential.Material, error) {
	switch {
	case spec.Generate != nil:
		data, err := read(ctx, kube, consumer.Namespace, spec.Generate.SecretName)
		if err != nil {
			return credential.Material{}, err
		}
		return published(spec.Generate.SecretName, data)
	case spec.SecretRef != nil:
		data, err := read(ctx, kube, consumer.Namespace, spec.SecretRef.Name)
		if err != nil {
			return credential.Material{}, err
		}
		return credential.FromSecret("spec.credentials["+spec.Name+"]", spec, Key(consumer, spec), data)
	default:
		return credential.Material{}, fmt.Errorf("%w: credential %s follows a key set; its private keys are the issuer's", ErrUnknown, spec.Name)
	}
}

// Revisions reads all revisions that the operator keeps of a credential, the newest first: its state, which fewer
// people may read than the Secret for clients. Errors are ErrUnknown.
func Revisions(ctx context.Context, kube client.Reader, consumer *v1alpha1.JwtConsumer, name string) ([]credential.Material, error) {
	secret := credential.StateSecretName(consumer.Name)
	data, err := read(ctx, kube, consumer.Namespace, secret)
	if err != nil {
		return nil, err
	}
	state, err := credential.DecodeState(data[credential.StateDataKey])
	if err != nil {
		return nil, fmt.Errorf("%w: Secret %s/%s: %w", ErrUnknown, consumer.Namespace, secret, err)
	}
	var all []credential.Material
	for _, revision := range slices.Backward(state.Credentials[name].Revisions) {
		all = append(all, revision.Material)
	}
	return all, nil
}

// Key is what tokens of a credential carry: that of the status where it is in Kong, else the spec's, else the default.
func Key(consumer *v1alpha1.JwtConsumer, spec v1alpha1.Credential) string {
	if spec.Key != "" {
		return spec.Key
	}
	for _, c := range consumer.Status.Credentials {
		if c.Name == spec.Name && c.State == v1alpha1.CredentialActive && c.Key != "" {
			return c.Key
		}
	}
	return credential.DefaultKey(desired.Username(consumer), spec.Name, 0)
}

// published reads what the operator published.
func published(name string, data map[string][]byte) (credential.Material, error) {
	m := credential.Material{
		Key: string(data[credential.DataKeyKey]), Algorithm: v1alpha1.Algorithm(data[credential.DataKeyAlgorithm]),
		Secret:       credential.Conceal(string(data[credential.DataKeySecret])),
		PublicKeyPEM: string(data[credential.DataKeyPublicKey]), PrivateKeyPEM: credential.Conceal(string(data[credential.DataKeyPrivateKey])),
	}
	if m.Key == "" || !slices.Contains(credential.Algorithms(), m.Algorithm) {
		return credential.Material{}, fmt.Errorf("%w: Secret %s is not what the operator publishes; look at the JwtConsumer's conditions", ErrUnknown, name)
	}
	return m, nil
}

// Secret reads one. The error says in words why that is not possible.
func Secret(ctx context.Context, kube client.Reader, namespace, name string) (map[string][]byte, error) {
	var secret corev1.Secret
	err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &secret)
	switch {
	case err == nil:
		return secret.Data, nil
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("you may not read Secret %s/%s", namespace, name)
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no Secret %s/%s", namespace, name)
	default:
		return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
}

// read is Secret, for material.
func read(ctx context.Context, kube client.Reader, namespace, name string) (map[string][]byte, error) {
	data, err := Secret(ctx, kube, namespace, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return data, nil
}

// Reference is a consumer of the namespace, and perhaps one of its credentials: CONSUMER[/CREDENTIAL].
type Reference struct{ Consumer, Credential string }

// ParseReference reads CONSUMER[/CREDENTIAL].
func ParseReference(text string) (Reference, error) {
	consumer, name, qualified := strings.Cut(text, "/")
	if consumer == "" || qualified && name == "" || strings.Contains(name, "/") {
		return Reference{}, fmt.Errorf("%q: write it CONSUMER or CONSUMER/CREDENTIAL; the namespace is -n's", text)
	}
	return Reference{Consumer: consumer, Credential: name}, nil
}

// Find gets the consumer and the credential that a reference names. Without a credential it is the one that suits,
// where there is one only.
func Find(ctx context.Context, kube client.Reader, namespace string, ref Reference, suits func(v1alpha1.Credential) bool) (*v1alpha1.JwtConsumer, v1alpha1.Credential, error) {
	consumer := &v1alpha1.JwtConsumer{}
	if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Consumer}, consumer); err != nil {
		return nil, v1alpha1.Credential{}, fmt.Errorf("get JwtConsumer %s/%s: %w", namespace, ref.Consumer, err)
	}
	var all, suiting []string
	var found v1alpha1.Credential
	for _, c := range consumer.Spec.Credentials {
		all = append(all, c.Name)
		if c.Name == ref.Credential {
			return consumer, c, nil
		}
		if suits(c) {
			found, suiting = c, append(suiting, c.Name)
		}
	}
	has := "it has no credentials"
	if len(all) > 0 {
		has = "it has: " + strings.Join(all, ", ")
	}
	switch {
	case ref.Credential != "":
		return nil, v1alpha1.Credential{}, fmt.Errorf("JwtConsumer %s/%s has no credential %s; %s", namespace, ref.Consumer, ref.Credential, has)
	case len(suiting) == 0:
		return nil, v1alpha1.Credential{}, fmt.Errorf("JwtConsumer %s/%s has no credential for this; %s", namespace, ref.Consumer, has)
	case len(suiting) > 1:
		return nil, v1alpha1.Credential{}, fmt.Errorf("JwtConsumer %s/%s has several credentials; name one: %s/%s", namespace, ref.Consumer, ref.Consumer, strings.Join(suiting, ", "+ref.Consumer+"/"))
	}
	return consumer, found, nil
}
