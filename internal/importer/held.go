package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// faults are what the API server would refuse a resource for; else what the operator would refuse, whatever the policy
// of its gateway allows.
func faults(resource v1alpha1.Resource) []schema.Fault {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(resource)
	if err != nil {
		return []schema.Fault{{Field: "spec", Message: "it cannot be written"}}
	}
	found, err := schema.Check(context.Background(), resource.KindName(), fields)
	if err != nil {
		return []schema.Fault{{Field: "spec", Message: err.Error()}}
	}
	if len(found) == 0 {
		return refusals(resource, everywhere)
	}
	return found
}

// everywhere opens all hosts.
var everywhere = v1alpha1.UpstreamPolicy{Allow: []v1alpha1.AllowedUpstream{{
	CIDRs: []string{"0.0.0.0/0", "::/0"}, Hosts: []string{"*"},
}}}

// refusals are what the operator refuses of a resource on a gateway that allows all that can be allowed, but for
// upstreams.
func refusals(resource v1alpha1.Resource, upstreams v1alpha1.UpstreamPolicy) (all []schema.Fault) {
	policy := desired.Policy{GatewayPolicy: v1alpha1.GatewayPolicy{
		Identities: v1alpha1.IdentitiesAny, RegularExpressions: true, Upstreams: upstreams,
	}}
	var err error
	switch r := resource.DeepCopyObject().(type) {
	case *v1alpha1.JwtConsumer:
		for _, p := range r.Spec.Plugins {
			policy.ConsumerPlugins = append(policy.ConsumerPlugins, p.Plugin)
		}
		policy.Plugins = policy.ConsumerPlugins
		in := desired.ConsumerInput{Consumer: r}
		for i, spec := range r.Spec.Credentials {
			in.Credentials = append(in.Credentials, desired.Credential{
				Field: fmt.Sprintf("spec.credentials[%d]", i), Part: desired.CredentialPart(credential.Slot{Credential: spec.Name}),
				Material: credential.Material{Key: spec.Key, Algorithm: spec.Algorithm},
			})
		}
		_, err = desired.BuildConsumer(desired.Scope{}, policy, in)
	case *v1alpha1.JwtProtectedService:
		for _, p := range r.Spec.Plugins {
			policy.Plugins = append(policy.Plugins, p.Plugin)
		}
		if limit := r.Spec.RateLimit; limit != nil && limit.Redis != "" {
			policy.Redis = []v1alpha1.RedisServer{{Name: limit.Redis, Host: "redis.example.com"}}
		}
		if upstream := r.Spec.Upstream; upstream != nil && upstream.ServiceRef != nil {
			// Whether it is there is for the cluster to say.
			upstream.ServiceRef, upstream.URL = nil, "http://example.com"
		}
		_, err = desired.BuildService(desired.Scope{}, policy, desired.ServiceInput{Service: r})
	}
	for _, stalled := range status.AllStalled(err) {
		where, why, _ := strings.Cut(stalled.Message, ": ")
		all = append(all, schema.Fault{Field: where, Message: strings.Replace(why, " (policy of KongGateway )", "", 1)})
	}
	return all
}

// element is a list in a spec, and the number of one of its elements.
var element = regexp.MustCompile(`^spec\.(credentials|groups|plugins|tags)\[(\d+)\]`)

// elementsOf are the numbers of the elements that have faults, by list, each with the reason; whole is the first
// fault that no element has.
func elementsOf(found []schema.Fault) (elements map[string]map[int]string, whole string) {
	elements = map[string]map[int]string{}
	for _, fault := range found {
		match := element.FindStringSubmatch(fault.Field)
		if match == nil {
			if whole == "" {
				whole = fault.String()
			}
			continue
		}
		if elements[match[1]] == nil {
			elements[match[1]] = map[int]string{}
		}
		number, _ := strconv.Atoi(match[2]) // it is digits
		elements[match[1]][number] = fault.String()
	}
	return elements, whole
}

// without is a list without the elements that have faults.
func without[T any](list []T, refused map[int]string, leave func(element T, why string)) []T {
	var kept []T
	for i, e := range list {
		why, is := refused[i]
		if !is {
			kept = append(kept, e)
			continue
		}
		leave(e, why)
	}
	return kept
}

// holdConsumer keeps of a consumer what the API server takes; false where it takes nothing of it. Each round leaves
// something out.
func (m *importing) holdConsumer(c *v1alpha1.JwtConsumer) bool {
	what := "consumer " + c.Spec.Username
	if c.Spec.Username == "" {
		what = "consumer " + m.options.Namespace + "." + c.Name
	}
	for {
		elements, whole := elementsOf(faults(c))
		switch {
		case len(elements) == 0 && whole == "":
			for _, p := range c.Spec.Plugins {
				m.allow(p.Plugin, c.Name)
			}
			return true
		case len(elements) == 0:
			m.leave(what, "no JwtConsumer can be it: %s", whole)
			m.dropSecrets(c.Spec.Credentials)
			return false
		}
		c.Spec.Credentials = without(c.Spec.Credentials, elements["credentials"], func(e v1alpha1.Credential, why string) {
			m.leave("jwt credential "+e.Key, "of %s: no JwtConsumer can have it: %s", what, why)
			m.dropSecrets([]v1alpha1.Credential{e})
		})
		c.Spec.Groups = without(c.Spec.Groups, elements["groups"], func(group, why string) {
			m.leave("acl group "+group, "of %s: no JwtConsumer can be in it: %s", what, why)
		})
		c.Spec.Plugins = without(c.Spec.Plugins, elements["plugins"], func(p v1alpha1.PluginSpec, why string) {
			m.leave("plugin "+p.Plugin, "on %s: no JwtConsumer can carry it: %s", what, why)
		})
		c.Spec.Tags = without(c.Spec.Tags, elements["tags"], func(tag v1alpha1.Tag, why string) {
			m.leave("tag "+string(tag), "of %s: %s", what, why)
		})
	}
}

