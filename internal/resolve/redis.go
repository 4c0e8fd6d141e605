package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// RedisPassword reads the password of a server of a gateway's policy.redis; it is empty where there is no server, or
// no reference. Where it cannot be read, the gateway is at fault: the service waits.
func (in Inputs) RedisPassword(ctx context.Context, gateway string, server *v1alpha1.RedisServer) (string, error) {
	if server == nil || server.PasswordSecretRef == nil {
		return "", nil
	}
	ref := server.PasswordSecretRef
	field := fmt.Sprintf("spec.policy.redis of server %s: passwordSecretRef", server.Name)
	password, err := in.GatewaySecret(ctx, field, ref.SecretReference, ref.Key)
	var stalled *status.StalledError
	if errors.As(err, &stalled) {
		return "", status.Wait(0, v1alpha1.ReasonGatewayNotReady, "KongGateway %s cannot be used: %v", gateway, err)
	}
	return string(password), err
}

// ServicesCountingIn lists the services that count their rate limit in a Redis whose password is in a Secret.
func (in Inputs) ServicesCountingIn(ctx context.Context, secret client.Object) (found []client.ObjectKey, err error) {
	if !slices.Contains(in.GatewayNamespaces, secret.GetNamespace()) {
		return nil, nil
	}
	servers := map[string][]string{} // by gateway
	value := secret.GetNamespace() + "/" + secret.GetName()
	err = index.ForEach(ctx, in.Reader, v1alpha1.KindKongGateway, index.Secret, "", value, func(resource v1alpha1.Resource) {
		gateway, _ := resource.(*v1alpha1.KongGateway)
		for _, server := range gateway.Spec.Policy.Redis {
			if ref := server.PasswordSecretRef; ref != nil && ref.Namespace+"/"+ref.Name == value {
				servers[gateway.Name] = append(servers[gateway.Name], server.Name)
			}
		}
	})
	for gateway, names := range servers {
		err = errors.Join(err, index.ForEach(ctx, in.Reader, v1alpha1.KindJwtProtectedService, index.Gateway, "", gateway, func(resource v1alpha1.Resource) {
			service, _ := resource.(*v1alpha1.JwtProtectedService)
			if limit := service.Spec.RateLimit; limit != nil && slices.Contains(names, limit.Redis) {
				found = append(found, client.ObjectKeyFromObject(service))
			}
		}))
	}
	return found, err
}
