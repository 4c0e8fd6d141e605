package importer

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// consumer makes a JwtConsumer, and the Secrets of its credentials.
func (m *importing) consumer(e kong.Entity) {
	username := e.Fields.Text("username")
	credentials, groups, plugins := m.below(e.ID, kong.KindJWT), m.below(e.ID, kong.KindACL), m.below(e.ID, kong.KindPlugin)
	if username == "" {
		m.left(e, "it has a custom_id and no username, and a JwtConsumer always has one")
		return
	}
	c := &v1alpha1.JwtConsumer{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindJwtConsumer},
		ObjectMeta: m.meta(m.resourceName(v1alpha1.KindJwtConsumer, username)),
	}
	c.Spec.GatewayRef.Name, c.Spec.Username, c.Spec.CustomID, c.Spec.Tags = m.options.Gateway, username, e.Fields.Text("custom_id"), tags(e)
	if object := e.Fields.Text(kongConsumerField); m.options.Keep && object != "" {
		c.Annotations = map[string]string{v1alpha1.AnnotationTakeOver: object}
	}
	for _, child := range credentials {
		m.credential(c, child)
	}
	if username == m.options.Namespace+"."+c.Name {
		c.Spec.Username = "" // the default
	}
	for _, child := range groups {
		group := child.Fields.Text("group")
		if strings.HasPrefix(group, desired.ReservedGroupPrefix) || strings.Contains(group, ",") {
			m.left(child, "a JwtConsumer takes no group with a comma in it, and none that begins with %s", desired.ReservedGroupPrefix)
			continue
		}
		c.Spec.Groups = append(c.Spec.Groups, group)
	}
	for _, child := range plugins {
		if !usual(child) {
			m.left(child, "on consumer %s: a JwtConsumer's plugins have no protocols of their own", username)
			continue
		}
		if plugin, ok := m.plugin(child, "", c.Name); ok {
			c.Spec.Plugins = append(c.Spec.Plugins, plugin.PluginSpec)
		}
	}
	m.sameTags(e, slices.Concat(credentials, groups, plugins)...)
	if m.holdConsumer(c) {
		m.result.Consumers = append(m.result.Consumers, c)
	}
}

// credential adds a credential with a Secret that holds its material.
func (m *importing) credential(c *v1alpha1.JwtConsumer, e kong.Entity) {
	algorithm, key := v1alpha1.Algorithm(e.Fields.Text("algorithm")), e.Fields.Text("key")
	if algorithm == "" {
		algorithm = "HS256"
	}
	first := "primary"
	if len(c.Spec.Credentials) > 0 {
		first = key
	}
	name := m.resourceName(c.Name+" credential", first)
	secret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: m.meta(m.resourceName("Secret", c.Name+"-"+name)),
		Type: corev1.SecretTypeOpaque, StringData: map[string]string{},
	}
	what := e.Kind.Singular() + " " + key
	switch {
	case !slices.Contains(credential.Algorithms(), algorithm):
		m.left(e, "algorithm %s is not known", algorithm)
		return
	case credential.FamilyOf(algorithm) == credential.HMAC:
		secret.StringData[credential.DataKeySecret] = e.Fields.Text("secret")
	case e.Fields.Text("rsa_public_key") == "":
		m.left(e, "it has no public key, so that Kong refuses every token of it")
		return
	default:
		secret.StringData[credential.DataKeyPublicKey] = e.Fields.Text("rsa_public_key")
	}
	spec := v1alpha1.Credential{
		Name: name, Algorithm: algorithm, Key: key, SecretRef: &v1alpha1.CredentialSecretReference{Name: secret.Name},
	}
	if why := unusable(spec, secret); why != "" {
		m.left(e, "of consumer %s: no JwtConsumer can have it: %s", c.Spec.Username, why)
		return
	}
	c.Spec.Credentials = append(c.Spec.Credentials, spec)
	m.secret(what, secret)
}

// unusable says why the operator would refuse the material of a credential; empty where it would not, or has none yet.
func unusable(spec v1alpha1.Credential, secret *corev1.Secret) string {
	data := map[string][]byte{}
	for name, value := range secret.StringData {
		if isPlaceholder(value) != "" {
			return ""
		}
		data[name] = []byte(value)
	}
	_, err := credential.FromSecret("", spec, spec.Key, data)
	if err == nil {
		return ""
	}
	_, why, _ := strings.Cut(err.Error(), ": ")
	return why
}

// secret keeps a Secret, or says that it has to be made by somebody else. What stands for a value and is none is
// written nowhere: it would become the material, for all who can read the file to sign with.
func (m *importing) secret(what string, secret *corev1.Secret) {
	for name, value := range secret.StringData {
		if why := isPlaceholder(value); why != "" {
			m.leave(what, "its material, %s: make Secret %s/%s with the key %s", why, secret.Namespace, secret.Name, name)
			return
		}
	}
	if m.options.PlainSecrets {
		m.result.Secrets = append(m.result.Secrets, secret)
		return
	}
	for name := range secret.StringData {
		m.leave(what, "its material: make Secret %s/%s with the key %s", secret.Namespace, secret.Name, name)
	}
}

// forgetSecret takes a Secret back, and what was said of it.
func (m *importing) forgetSecret(name string) {
	m.result.Secrets = slices.DeleteFunc(m.result.Secrets, func(s *corev1.Secret) bool { return s.Name == name })
	mark := "make Secret " + m.options.Namespace + "/" + name + " with the key "
	m.result.Left = slices.DeleteFunc(m.result.Left, func(l Left) bool { return strings.Contains(l.Why, mark) })
}
