package desired

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// ConsumerInput is what a JwtConsumer's entities are made of.
type ConsumerInput struct {
	Consumer *v1alpha1.JwtConsumer
	// Credentials that shall be in Kong now, in the order of the spec. None where the consumer is revoked.
	Credentials []Credential
	// Configs of spec.plugins. Unread says why they cannot be read: the plugins stay as they are then.
	Configs Configs
	Unread  error
	// Kong is what the gateway takes; the zero value is the newest. What it does not take is left out, and said by
	// Unsupported.
	Kong kong.Capabilities
}

// Credential is one credential that shall be in Kong.
type Credential struct {
	// Field is where in the spec it comes from, for messages.
	Field string
	// Part tells it apart from the consumer's other credentials, generations included.
	Part string
	// TenantKey says that the tenant chose the key, so that policy.identities bounds it.
	TenantKey bool
	// Held says that Kong holds its key for it now, and Pending that nobody uses it yet: who has a key keeps it
	// where two want it.
	Held, Pending bool
	Material      credential.Material
}

// Parts of a JwtConsumer.
const partConsumer = "consumer"

// CredentialPart is the part of a slot of a credential: its revisions with other keys than the first have slots, and
// entities in Kong, of their own. No name has a dot in it.
func CredentialPart(slot credential.Slot) string {
	part := "credential:" + slot.Credential
	if slot.Number != 0 {
		part += "." + strconv.FormatInt(slot.Number, 10)
	}
	return part
}

// CredentialSlot reads what CredentialPart gives; ok is false for a key of an issuer's set, and for what is no
// credential.
func CredentialSlot(part string) (slot credential.Slot, ok bool) {
	text, ok := strings.CutPrefix(part, "credential:")
	if !ok || strings.Contains(text, ":") {
		return credential.Slot{}, false
	}
	name, number, numbered := strings.Cut(text, ".")
	slot.Credential = name
	if numbered {
		var err error
		slot.Number, err = strconv.ParseInt(number, 10, 64)
		ok = err == nil && slot.Number > 0
	}
	return slot, ok
}

// GroupPart is the part of a group that a consumer is in.
func GroupPart(group string) string { return "group:" + escapePart(group) }

// CredentialOf gives the name of the credential in the spec that a part is of: a slot of it, or a key of its issuer's
// set.
func CredentialOf(part string) (name string, ok bool) {
	name, ok = strings.CutPrefix(part, "credential:")
	if end := strings.IndexAny(name, ".:"); end >= 0 {
		name = name[:end]
	}
	return name, ok
}

// MaterialOf reads the material out of a credential as Kong shows it.
func MaterialOf(e kong.Entity) credential.Material {
	material := credential.Material{Key: e.Fields.Text("key"), Algorithm: v1alpha1.Algorithm(e.Fields.Text("algorithm"))}
	if credential.FamilyOf(material.Algorithm) == credential.HMAC {
		material.Secret = credential.Conceal(e.Fields.Text("secret"))
	} else {
		material.PublicKeyPEM = e.Fields.Text("rsa_public_key")
	}
	return material
}

// ConsumerOwner is the owner that a JwtConsumer is.
func ConsumerOwner(namespace, name string) Owner {
	return Owner{Kind: v1alpha1.KindJwtConsumer, Namespace: namespace, Name: name}
}

// Username of a consumer in Kong.
func Username(consumer *v1alpha1.JwtConsumer) string {
	if consumer.Spec.Username != "" {
		return consumer.Spec.Username
	}
	return consumer.Namespace + "." + consumer.Name
}

// ConsumerID of a consumer in Kong.
func ConsumerID(scope Scope, namespace, name string) string {
	return scope.ID(kong.KindConsumer, ConsumerOwner(namespace, name), partConsumer)
}

// CredentialID of a part of a consumer in Kong.
func CredentialID(scope Scope, owner Owner, part string) string {
	return scope.ID(kong.KindJWT, owner, part)
}

