package controllers

import (
	"context"
	"hash/fnv"
	"reflect"
	"slices"
	"strconv"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Indexes of the cache: from what changed to the resources that name it.
const (
	indexGateway   = "gateway"  // KongGateway name
	indexSecret    = "secret"   // Secret name, or namespace/name where the resource is cluster-scoped
	indexService   = "service"  // Kubernetes Service name, or namespace/name where the resource is cluster-scoped
	indexUniqueKey = "claim"    // gateway, kind and value of what a spec claims in Kong
	indexConsumer  = "consumer" // namespace/name of a JwtConsumer that is named
	indexSelector  = "selector" // selectsConsumers, where spec.access has a consumerSelector
	indexBounded   = "bounded"  // KongGateway name, where spec.jwt has a maximumExpiration
)

const selectsConsumers = "yes"

type indexer struct {
	object client.Object
	name   string
	values func(client.Object) []string
	// shared says that values share sets: what is found has to be looked at again.
	shared bool
}

func everyIndex() []indexer {
	return slices.Concat(gatewayIndexes(), consumerIndexes(), serviceIndexes(), tokenIndexes())
}

func addIndexes(ctx context.Context, fields client.FieldIndexer) error {
	for _, index := range allIndexes {
		if err := fields.IndexField(ctx, index.object, index.name, index.stored); err != nil {
			return err
		}
	}
	return nil
}

// buckets is how many sets the values of an index share that has nearly as many values as there are resources. The cache has two sets of some 300 bytes
// for every value: with four values a consumer they would be the largest part of all that is kept of one.
const buckets = 512

// stored gives what the cache indexes an object by.
func (i indexer) stored(object client.Object) []string {
	values := i.values(object)
	for at, value := range values {
		values[at] = i.storedAs(value)
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func (i indexer) storedAs(value string) string {
	if !i.shared {
		return value
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(value)) // it takes everything
	return strconv.Itoa(int(sum.Sum32() % buckets))
}

// has says whether an object has a value itself, not just another of the same bucket.
func (i indexer) has(object client.Object, value string) bool {
	return slices.Contains(i.values(object), value)
}

// indexOf finds the index of a list's kind.
func indexOf(list client.ObjectList, name string) indexer {
	var kind client.Object
	switch list.(type) {
	case *v1alpha1.KongGatewayList:
		kind = &v1alpha1.KongGateway{}
	case *v1alpha1.JwtConsumerList:
		kind = &v1alpha1.JwtConsumer{}
	case *v1alpha1.JwtProtectedServiceList:
		kind = &v1alpha1.JwtProtectedService{}
	case *v1alpha1.JwtTokenList:
		kind = &v1alpha1.JwtToken{}
	}
	for _, i := range allIndexes {
		if i.name == name && reflect.TypeOf(i.object) == reflect.TypeOf(kind) {
			return i
		}
	}
	return indexer{name: name, values: func(client.Object) []string { return nil }}
}

var allIndexes = everyIndex()

// index makes an indexer of a function over one kind.
func index[T client.Object](object T, name string, values func(T) []string) indexer {
	return indexer{object: object, name: name, values: func(o client.Object) []string {
		typed, ok := o.(T)
		if !ok {
			return nil
		}
		found := slices.DeleteFunc(values(typed), func(value string) bool { return value == "" })
		slices.Sort(found)
		return slices.Compact(found)
	}}
}

// sharedIndex is for values that are nearly all different.
func sharedIndex[T client.Object](object T, name string, values func(T) []string) indexer {
	i := index(object, name, values)
	i.shared = true
	return i
}

func gatewayIndexes() []indexer {
	return []indexer{
		index(&v1alpha1.KongGateway{}, indexSecret, func(g *v1alpha1.KongGateway) []string {
			var names []string
			for _, ref := range gatewaySecrets(g.Spec) {
				names = append(names, ref.Namespace+"/"+ref.Name)
			}
			return names
		}),
		index(&v1alpha1.KongGateway{}, indexService, func(g *v1alpha1.KongGateway) []string {
			if ref := g.Spec.AdminAPI.ServiceRef; ref != nil {
				return []string{ref.Namespace + "/" + ref.Name}
			}
			return nil
		}),
	}
}

func consumerIndexes() []indexer {
	return []indexer{
		index(&v1alpha1.JwtConsumer{}, indexGateway, func(c *v1alpha1.JwtConsumer) []string {
			return []string{c.Spec.GatewayRef.Name, c.Status.Gateway}
		}),
		sharedIndex(&v1alpha1.JwtConsumer{}, indexSecret, func(c *v1alpha1.JwtConsumer) []string {
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
		sharedIndex(&v1alpha1.JwtConsumer{}, indexUniqueKey, func(c *v1alpha1.JwtConsumer) []string {
			return claimKeys(c.Spec.GatewayRef.Name, desired.ConsumerUniqueKeys(c))
		}),
	}
}

func serviceIndexes() []indexer {
	return []indexer{
		index(&v1alpha1.JwtProtectedService{}, indexGateway, func(s *v1alpha1.JwtProtectedService) []string {
			return []string{s.Spec.GatewayRef.Name, s.Status.Gateway}
		}),
		index(&v1alpha1.JwtProtectedService{}, indexSecret, func(s *v1alpha1.JwtProtectedService) []string {
			names := pluginSecrets(servicePlugins(s))
			if limit := s.Spec.RateLimit; limit != nil && limit.Redis != nil && limit.Redis.PasswordSecretRef != nil {
				names = append(names, limit.Redis.PasswordSecretRef.Name)
			}
			return names
		}),
		index(&v1alpha1.JwtProtectedService{}, indexService, func(s *v1alpha1.JwtProtectedService) []string {
			if s.Spec.Upstream != nil && s.Spec.Upstream.ServiceRef != nil {
				return []string{s.Spec.Upstream.ServiceRef.Name}
			}
			return nil
		}),
		index(&v1alpha1.JwtProtectedService{}, indexUniqueKey, func(s *v1alpha1.JwtProtectedService) []string {
			return claimKeys(s.Spec.GatewayRef.Name, desired.ServiceUniqueKeys(s))
		}),
		index(&v1alpha1.JwtProtectedService{}, indexConsumer, func(s *v1alpha1.JwtProtectedService) []string {
			var names []string
			if s.Spec.Access != nil {
				for _, ref := range s.Spec.Access.Consumers {
					names = append(names, consumerKey(s.Namespace, ref))
				}
			}
			return names
		}),
		index(&v1alpha1.JwtProtectedService{}, indexBounded, func(s *v1alpha1.JwtProtectedService) []string {
			if maximumExpiration(s) > 0 {
				return []string{s.Spec.GatewayRef.Name}
			}
			return nil
		}),
		index(&v1alpha1.JwtProtectedService{}, indexSelector, func(s *v1alpha1.JwtProtectedService) []string {
			if s.Spec.Access != nil && s.Spec.Access.ConsumerSelector != nil {
				return []string{selectsConsumers}
			}
			return nil
		}),
	}
}

func tokenIndexes() []indexer {
	return []indexer{
		sharedIndex(&v1alpha1.JwtToken{}, indexConsumer, func(t *v1alpha1.JwtToken) []string {
			return []string{t.Namespace + "/" + t.Spec.ConsumerRef.Name}
		}),
		sharedIndex(&v1alpha1.JwtToken{}, indexSecret, func(t *v1alpha1.JwtToken) []string {
			return []string{t.Spec.SecretName}
		}),
	}
}

func claimKeys(gateway string, claims []desired.UniqueKey) []string {
	keys := make([]string, 0, len(claims))
	for _, claim := range claims {
		keys = append(keys, lookupKey(gateway, claim))
	}
	return keys
}

func lookupKey(gateway string, claim desired.UniqueKey) string {
	return gateway + "\n" + string(claim.Kind) + "\n" + claim.Value
}

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

func servicePlugins(s *v1alpha1.JwtProtectedService) []v1alpha1.PluginSpec {
	plugins := make([]v1alpha1.PluginSpec, 0, len(s.Spec.Plugins))
	for _, plugin := range s.Spec.Plugins {
		plugins = append(plugins, plugin.PluginSpec)
	}
	return plugins
}

// gatewaySecrets lists the Secrets that the connections to a gateway need: to its Admin API, and to the data planes that are asked.
func gatewaySecrets(spec v1alpha1.KongGatewaySpec) []v1alpha1.SecretReference {
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
	return refs
}
