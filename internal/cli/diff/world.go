package diff

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// world is all resources, as they are or as they would be.
type world struct {
	gateways  map[string]*v1alpha1.KongGateway
	consumers map[string]*v1alpha1.JwtConsumer
	services  map[string]*v1alpha1.JwtProtectedService
}

func (w world) policy(gateway string) desired.Policy {
	if g := w.gateways[gateway]; g != nil {
		return desired.NewPolicy(g, "cluster.local")
	}
	// What is not known refuses nothing.
	return desired.Policy{Gateway: gateway, GatewayPolicy: v1alpha1.GatewayPolicy{Identities: v1alpha1.IdentitiesAny}}
}

// consumer builds what a consumer wants in Kong; nothing where there is none.
func (w world) consumer(key string) (desired.Set, error) {
	c := w.consumers[key]
	if c == nil {
		return desired.Set{}, nil
	}
	gateway := c.Spec.GatewayRef.Name
	in := desired.ConsumerInput{Consumer: c, Configs: configs(c.Spec.Plugins)}
	for i, spec := range c.Spec.Credentials {
		if !c.Spec.Revoked {
			in.Credentials = append(in.Credentials, placeholder(c, spec, fmt.Sprintf("spec.credentials[%d]", i)))
		}
	}
	for _, s := range w.services {
		if named, err := desired.NamesConsumer(s, c); err == nil && named && s.Spec.GatewayRef.Name == gateway {
			in.AccessGroups = append(in.AccessGroups, desired.AccessGroup(s.Namespace, s.Name))
		}
	}
	policy := w.policy(gateway)
	policy.MinSecretBytes = 0 // of material that is not looked at
	return desired.BuildConsumer(desired.Scope{Gateway: gateway}, policy, in)
}

// placeholder is a credential whose material stands for where it comes from: of a credential that keeps its source, nothing changes.
func placeholder(c *v1alpha1.JwtConsumer, spec v1alpha1.Credential, field string) desired.Credential {
	source := "generated"
	m := credential.Material{Key: material.Key(c, spec), Algorithm: spec.Algorithm}
	switch {
	case spec.SecretRef != nil:
		source = "Secret " + spec.SecretRef.Name
		if keys := spec.SecretRef.DataKeys; keys != nil {
			source += fmt.Sprintf(" %+v", *keys)
			if keys.Key != "" {
				m.Key = "(key " + keys.Key + " of Secret " + spec.SecretRef.Name + ")"
			}
		}
	case spec.JWKS != nil:
		source, m.Key = spec.JWKS.URL, "(keys of "+spec.JWKS.URL+")"
	case spec.Generate != nil:
		source = fmt.Sprintf("generated %d %d", spec.Generate.Length, spec.Generate.RSABits)
	}
	if m.Algorithm == "" {
		m.Algorithm = "HS256"
	}
	m.Secret = credential.Conceal(source)
	if credential.FamilyOf(m.Algorithm) != credential.HMAC {
		m.PublicKeyPEM = source
	}
	return desired.Credential{Field: field, Part: desired.CredentialPart(spec.Name, 0), Material: m}
}

// service builds what a service wants in Kong; nothing where there is none.
func (w world) service(key string) (desired.Set, error) {
	s := w.services[key]
	if s == nil {
		return desired.Set{}, nil
	}
	in := desired.ServiceInput{Service: s, RedisPassword: redisPassword(s)}
	plugins := make([]v1alpha1.PluginSpec, 0, len(s.Spec.Plugins))
	for _, p := range s.Spec.Plugins {
		plugins = append(plugins, p.PluginSpec)
	}
	in.Configs = configs(plugins)
	if s.Spec.Upstream != nil && s.Spec.Upstream.ServiceRef != nil {
		// The Service itself is taken to be as the reference says.
		in.Upstream = &corev1.Service{}
		in.Upstream.Spec.Ports = []corev1.ServicePort{{Port: s.Spec.Upstream.ServiceRef.Port}}
	}
	gateway := s.Spec.GatewayRef.Name
	return desired.BuildService(desired.Scope{Gateway: gateway}, w.policy(gateway), in)
}

func redisPassword(s *v1alpha1.JwtProtectedService) string {
	if s.Spec.RateLimit == nil || s.Spec.RateLimit.Redis == nil || s.Spec.RateLimit.Redis.PasswordSecretRef == nil {
		return ""
	}
	ref := s.Spec.RateLimit.Redis.PasswordSecretRef
	return "key " + ref.Key + " of Secret " + ref.Name
}

// configs stand for the content of configFrom by where it is.
func configs(plugins []v1alpha1.PluginSpec) desired.Configs {
	all := desired.Configs{}
	for _, p := range plugins {
		for _, from := range p.ConfigFrom {
			content, err := json.Marshal(map[string]string{"configFrom " + from.SecretRef.Name + "/" + from.SecretRef.Key: "not looked at"})
			if err != nil { // a map of texts always encodes
				continue
			}
			all[p.Name] = append(all[p.Name], content)
		}
	}
	return all
}

// sortedKeys are the keys of both, each once.
func sortedKeys[T any](a, b map[string]T) []string {
	var keys []string
	for _, m := range []map[string]T{a, b} {
		for key := range m {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
