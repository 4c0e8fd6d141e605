package index

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

func gatewayIndexes() []definition {
	return []definition{
		define(v1alpha1.KindKongGateway, Secret, func(g *v1alpha1.KongGateway) []string {
			var names []string
			for _, ref := range GatewaySecrets(g.Spec) {
				names = append(names, ref.Namespace+"/"+ref.Name)
			}
			return names
		}),
		define(v1alpha1.KindKongGateway, Service, func(g *v1alpha1.KongGateway) []string {
			if ref := g.Spec.AdminAPI.ServiceRef; ref != nil {
				return []string{ref.Namespace + "/" + ref.Name}
			}
			return nil
		}),
	}
}

func consumerIndexes() []definition {
	return []definition{
		define(v1alpha1.KindJwtConsumer, Gateway, func(c *v1alpha1.JwtConsumer) []string {
			return []string{c.Spec.GatewayRef.Name, c.Status.Gateway}
		}),
		define(v1alpha1.KindJwtConsumer, KeySet, func(c *v1alpha1.JwtConsumer) []string {
			if desired.FollowsIssuer(c) {
				return []string{c.Spec.GatewayRef.Name}
			}
			return nil
		}),
		defineBucketed(v1alpha1.KindJwtConsumer, Secret, func(c *v1alpha1.JwtConsumer) []string {
			names := pluginSecrets(c.Spec.Plugins)
			for _, spec := range c.Spec.Credentials {
				if spec.SecretRef != nil {
					names = append(names, spec.SecretRef.Name)
				}
				if spec.JWKS != nil {
					names = append(names, credential.JWKSSecretName(c.Name))
					if ca := spec.JWKS.CASecretRef; ca != nil {
						names = append(names, ca.Name)
					}
				}
				if spec.Generate != nil {
					names = append(names, spec.Generate.SecretName, credential.StateSecretName(c.Name))
				}
			}
			return names
		}),
		define(v1alpha1.KindJwtConsumer, Group, func(c *v1alpha1.JwtConsumer) []string {
			return gatewayValues(c.Spec.GatewayRef.Name, c.Spec.Groups)
		}),
		defineBucketed(v1alpha1.KindJwtConsumer, UniqueKey, func(c *v1alpha1.JwtConsumer) []string {
			return uniqueKeyValues(c.Spec.GatewayRef.Name, desired.ConsumerUniqueKeys(c))
		}),
	}
}

func serviceIndexes() []definition {
	return []definition{
		define(v1alpha1.KindJwtProtectedService, Gateway, func(s *v1alpha1.JwtProtectedService) []string {
			return []string{s.Spec.GatewayRef.Name, s.Status.Gateway}
		}),
		define(v1alpha1.KindJwtProtectedService, Secret, func(s *v1alpha1.JwtProtectedService) []string {
			return pluginSecrets(s.GetPlugins())
		}),
		define(v1alpha1.KindJwtProtectedService, Service, func(s *v1alpha1.JwtProtectedService) []string {
			if s.Spec.Upstream != nil && s.Spec.Upstream.ServiceRef != nil {
				return []string{s.Spec.Upstream.ServiceRef.Name}
			}
			return nil
		}),
		defineBucketed(v1alpha1.KindJwtProtectedService, UniqueKey, func(s *v1alpha1.JwtProtectedService) []string {
			return uniqueKeyValues(s.Spec.GatewayRef.Name, desired.ServiceBuckets(s))
		}),
		define(v1alpha1.KindJwtProtectedService, Consumer, func(s *v1alpha1.JwtProtectedService) []string {
			var names []string
			if s.Spec.Access != nil {
				for _, ref := range s.Spec.Access.Consumers {
					names = append(names, consumerKey(s.Namespace, ref))
				}
			}
			return names
		}),
		define(v1alpha1.KindJwtProtectedService, Group, func(s *v1alpha1.JwtProtectedService) []string {
			if s.Spec.Access == nil {
				return nil
			}
			return gatewayValues(s.Spec.GatewayRef.Name, s.Spec.Access.Groups)
		}),
		define(v1alpha1.KindJwtProtectedService, Anonymous, func(s *v1alpha1.JwtProtectedService) []string {
			if s.Spec.JWT.Anonymous == "" {
				return nil
			}
			return []string{GatewayValue(s.Spec.GatewayRef.Name, s.Spec.JWT.Anonymous)}
		}),
		define(v1alpha1.KindJwtProtectedService, Expiration, func(s *v1alpha1.JwtProtectedService) []string {
			if desired.MaximumExpiration(s) > 0 {
				return []string{s.Spec.GatewayRef.Name}
			}
			return nil
		}),
		define(v1alpha1.KindJwtProtectedService, Selector, func(s *v1alpha1.JwtProtectedService) []string {
			if s.Spec.Access != nil && s.Spec.Access.ConsumerSelector != nil {
				return []string{SelectsConsumers}
			}
			return nil
		}),
	}
}

