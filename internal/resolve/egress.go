package resolve

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// lookAgainAfter is when a proxy's Secret is looked for again that was not there: a watch reports it too.
const lookAgainAfter = time.Minute

// EgressProxy reads the proxy by which a gateway has issuers reached, nil for none. field is that of the issuer. Where
// the proxy's Secrets cannot be read, the error is a *status.StalledError.
func (in Inputs) EgressProxy(ctx context.Context, field, gateway string, spec *v1alpha1.EgressProxy) (jwks.Proxy, error) {
	if spec == nil {
		return jwks.Proxy{}, nil
	}
	proxy, err := in.egressProxy(ctx, *spec)
	var stalled *status.StalledError
	if errors.As(err, &stalled) {
		refusal := status.Stalled(v1alpha1.ReasonGatewayNotReady,
			"%s: the proxy to issuers cannot be used (KongGateway %s, %v). Ask its owner to correct spec.egressProxy.",
			field, gateway, strings.TrimSuffix(stalled.Message, "."))
		refusal.RetryAfter = lookAgainAfter
		return jwks.Proxy{}, refusal
	}
	return proxy, err
}

func (in Inputs) egressProxy(ctx context.Context, spec v1alpha1.EgressProxy) (jwks.Proxy, error) {
	proxy := jwks.Proxy{URL: spec.URL, NoProxy: spec.NoProxy}
	const field = "spec.egressProxy"
	if ref := spec.CASecretRef; ref != nil {
		ca, err := in.GatewaySecret(ctx, field+".caSecretRef", ref.SecretReference, ref.Key)
		if err != nil {
			return proxy, err
		}
		proxy.CA = string(ca)
		if err := proxy.CheckCA(); err != nil {
			return proxy, status.Stalled(v1alpha1.ReasonSecretInvalid, "%s.caSecretRef: key %s of Secret %s/%s has no certificate of an authority. Put certificates in PEM there.",
				field, ref.Key, ref.Namespace, ref.Name)
		}
	}
	if ref := spec.CredentialsSecretRef; ref != nil {
		username, err := in.GatewaySecret(ctx, field+".credentialsSecretRef", *ref, corev1.BasicAuthUsernameKey)
		if err != nil {
			return proxy, err
		}
		password, err := in.GatewaySecret(ctx, field+".credentialsSecretRef", *ref, corev1.BasicAuthPasswordKey)
		if err != nil {
			return proxy, err
		}
		proxy.Username, proxy.Password = string(username), credential.Conceal(string(password))
	}
	return proxy, nil
}

// ConsumersFetchingBy lists the consumers that follow an issuer by a proxy which a Secret is for.
func (in Inputs) ConsumersFetchingBy(ctx context.Context, secret client.Object) (found []client.ObjectKey, err error) {
	if !slices.Contains(in.GatewayNamespaces, secret.GetNamespace()) {
		return nil, nil
	}
	own := v1alpha1.SecretReference{Namespace: secret.GetNamespace(), Name: secret.GetName()}
	var gateways []string
	value := own.Namespace + "/" + own.Name
	err = index.ForEach(ctx, in.Reader, v1alpha1.KindKongGateway, index.Secret, "", value, func(resource v1alpha1.Resource) {
		if gateway, ok := resource.(*v1alpha1.KongGateway); ok &&
			slices.Contains(index.EgressProxySecrets(gateway.Spec.EgressProxy), own) {
			gateways = append(gateways, gateway.Name)
		}
	})
	for _, gateway := range gateways {
		err = errors.Join(err, index.ForEach(ctx, in.Reader, v1alpha1.KindJwtConsumer, index.KeySet, "", gateway,
			func(resource v1alpha1.Resource) { found = append(found, client.ObjectKeyFromObject(resource)) }))
	}
	return found, err
}