// BuildConsumer says which Kong entities a JwtConsumer wants: the consumer, its credentials, its groups, its plugins.
// The error has a *status.StalledError for each thing that policy forbids. The set is all the rest, and keeps what the
// error is about as Kong has it. A tag that is forbidden is left out.
func BuildConsumer(scope Scope, policy Policy, in ConsumerInput) (Set, error) {
	consumer := in.Consumer
	b := builder{scope: scope, policy: policy, owner: ConsumerOwner(consumer.Namespace, consumer.Name)}
	problem := b.takeTags(consumer.Spec.Tags)
	id := ConsumerID(scope, consumer.Namespace, consumer.Name)
	var keep []string
	username := b.policy.checkUsername(consumer)
	if refused := errors.Join(username, b.policy.checkCustomID(consumer.Spec.CustomID)); refused == nil {
		fields := kong.Fields{"username": Username(consumer)}
		setText(fields, "custom_id", consumer.Spec.CustomID)
		b.add(kong.KindConsumer, id, "", partConsumer, fields)
	} else {
		problem = errors.Join(problem, refused)
		keep = append(keep, id)
	}
	problem = errors.Join(problem, b.policy.checkRetain(consumer.Spec.DeletionPolicy))
	for _, credential := range in.Credentials {
		if in.unsupported(policy.Gateway, credential) != nil {
			continue
		}
		if username != nil && credential.keyIsOfUsername() && !credential.Held {
			// Its key would be another's, as the username is.
			keep = append(keep, CredentialID(scope, b.owner, credential.Part))
			continue
		}
		if err := b.addCredential(id, credential); err != nil {
			problem = errors.Join(problem, err)
			keep = append(keep, CredentialID(scope, b.owner, credential.Part))
		}
	}
	if in.Kong.HasPlugin("acl") {
		forbidden, err := b.forbiddenGroups(consumer)
		problem = errors.Join(problem, err)
		for _, group := range Groups(consumer) {
			if forbidden[group] {
				keep = append(keep, scope.ACLID(id, group))
				continue
			}
			b.add(kong.KindACL, scope.ACLID(id, group), id, GroupPart(group), kong.Fields{"group": group})
		}
	}
	problem = errors.Join(problem, in.Unread)
	for i, plugin := range consumer.Spec.Plugins {
		err := in.Unread
		if err == nil {
			err = b.addConsumerPlugin(path("spec.plugins[%d]", i), id, plugin, in)
			problem = errors.Join(problem, err)
		}
		if err != nil {
			keep = append(keep, scope.ID(kong.KindPlugin, b.owner, pluginPart(plugin.Name)))
		}
	}
	return Set{Owner: b.owner, Entities: b.entities, Keep: keep}, problem
}

func (b *builder) addConsumerPlugin(field, consumerID string, plugin v1alpha1.PluginSpec, in ConsumerInput) error {
	if err := b.policy.checkListed(field+".plugin", "policy.consumerPlugins", plugin.Plugin, b.policy.ConsumerPlugins); err != nil {
		return err
	}
	if !in.Kong.HasPlugin(plugin.Plugin) {
		return nil
	}
	fields, err := b.pluginFields(field, plugin, in.Configs[plugin.Name])
	if err != nil {
		return err
	}
	if err := checkConsumerAnswering(b.policy, field+".plugin", plugin.Plugin); err != nil {
		return err
	}
	fields["consumer"] = ref(consumerID)
	b.addPlugin(pluginPart(plugin.Name), fields)
	return nil
}

// DistinctKeys leaves out the credentials whose key another of the consumer has: Kong keeps one credential a key, and
// the schema sees neither default keys nor those in Secrets and key sets. Who holds the key in Kong keeps it, then
// who uses it already, then who comes first: what works does not stop for a mistake elsewhere. The error is a
// *status.StalledError that names the first that is left out.
func DistinctKeys(credentials []Credential) ([]Credential, error) {
	holders := map[string]int{}
	for i, c := range credentials {
		if holder, taken := holders[c.Material.Key]; !taken || c.precedes(credentials[holder]) {
			holders[c.Material.Key] = i
		}
	}
	var kept []Credential
	var clash error
	for i, c := range credentials {
		holder := holders[c.Material.Key]
		switch {
		case holder == i:
			kept = append(kept, c)
		case clash == nil:
			name, _ := CredentialOf(credentials[holder].Part)
			clash = status.Stalled(v1alpha1.ReasonConflict,
				"%s: Kong keeps one credential a key, and this key is taken (credential %s of this consumer). Change one of the keys.",
				c.Field, name)
		}
	}
	return kept, clash
}

// precedes says whether a credential has more of a right to its key than one that comes before it.
func (c Credential) precedes(other Credential) bool {
	if c.Held != other.Held {
		return c.Held
	}
	return !c.Pending && other.Pending
}

