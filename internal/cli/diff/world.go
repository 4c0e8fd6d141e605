package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// world is all resources, as they are or as they would be, by namespace/name.
type world struct {
	gateways  map[string]*v1alpha1.KongGateway
	consumers map[string]*v1alpha1.JwtConsumer
	services  map[string]*v1alpha1.JwtProtectedService
	// gatewaysKnown says that no gateway is missing.
	gatewaysKnown bool
	// labels of namespaces, nil where they are not known.
	labels map[string]map[string]string
	// secrets are those of the files: what they hold. nil is one that is not there.
	secrets map[string]map[string][]byte
	// places are the order of what is in the files, by kind namespace/name.
	places map[string]int
	// former is the world before, nil in that itself.
	former *world
}

func newWorld(found inventory.Inventory) world {
	w := world{
		gateways: map[string]*v1alpha1.KongGateway{}, consumers: map[string]*v1alpha1.JwtConsumer{}, services: map[string]*v1alpha1.JwtProtectedService{},
		gatewaysKnown: !slices.Contains(found.Unreadable, v1alpha1.KindKongGateway),
		labels:        map[string]map[string]string{}, secrets: map[string]map[string][]byte{}, places: map[string]int{},
	}
	for i := range found.Gateways {
		w.gateways[found.Gateways[i].Name] = &found.Gateways[i]
	}
	for i := range found.Consumers {
		w.consumers[found.Consumers[i].Namespace+"/"+found.Consumers[i].Name] = &found.Consumers[i]
	}
	for i := range found.Services {
		w.services[found.Services[i].Namespace+"/"+found.Services[i].Name] = &found.Services[i]
	}
	return w
}

// next is a world that begins as this one is.
func (w *world) next() world {
	return world{
		gateways: maps.Clone(w.gateways), consumers: maps.Clone(w.consumers), services: maps.Clone(w.services), gatewaysKnown: w.gatewaysKnown,
		labels: map[string]map[string]string{}, secrets: map[string]map[string][]byte{}, places: map[string]int{}, former: w,
	}
}

// admits says why a gateway would not take a resource of a namespace.
func (w world) admits(gateway, namespace string) error {
	g := w.gateways[gateway]
	switch {
	case g == nil && w.gatewaysKnown:
		return fmt.Errorf("KongGateway %s does not exist", gateway)
	case g == nil:
		return nil
	case g.Spec.AllowedNamespaces.From == v1alpha1.NamespacesSelector && w.labels[namespace] == nil:
		return nil
	}
	admitted, err := desired.Admits(g.Spec.AllowedNamespaces, w.labels[namespace])
	if err == nil && !admitted {
		err = fmt.Errorf("KongGateway %s takes no resources of namespace %s (spec.allowedNamespaces)", gateway, namespace)
	}
	return err
}

func (w world) policy(gateway string) desired.Policy {
	if g := w.gateways[gateway]; g != nil {
		return desired.NewPolicy(g, "cluster.local")
	}
	// What is not known refuses nothing.
	return desired.Policy{Gateway: gateway, GatewayPolicy: v1alpha1.GatewayPolicy{Identities: v1alpha1.IdentitiesAny}}
}

// consumer builds what a consumer wants in Kong.
func (w world) consumer(c *v1alpha1.JwtConsumer) (desired.Set, error) {
	gateway := c.Spec.GatewayRef.Name
	in := desired.ConsumerInput{Consumer: c, Configs: w.configs(c.Namespace, c.Spec.Plugins), Kong: w.capabilities(gateway)}
	for i, spec := range c.Spec.Credentials {
		if c.Spec.Revoked {
			continue
		}
		wanted, err := w.credential(c, spec, fmt.Sprintf("spec.credentials[%d]", i))
		if err != nil {
			return desired.Set{}, err
		}
		if wanted != nil {
			in.Credentials = append(in.Credentials, *wanted)
		}
	}
	policy := w.policy(gateway)
	policy.MinSecretBytes = 0 // of material that is not looked at
	if err := in.Unsupported(gateway); err != nil {
		return desired.Set{}, err
	}
	return desired.BuildConsumer(desired.Scope{Gateway: gateway}, policy, in)
}

// capabilities are what a gateway's Kong takes, as its status says; all, where it does not.
func (w world) capabilities(gateway string) kong.Capabilities {
	if g := w.gateways[gateway]; g != nil && g.Status.KongVersion != "" {
		return desired.CapabilitiesOf(g, "")
	}
	return kong.Capabilities{}
}