func tokenIndexes() []definition {
	return []definition{
		defineBucketed(v1alpha1.KindJwtToken, Consumer, func(t *v1alpha1.JwtToken) []string {
			return []string{t.Namespace + "/" + t.Spec.ConsumerRef.Name}
		}),
		defineBucketed(v1alpha1.KindJwtToken, Secret, func(t *v1alpha1.JwtToken) []string {
			return []string{t.Spec.SecretName}
		}),
	}
}

func uniqueKeyValues(gateway string, keys []desired.UniqueKey) []string {
	values := make([]string, 0, len(keys))
	for _, key := range keys {
		values = append(values, uniqueKeyValue(gateway, key.Kind, key.Bucket()))
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func uniqueKeyValue(gateway string, kind desired.UniqueKind, bucket string) string {
	return gateway + "\n" + string(kind) + "\n" + bucket
}

// UniqueKeyValue is the value of the index UniqueKey that resources have whose keys can overlap a key on a gateway.
func UniqueKeyValue(gateway string, key desired.UniqueKey) string {
	return uniqueKeyValue(gateway, key.Kind, key.RivalBucket())
}

func gatewayValues(gateway string, names []string) []string {
	values := make([]string, 0, len(names))
	for _, name := range names {
		values = append(values, GatewayValue(gateway, name))
	}
	return values
}

// GatewayValue is the value of the indexes Group and Anonymous for a name on a gateway.
func GatewayValue(gateway, name string) string { return gateway + "\n" + name }

func consumerKey(namespace string, ref v1alpha1.ConsumerReference) string {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	return namespace + "/" + ref.Name
}

func pluginSecrets(plugins []v1alpha1.PluginSpec) []string {
	var names []string
	for _, plugin := range plugins {
		for _, from := range plugin.ConfigFrom {
			names = append(names, from.SecretRef.Name)
		}
	}
	return names
}

// GatewaySecrets lists the Secrets that a gateway names: for the connections to its Admin API and to the data planes
// that are asked, for the servers of policy.redis, and for the proxy to issuers.
func GatewaySecrets(spec v1alpha1.KongGatewaySpec) []v1alpha1.SecretReference {
	var refs []v1alpha1.SecretReference
	if auth := spec.AdminAPI.Auth; auth != nil {
		refs = append(refs, auth.SecretRef.SecretReference)
	}
	connections := []*v1alpha1.ClientTLS{spec.AdminAPI.TLS}
	if spec.DataPlanes != nil {
		connections = append(connections, spec.DataPlanes.TLS)
	}
	for _, tls := range connections {
		if tls == nil {
			continue
		}
		if tls.CASecretRef != nil {
			refs = append(refs, tls.CASecretRef.SecretReference)
		}
		if tls.ClientCertificateSecretRef != nil {
			refs = append(refs, *tls.ClientCertificateSecretRef)
		}
	}
	for _, server := range spec.Policy.Redis {
		if server.PasswordSecretRef != nil {
			refs = append(refs, server.PasswordSecretRef.SecretReference)
		}
	}
	return append(refs, EgressProxySecrets(spec.EgressProxy)...)
}

// EgressProxySecrets lists the Secrets that a gateway names for its proxy to issuers; proxy may be nil.
func EgressProxySecrets(proxy *v1alpha1.EgressProxy) (refs []v1alpha1.SecretReference) {
	if proxy == nil {
		return nil
	}
	if proxy.CASecretRef != nil {
		refs = append(refs, proxy.CASecretRef.SecretReference)
	}
	if proxy.CredentialsSecretRef != nil {
		refs = append(refs, *proxy.CredentialsSecretRef)
	}
	return refs
}