// CheckConsumer says what in the spec of a JwtConsumer policy forbids, without its Secrets. The error is a
// *status.StalledError.
func CheckConsumer(policy Policy, consumer *v1alpha1.JwtConsumer) error {
	b := builder{policy: policy, owner: ConsumerOwner(consumer.Namespace, consumer.Name)}
	if err := b.checkConsumer(consumer); err != nil {
		return err
	}
	for i, c := range consumer.Spec.Credentials {
		if err := policy.checkIdentity(path("spec.credentials[%d].key", i), consumer.Namespace, c.Key); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) checkConsumer(consumer *v1alpha1.JwtConsumer) error {
	spec := consumer.Spec
	_, groups := b.forbiddenGroups(consumer)
	for _, err := range []error{
		b.policy.checkUsername(consumer), b.policy.checkCustomID(spec.CustomID), b.policy.checkRetain(spec.DeletionPolicy), groups,
		b.takeTags(spec.Tags),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// forbiddenGroups are the groups that policy does not let the consumer be in. The error is about the first.
func (b *builder) forbiddenGroups(consumer *v1alpha1.JwtConsumer) (forbidden map[string]bool, first error) {
	forbidden = map[string]bool{}
	for i, group := range consumer.Spec.Groups {
		field := path("spec.groups[%d]", i)
		err := b.policy.checkVaultReferences(field, group)
		if err == nil {
			err = b.policy.checkGroup(field, consumer.Namespace, group)
		}
		if err != nil {
			forbidden[group] = true
			if first == nil {
				first = err
			}
		}
	}
	return forbidden, first
}

func (p Policy) checkUsername(consumer *v1alpha1.JwtConsumer) error {
	const field = "spec.username"
	if err := p.checkVaultReferences(field, consumer.Spec.Username); err != nil {
		return err
	}
	return p.checkIdentity(field, consumer.Namespace, consumer.Spec.Username)
}

func (p Policy) checkCustomID(id string) error {
	if err := p.checkVaultReferences("spec.customID", id); err != nil {
		return err
	}
	if id != "" && p.Identities != v1alpha1.IdentitiesAny {
		return p.violation("spec.customID", "it may be set only where policy.identities is Any", "Remove it")
	}
	return nil
}

// keyIsOfUsername says whether the operator made the key of the consumer's username.
func (c Credential) keyIsOfUsername() bool {
	_, isSlot := CredentialSlot(c.Part)
	return isSlot && !c.TenantKey
}

func (b *builder) addCredential(consumerID string, c Credential) error {
	material := c.Material
	if c.TenantKey && !b.policy.mayClaim(b.owner.Namespace, material.Key) {
		// The key may come from a Secret: it is not quoted, whatever it is.
		prefix := b.owner.Namespace + "."
		return b.policy.violation(c.Field+".key", fmt.Sprintf("the key has to begin with %q", prefix),
			"Choose such a key, in the spec or in the Secret that dataKeys.key reads it from")
	}
	id := CredentialID(b.scope, b.owner, c.Part)
	fields := kong.Fields{"key": material.Key, "algorithm": string(material.Algorithm)}
	if material.PublicKeyPEM == "" {
		if err := b.policy.checkSecretLength(c.Field, len(material.Secret.Reveal())); err != nil {
			return err
		}
		fields["secret"] = material.Secret.Reveal()
	} else {
		fields["rsa_public_key"] = material.PublicKeyPEM
		// Kong gives every credential a secret and never uses this one. Left out, it would make another at
		// each write.
		fields["secret"] = b.scope.ID(kong.KindJWT, b.owner, c.Part+" unused secret")
	}
	for name, value := range fields {
		if err := b.policy.checkVaultReferences(c.Field+" "+name, value); err != nil {
			return err
		}
	}
	b.add(kong.KindJWT, id, consumerID, c.Part, fields)
	return nil
}

// ConsumerUniqueKeys lists the unique keys of a JwtConsumer's spec, without those that its Secrets have: to find
// older rivals.
func ConsumerUniqueKeys(consumer *v1alpha1.JwtConsumer) []UniqueKey {
	keys := []UniqueKey{{Kind: UniqueUsername, Value: Username(consumer)}}
	if consumer.Spec.CustomID != "" {
		keys = append(keys, UniqueKey{Kind: UniqueCustomID, Value: consumer.Spec.CustomID})
	}
	for _, c := range consumer.Spec.Credentials {
		if c.Key != "" {
			keys = append(keys, UniqueKey{Kind: UniqueCredentialKey, Value: c.Key})
		}
	}
	return keys
}

// ConsumerClaims are the unique keys of a JwtConsumer that policy lets it have: all or none.
func ConsumerClaims(policy Policy, consumer *v1alpha1.JwtConsumer) []UniqueKey {
	if CheckConsumer(policy, consumer) != nil {
		return nil
	}
	return ConsumerUniqueKeys(consumer)
}
