package kicsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// allConsumers translates KongConsumers. Who holds a key that another credential has too is left out, whole.
func (t *translation) allConsumers() {
	held := t.duplicateKeys()
	for _, o := range t.of("KongConsumer") {
		var conflicts bool
		for _, secret := range t.credentials(o) {
			if held[secret.GetNamespace()+"/"+secret.GetName()] {
				conflicts = true
				t.fail(secret, "Secret has conflicting credential: "+keyConflict)
			}
		}
		if conflicts {
			t.fail(o, "Consumer has conflicting credentials: "+keyConflict)
		}
		if consumer := t.consumer(o); !conflicts {
			t.consumers = append(t.consumers, consumer)
			t.name(o, o.GetNamespace(), use{consumer: o.GetNamespace() + "/" + o.GetName()})
		}
	}
}

const keyConflict = `conflict detected in "jwt-auth on 'key'" index`

// credentials are the Secrets that a consumer names and that are there.
func (s snapshot) credentials(o *Object) []*Object {
	var found []*Object
	for _, name := range textsAt(o.Object, "credentials") {
		if secret := s.get("Secret", o.GetNamespace(), name); secret != nil {
			found = append(found, secret)
		}
	}
	return found
}

// duplicateKeys are the Secrets whose jwt key more than one credential of any consumer has.
func (t *translation) duplicateKeys() map[string]bool {
	holders := map[string][]string{}
	for _, o := range t.of("KongConsumer") {
		for _, secret := range t.credentials(o) {
			if key := secretData(secret)["key"]; secret.GetLabels()[labelCredential] == "jwt" && key != "" {
				holders[key] = append(holders[key], secret.GetNamespace()+"/"+secret.GetName())
			}
		}
	}
	found := map[string]bool{}
	for _, secrets := range holders {
		for _, name := range secrets {
			if len(secrets) > 1 {
				found[name] = true
			}
		}
	}
	return found
}

// consumer makes a consumer with its credentials. A credential that cannot be is left out, and said.
func (t *translation) consumer(o *Object) fields {
	username, customID := textAt(o.Object, "username"), textAt(o.Object, "custom_id")
	consumer := fields{"tags": tagsOf(o)}
	if username != "" {
		consumer["username"], consumer["id"] = username, idOf("consumers", username)
	}
	if customID != "" {
		consumer["custom_id"] = customID
	}
	var jwts, groups []any
	for _, name := range textsAt(o.Object, "credentials") {
		secret := t.get("Secret", o.GetNamespace(), name)
		if secret == nil {
			t.fail(o, fmt.Sprintf("credential %q failure: Failed to fetch secret: Secret %s/%s not found", name,
				o.GetNamespace(), name))
			continue
		}
		credential, wrong := credentialOf(secret)
		if wrong != "" {
			t.fail(o, fmt.Sprintf("credential %q failure: failed to provision credential: %s", name, wrong))
			continue
		}
		if secret.GetLabels()[labelCredential] == "acl" {
			groups = append(groups, credential)
		} else {
			jwts = append(jwts, credential)
		}
	}
	if jwts != nil {
		consumer["jwt_secrets"] = jwts
	}
	if groups != nil {
		consumer["acls"] = groups
	}
	return consumer
}

// credentialOf makes a jwt credential or a group of a Secret.
func credentialOf(o *Object) (credential fields, wrong string) {
	data := secretData(o)
	switch kind := o.GetLabels()[labelCredential]; kind {
	case "acl":
		if data["group"] == "" {
			return nil, "acl is invalid: no group"
		}
		return fields{"group": data["group"], "tags": tagsOf(o)}, ""
	case "jwt":
		if data["key"] == "" {
			return nil, "jwt-auth for key is invalid: no key"
		}
		credential = fields{"tags": tagsOf(o)}
		for _, name := range []string{"algorithm", "key", "secret", "rsa_public_key"} {
			if data[name] != "" {
				credential[name] = data[name]
			}
		}
		return credential, ""
	default:
		return nil, fmt.Sprintf("unknown credential type: %q", kind)
	}
}

// use is an entity that a plugin is put on.
type use struct{ service, route, consumer string }

// pluginUse is where a plugin's object is put.
type pluginUse struct{ services, routes, consumers []string }

// name puts the plugins that an object's annotation names on an entity.
func (t *translation) name(o *Object, namespace string, on use) {
	for _, name := range split(o.GetAnnotations()[annotationPlugins]) {
		if other, rest, qualified := strings.Cut(name, ":"); qualified {
			if t.granted(o, other) {
				t.attach(o, other, rest, on)
			} else {
				t.fail(o, fmt.Sprintf("no grant found to referenced %q plugin in the requested remote KongPlugin bind", name))
			}
			continue
		}
		t.attach(o, namespace, name, on)
	}
}

// granted says whether a ReferenceGrant lets an object name KongPlugins of another namespace.
func (t *translation) granted(o *Object, namespace string) bool {
	for _, grant := range t.of("ReferenceGrant") {
		if grant.GetNamespace() != namespace {
			continue
		}
		for _, from := range listAt(grant.Object, "spec", "from") {
			if textAt(from, "kind") == o.GetKind() && textAt(from, "namespace") == o.GetNamespace() {
				return true
			}
		}
	}
	return false
}

// attach puts one plugin on an entity. One that is not there is said, and the entity goes without it.
func (t *translation) attach(o *Object, namespace, name string, on use) {
	plugin := t.plugin(namespace, name)
	if plugin == nil {
		t.fail(o, fmt.Sprintf("referenced KongPlugin or KongClusterPlugin %q does not exist", name))
		return
	}
	at := t.uses[referenceTo(plugin)]
	if at == nil {
		at = &pluginUse{}
		t.uses[referenceTo(plugin)] = at
	}
	add := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	add(&at.services, on.service)
	add(&at.routes, on.route)
	add(&at.consumers, on.consumer)
}

// consumerRef names a consumer of the configuration by its object.
func (t *translation) consumerRef(name string) any {
	namespace, object, _ := strings.Cut(name, "/")
	o := t.get("KongConsumer", namespace, object)
	if username := textAt(o.Object, "username"); username != "" {
		return reference(idOf("consumers", username))
	}
	return textAt(o.Object, "custom_id")
}

// on are the entities of a plugin, one set of references for each that Kong gets.
func (t *translation) on(at *pluginUse) []fields {
	var carriers []fields
	for _, service := range at.services {
		carriers = append(carriers, fields{"service": reference(idOf("services", service))})
	}
	for _, route := range at.routes {
		carriers = append(carriers, fields{"route": reference(idOf("routes", route))})
	}
	if len(at.consumers) == 0 {
		return carriers
	}
	if len(carriers) == 0 {
		carriers = []fields{{}}
	}
	var both []fields
	for _, consumer := range at.consumers {
		for _, carrier := range carriers {
			one := maps.Clone(carrier)
			one["consumer"] = t.consumerRef(consumer)
			both = append(both, one)
		}
	}
	return both
}