// dropSecrets takes back the Secrets of credentials.
func (m *importing) dropSecrets(credentials []v1alpha1.Credential) {
	for _, c := range credentials {
		if c.SecretRef == nil {
			continue
		}
		m.forgetSecret(c.SecretRef.Name)
	}
}

// holdService keeps of a service what the API server takes; false where it takes nothing of it. What has a field of
// its own and is refused there is tried as a plugin, and the service and its routes are left as they are where no
// field says them.
func (m *importing) holdService(s *v1alpha1.JwtProtectedService, name string) bool {
	for {
		elements, whole := elementsOf(faults(s))
		switch {
		case len(elements) == 0 && whole == "":
			m.allowAll(s)
			return true
		case len(elements) > 0:
			s.Spec.Plugins = without(s.Spec.Plugins, elements["plugins"], func(p v1alpha1.ServicePlugin, why string) {
				m.leave("plugin "+p.Plugin, "on service %s: no JwtProtectedService can have it: %s", name, why)
			})
			s.Spec.Tags = without(s.Spec.Tags, elements["tags"], func(tag v1alpha1.Tag, why string) {
				m.leave("tag "+string(tag), "of service %s: %s", name, why)
			})
		case strings.HasPrefix(whole, "spec.access") && s.Spec.Access != nil:
			s.Spec.Plugins = append(s.Spec.Plugins, asPlugin("acl", pluginconfig.EncodeACL(*s.Spec.Access)))
			s.Spec.Access = nil
		case strings.HasPrefix(whole, "spec.rateLimit") && s.Spec.RateLimit != nil:
			s.Spec.RateLimit = nil
			m.leave("plugin rate-limiting", "on service %s: it stays as it is, and is nobody's: %s", name, whole)
		case s.Spec.AttachTo == nil && !strings.HasPrefix(whole, "spec.jwt"):
			m.attach(s, name, whole)
		default:
			m.leave("service "+name, "no JwtProtectedService can be it: %s", whole)
			return false
		}
	}
}

// allowAll says of what a service has now what its gateway has to allow.
func (m *importing) allowAll(s *v1alpha1.JwtProtectedService) {
	for _, p := range s.Spec.Plugins {
		m.allow(p.Plugin, s.Name)
	}
	if limit := s.Spec.RateLimit; limit != nil && limit.Redis != "" {
		m.leave("plugin rate-limiting on "+s.Name,
			"it is imported; list the Redis on %s in spec.policy.redis of the KongGateway, as %s", m.redis[limit.Redis], limit.Redis)
	}
}

// stays says of a service that its plugins alone are taken over.
func (m *importing) stays(what, why string) {
	m.leave(what, "the service and its routes stay as they are, and are nobody's: %s. Its plugins are taken over",
		strings.TrimSuffix(why, "."))
}

// attach makes a service one that is attached to what there is: its plugins are taken over, the rest is left.
func (m *importing) attach(s *v1alpha1.JwtProtectedService, name, why string) {
	m.stays("service "+name, why)
	s.Spec.Upstream, s.Spec.Routes, s.Spec.ServiceName = nil, nil, ""
	s.Spec.AttachTo = &v1alpha1.AttachTo{ServiceName: name}
	s.Spec.Plugins = slices.DeleteFunc(s.Spec.Plugins, func(p v1alpha1.ServicePlugin) bool {
		if p.Route != "" {
			m.leave("plugin "+p.Plugin, "it is on route %s, which is nobody's", p.Route)
		}
		return p.Route != ""
	})
}

func asPlugin(name string, config map[string]any) v1alpha1.ServicePlugin {
	var p v1alpha1.ServicePlugin
	p.Name, p.Plugin = name, name
	if raw, err := json.Marshal(config); err == nil { // texts, numbers and lists always encode
		p.Config = &apiextensionsv1.JSON{Raw: raw}
	}
	return p
}

// variable is decK's placeholder for an environment variable; its text is no value.
var variable = regexp.MustCompile(`\$\{\{\s*env\s+"?([^"}\s]*)"?\s*\}\}`)

// variables are the names of those that a value holds, at any depth.
func variables(value any) []string {
	var names []string
	switch v := value.(type) {
	case string:
		for _, match := range variable.FindAllStringSubmatch(v, -1) {
			names = append(names, match[1])
		}
		if names == nil && strings.Contains(v, "${{") {
			names = append(names, "that it names")
		}
	case map[string]any:
		for _, inner := range v {
			names = append(names, variables(inner)...)
		}
	case []any:
		for _, inner := range v {
			names = append(names, variables(inner)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isPlaceholder says why a text is no material; empty where it may be.
func isPlaceholder(text string) string {
	switch names := variables(text); {
	case text == "":
		return "the file has none"
	case len(names) > 0:
		return fmt.Sprintf("its value is in the environment variable %s of decK", names[0])
	case strings.Contains(text, "{vault://"):
		return "its value is in a vault of Kong's"
	}
	return ""
}
