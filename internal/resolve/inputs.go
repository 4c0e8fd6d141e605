// Package resolve follows the references of a resource to its inputs: the gateway, Secrets, the Kubernetes Service,
// the consumers of a service and the services of a consumer. It reads, and writes nothing.
package resolve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// SecretReader reads content of Secrets. field is the field of the spec that names the Secret, for messages. The
// error is a *status.StalledError where the Secret, or what is asked for, is not there; any other error means that it
// is not known.
type SecretReader interface {
	Data(ctx context.Context, field, namespace, name string) (map[string][]byte, error)
	Key(ctx context.Context, field, namespace, name, key string) ([]byte, error)
}

// Inputs reads what resources refer to.
type Inputs struct {
	// Reader has the indexes of package index.
	Reader  client.Reader
	Secrets SecretReader
	// GatewayNamespaces are the namespaces that a KongGateway's Secrets may be in; the first is the operator's
	// own.
	GatewayNamespaces []string
}

// PluginConfigs reads the Secrets that spec.plugins[].configFrom names, one by one, and stops where they are too long:
// what is held at once is bounded, whatever a tenant writes. The error is then a *status.StalledError.
func (in Inputs) PluginConfigs(ctx context.Context, user v1alpha1.GatewayUser) (desired.Configs, error) {
	configs := desired.Configs{}
	total := 0
	for i, plugin := range user.GetPlugins() {
		if plugin.Config != nil {
			total += len(plugin.Config.Raw)
		}
		for j, from := range plugin.ConfigFrom {
			field := fmt.Sprintf("spec.plugins[%d].configFrom[%d]", i, j)
			content, err := in.Secrets.Key(ctx, field+".secretRef", user.GetNamespace(), from.SecretRef.Name, from.SecretRef.Key)
			if err != nil {
				return nil, err
			}
			if len(content) > desired.MaxSourceBytes {
				return nil, status.Stalled(v1alpha1.ReasonSecretInvalid,
					"%s: the key of the Secret has %d bytes (the operator reads %d at most). Keep there what is secret, and the rest in config.",
					field, len(content), desired.MaxSourceBytes)
			}
			if total += len(content); total > desired.MaxConfigBytes {
				return nil, tooLong(field, total)
			}
			configs[plugin.Name] = append(configs[plugin.Name], content)
		}
		if total > desired.MaxConfigBytes {
			return nil, tooLong(fmt.Sprintf("spec.plugins[%d].config", i), total)
		}
	}
	return configs, nil
}

func tooLong(field string, bytes int) error {
	return status.Stalled(v1alpha1.ReasonInvalidSpec,
		"%s: with it, the configurations of the plugins have %d bytes (a resource may have %d). Shorten them, or use another resource.",
		field, bytes, desired.MaxConfigBytes)
}

// GatewaySecret reads one key of a Secret that a gateway names. Its namespace is bounded: whoever may write a
// KongGateway could else have any Secret sent to a server of theirs.
func (in Inputs) GatewaySecret(ctx context.Context, field string, ref v1alpha1.SecretReference, key string) ([]byte, error) {
	if !slices.Contains(in.GatewayNamespaces, ref.Namespace) {
		return nil, status.Stalled(v1alpha1.ReasonPolicyViolation,
			"%s: Secrets of gateways are read from namespace %s only. Move it there, or start the operator with --gateway-secret-namespaces.",
			field, strings.Join(in.GatewayNamespaces, ", "))
	}
	return in.Secrets.Key(ctx, field, ref.Namespace, ref.Name, key)
}

// UpstreamService reads the Service that spec.upstream.serviceRef names; nil where there is none.
func (in Inputs) UpstreamService(ctx context.Context, service *v1alpha1.JwtProtectedService) (*corev1.Service, error) {
	if service.Spec.Upstream == nil || service.Spec.Upstream.ServiceRef == nil {
		return nil, nil
	}
	name := service.Spec.Upstream.ServiceRef.Name
	var found corev1.Service
	err := in.Reader.Get(ctx, client.ObjectKey{Namespace: service.Namespace, Name: name}, &found)
	if apierrors.IsNotFound(err) {
		return nil, nil // desired.BuildService says what is missing
	}
	if err != nil {
		return nil, fmt.Errorf("get Service %s/%s: %w", service.Namespace, name, err)
	}
	return &found, nil
}
