package objects

import (
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Of gives the objects of a set of entities. kept are objects of before that stay as they are. names are those of
// objects that were taken over, by what the operator would call them. The error is a *status.StalledError for what a
// Kubernetes object cannot say.
func (s Settings) Of(set desired.Set, kept []Object, names map[Reference]string) ([]Object, error) {
	return s.of(set, kept, names, len(names) > 0)
}

// Beside gives the objects of a set as they are where the consumer is taken over: in the namespace of its owner, as
// the controller reads the Secrets of a KongConsumer in its namespace.
func (s Settings) Beside(set desired.Set) ([]Object, error) { return s.of(set, nil, nil, true) }

func (s Settings) of(set desired.Set, kept []Object, names map[Reference]string, beside bool) ([]Object, error) {
	b := builder{Settings: s, set: set, plugins: map[string][]string{}, names: names, vault: s.Namespace}
	if beside {
		b.vault = set.Owner.Namespace
	}
	for _, entity := range set.Entities {
		if entity.Kind == kong.KindPlugin {
			b.addPlugin(entity)
		}
	}
	b.keep(kept)
	for _, entity := range set.Entities {
		var err error
		switch entity.Kind {
		case kong.KindJWT:
			b.addCredential(entity)
		case kong.KindACL:
			b.addGroup(entity)
		case kong.KindService:
			err = b.addService(entity)
		case kong.KindRoute:
			err = b.addRoute(entity)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, entity := range set.Entities {
		if entity.Kind == kong.KindConsumer {
			b.addConsumer(entity)
		}
	}
	b.addAttachment()
	return b.objects, nil
}

// builder collects the objects of a set.
type builder struct {
	Settings
	set     desired.Set
	objects []Object
	// plugins are the names of those on an entity, by its id; credentials the names of the consumer's Secrets.
	plugins     map[string][]string
	credentials []string
	// names are those of objects that were taken over, by what they would be called.
	names map[Reference]string
	// vault is the namespace of KongConsumers and their Secrets: the operator's own, where no tenant can write
	// them, but for a KongConsumer that was taken over.
	vault string
}

// named gives an object that was taken over the name that it has.
func (b *builder) named(o Object) Object {
	if name, taken := b.names[o.Reference]; taken {
		o.StandsFor, o.Name = o.Name, name
	}
	return o
}

// keep adds objects that stay, and lists those that the consumer names.
func (b *builder) keep(kept []Object) {
	for _, o := range kept {
		if o.Entity == kong.KindJWT || o.Entity == kong.KindACL {
			b.credentials = append(b.credentials, o.Name)
		}
		b.objects = append(b.objects, o)
	}
}

// of makes an object of an entity.
func (b *builder) of(e kong.Entity, r Reference, content map[string]any) Object {
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	o := Object{Reference: r, Owner: b.set.Owner, Entity: e.Kind, Part: ownership.Part, ID: e.ID, Content: content}
	for _, key := range UniqueKeys(e) {
		o.Unique = append(o.Unique, b.Unique(key))
	}
	return o
}

// addCredential adds the Secret of a credential. Its name is another for another content.
func (b *builder) addCredential(e kong.Entity) {
	data := map[string]any{"algorithm": e.Fields.Text("algorithm"), "key": e.Fields.Text("key")}
	if strings.HasPrefix(e.Fields.Text("algorithm"), "HS") {
		data["secret"] = e.Fields.Text("secret")
	} else {
		data["rsa_public_key"] = e.Fields.Text("rsa_public_key")
	}
	b.addSecret(b.secret(e, "jwt", data), e)
}

func (b *builder) addGroup(e kong.Entity) {
	b.addSecret(b.secret(e, "acl", map[string]any{"group": e.Fields.Text("group")}), e)
}

func (b *builder) secret(e kong.Entity, kind string, data map[string]any) Object {
	content := []string{kind}
	for _, name := range []string{"algorithm", "key", "secret", "rsa_public_key", "group"} {
		text, _ := data[name].(string)
		content = append(content, text)
	}
	o := b.of(e, Reference{groupCore, kindSecret, b.vault, ""}, map[string]any{
		"type": "Opaque", "immutable": true, "stringData": data,
	})
	o.Name = b.contentName(b.set.Owner, append(content, o.Part)...)
	return b.named(o)
}

func (b *builder) addSecret(o Object, e kong.Entity) {
	kind := "jwt"
	if e.Kind == kong.KindACL {
		kind = "acl"
	}
	b.credentials = append(b.credentials, o.Name)
	b.objects = append(b.objects, b.finish(o, meta{
		labels: map[string]string{LabelCredential: kind, labelSecret: "true"}, tags: e.Fields.Tags(),
	}))
}

// addConsumer adds the KongConsumer, which names the Secrets.
func (b *builder) addConsumer(e kong.Entity) {
	slices.Sort(b.credentials)
	names := make([]any, 0, len(b.credentials))
	for _, name := range slices.Compact(b.credentials) {
		names = append(names, name)
	}
	content := map[string]any{"username": e.Fields.Text("username"), "credentials": names}
	if customID := e.Fields.Text("custom_id"); customID != "" {
		content["custom_id"] = customID
	}
	r := Reference{GroupKong, KindConsumer, b.vault, b.name(b.set.Owner, "consumer")}
	b.objects = append(b.objects, b.finish(b.named(b.of(e, r, content)), meta{
		annotations: b.annotations(e.ID), tags: e.Fields.Tags(),
	}))
}

// annotations are those of an object whose class is told by annotation, with the plugins on its entity.
func (b *builder) annotations(id string) map[string]string {
	names := b.plugins[id]
	slices.Sort(names)
	// Without plugins the annotation is there too: whoever adds some is seen.
	return map[string]string{AnnotationClass: b.Class, annotationPlugins: strings.Join(names, ",")}
}

// LabelBarrier is on the Secrets of a barrier, with the scope of its gateway.
const LabelBarrier = "kongjwt.dev/barrier"

// BarrierAlgorithm is that of a barrier's credential.
const BarrierAlgorithm = v1alpha1.Algorithm("ES256")

// BarrierSecret is the credential of a barrier: a public key, whose private key nobody has. Data planes are asked for
// its key, which is the custom_id of the KongConsumer that Barrier gives for the same nonce.
func (s Settings) BarrierSecret(nonce, publicKeyPEM string) Object {
	name := s.name(desired.GatewayOwner(s.Scope.Gateway), "barrier", nonce)
	return Object{
		Reference: Reference{groupCore, kindSecret, s.Namespace, name},
		Content: map[string]any{
			"apiVersion": groupCore, "kind": kindSecret, "type": "Opaque", "immutable": true,
			"stringData": map[string]any{
				"key": s.barrierID() + "." + nonce, "algorithm": string(BarrierAlgorithm), "rsa_public_key": publicKeyPEM,
			},
			"metadata": map[string]any{"name": name, "namespace": s.Namespace, "labels": map[string]any{
				labelManagedBy: v1alpha1.ManagedBy, LabelBarrier: s.ScopeLabel(), LabelCredential: "jwt", labelSecret: "true",
			}},
		},
	}
}

func (s Settings) barrierID() string { return "kongjwt-barrier." + s.ScopeLabel() }

// Barrier gives the KongConsumer whose content is another for each nonce; see internal/ingress. credential is the name
// of its Secret.
func (s Settings) Barrier(nonce, credential string) Object {
	owner := desired.GatewayOwner(s.Scope.Gateway)
	id := s.barrierID()
	return Object{
		Reference: Reference{GroupKong, KindConsumer, s.Namespace, s.name(owner, "barrier")},
		Owner:     owner,
		Content: map[string]any{
			"apiVersion": GroupKong, "kind": KindConsumer, "username": id, "custom_id": id + "." + nonce,
			"credentials": []any{credential},
			"metadata": map[string]any{
				"name": s.name(owner, "barrier"), "namespace": s.Namespace,
				"labels":      map[string]any{labelManagedBy: v1alpha1.ManagedBy},
				"annotations": map[string]any{AnnotationClass: s.Class, annotationTags: desired.TagManaged},
			},
		},
	}
}

// CredentialName is the name of a credential's Secret: another for another content.
func (s Settings) CredentialName(owner desired.Owner, e kong.Entity) string {
	b := builder{Settings: s, set: desired.Set{Owner: owner}}
	b.addCredential(e)
	return b.objects[0].Name
}