// credential is one of a consumer: nil where its Secret is not there. Where the Secret is not of the files, its
// material stands for where it comes from: of a credential that keeps its source, nothing changes.
func (w world) credential(c *v1alpha1.JwtConsumer, spec v1alpha1.Credential, field string) (*desired.Credential, error) {
	wanted := &desired.Credential{Field: field, Part: desired.CredentialPart(credential.Slot{Credential: spec.Name, Number: 0}), TenantKey: spec.Key != ""}
	m := credential.Material{Key: material.Key(c, spec), Algorithm: spec.Algorithm}
	source := ""
	switch {
	case spec.SecretRef != nil:
		if content, ofFiles := w.secrets[c.Namespace+"/"+spec.SecretRef.Name]; ofFiles {
			return w.given(wanted, spec, m.Key, content)
		}
		source = "Secret " + spec.SecretRef.Name
		if keys := spec.SecretRef.DataKeys; keys != nil {
			source += fmt.Sprintf(" %+v", *keys)
			if keys.Key != "" {
				m.Key = "(key " + keys.Key + " of Secret " + spec.SecretRef.Name + ")"
			}
		}
	case spec.JWKS != nil:
		source, m.Key = spec.JWKS.Address(), "(keys of "+spec.JWKS.Address()+")"
	case spec.Generate != nil:
		source = fmt.Sprintf("generated %+v", credential.NewRecipe(spec.Algorithm, *spec.Generate))
		if w.remakes(c, spec) {
			wanted.Part, m.Key = desired.CredentialPart(credential.Slot{Credential: spec.Name, Number: 1}), "(a new key of "+spec.Name+")"
		}
	}
	if m.Algorithm == "" {
		m.Algorithm = "HS256"
	}
	m.Secret = credential.Conceal(source)
	if credential.FamilyOf(m.Algorithm) != credential.HMAC {
		m.PublicKeyPEM = source
	}
	wanted.Material = m
	return wanted, nil
}

// given is a credential from a Secret of the files.
func (w world) given(wanted *desired.Credential, spec v1alpha1.Credential, key string, content map[string][]byte) (*desired.Credential, error) {
	if content == nil {
		return nil, nil
	}
	m, err := credential.FromSecret(wanted.Field, spec, key, content)
	if err != nil {
		return nil, err
	}
	wanted.Material, wanted.TenantKey = m, spec.Key != "" || spec.SecretRef.DataKeys != nil && spec.SecretRef.DataKeys.Key != ""
	return wanted, nil
}

// remakes says whether a generated credential is to be made in another way than before: then it is rotated, and has a
// key of its own.
func (w world) remakes(c *v1alpha1.JwtConsumer, spec v1alpha1.Credential) bool {
	if w.former == nil || spec.Key != "" || w.former.consumers[c.Namespace+"/"+c.Name] == nil {
		return false
	}
	return slices.ContainsFunc(w.former.consumers[c.Namespace+"/"+c.Name].Spec.Credentials, func(former v1alpha1.Credential) bool {
		return former.Name == spec.Name && former.Generate != nil &&
			credential.NewRecipe(former.Algorithm, *former.Generate) != credential.NewRecipe(spec.Algorithm, *spec.Generate)
	})
}

// service builds what a service wants in Kong.
func (w world) service(s *v1alpha1.JwtProtectedService) (desired.Set, error) {
	gateway := s.Spec.GatewayRef.Name
	policy := w.policy(gateway)
	if limit := s.Spec.RateLimit; w.gateways[gateway] == nil && limit != nil && limit.Redis != "" {
		policy.Redis = []v1alpha1.RedisServer{{Name: limit.Redis, Host: limit.Redis + " of KongGateway " + gateway}}
	}
	in := desired.ServiceInput{Service: s, Kong: w.capabilities(gateway), RedisPassword: w.redisPassword(policy.RedisOf(s))}
	plugins := make([]v1alpha1.PluginSpec, 0, len(s.Spec.Plugins))
	for _, p := range s.Spec.Plugins {
		plugins = append(plugins, p.PluginSpec)
	}
	in.Configs = w.configs(s.Namespace, plugins)
	if s.Spec.Upstream != nil && s.Spec.Upstream.ServiceRef != nil {
		// The Service itself is taken to be as the reference says.
		in.Upstream = &corev1.Service{}
		in.Upstream.Spec.Ports = []corev1.ServicePort{{Port: s.Spec.Upstream.ServiceRef.Port}}
	}
	var matched []v1alpha1.JwtConsumer
	for _, c := range w.consumers {
		if named, err := desired.NamesConsumer(s, c); err == nil && named && c.Spec.GatewayRef.Name == gateway {
			matched = append(matched, *c)
		}
	}
	in.Selected, _ = desired.Select(matched) // the operator says that it is too many
	return desired.BuildService(desired.Scope{Gateway: gateway}, policy, in)
}

func (w world) redisPassword(server *v1alpha1.RedisServer) string {
	if server == nil || server.PasswordSecretRef == nil {
		return ""
	}
	ref := server.PasswordSecretRef
	if value, found := w.secrets[ref.Namespace+"/"+ref.Name][ref.Key]; found {
		return string(value)
	}
	return "key " + ref.Key + " of Secret " + ref.Name
}

// configs are the content of configFrom; of a Secret that is not of the files, where it is stands for it.
func (w world) configs(namespace string, plugins []v1alpha1.PluginSpec) desired.Configs {
	all := desired.Configs{}
	for _, p := range plugins {
		for _, from := range p.ConfigFrom {
			content, found := w.secrets[namespace+"/"+from.SecretRef.Name][from.SecretRef.Key]
			if !found {
				var err error
				content, err = json.Marshal(map[string]string{"configFrom " + from.SecretRef.Name + "/" + from.SecretRef.Key: "not looked at"})
				if err != nil { // a map of texts always encodes
					continue
				}
			}
			all[p.Name] = append(all[p.Name], content)
		}
	}
	return all
}
