// Package objects turns the entities that a resource wants into the Kubernetes objects that an ingress controller
// makes them of. It is pure: a set of entities in, objects out.
//
// A consumer is a KongConsumer with a Secret for each credential and each group; a credential whose content changes is
// another Secret, so that both can stand side by side. A service is a Service of type ExternalName, each route of it
// an Ingress, each plugin a KongClusterPlugin, named by a plain annotation: tenants cannot delete one, it outlives
// their namespaces, and the controller's fallback knows it as a dependency, so that a route goes when its plugin is
// refused.
package objects

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Versions of the API groups of objects.
const (
	groupCore    = "v1"
	groupIngress = "networking.k8s.io/v1"
	// GroupKong is that of the ingress controller's own kinds.
	GroupKong = "configuration.konghq.com/v1"
)

// Kinds of the ingress controller that are read and written.
const (
	KindConsumer      = "KongConsumer"
	KindPlugin        = "KongPlugin"
	KindClusterPlugin = "KongClusterPlugin"
	kindSecret        = "Secret"
	kindService       = "Service"
	kindIngress       = "Ingress"
	kindHTTPRoute     = "HTTPRoute"
)

// Annotations and labels that the ingress controller reads.
const (
	AnnotationClass   = "kubernetes.io/ingress.class"
	annotationPrefix  = "konghq.com/"
	annotationPlugins = annotationPrefix + "plugins"
	annotationTags    = annotationPrefix + "tags"
	// LabelCredential says which kind of credential a Secret is.
	LabelCredential = annotationPrefix + "credential"
	// labelSecret makes a Secret visible to the controller of Kong Operator.
	labelSecret = annotationPrefix + "secret"
)

// What every object of this operator's says of itself.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	// LabelScope holds a hash of installation and gateway: all objects of a gateway are listed by it.
	LabelScope        = "kongjwt.dev/scope"
	annotationOwner   = "kongjwt.dev/owner"
	annotationKind    = "kongjwt.dev/entity"
	annotationPart    = "kongjwt.dev/part"
	annotationID      = "kongjwt.dev/id"
	annotationSum     = "kongjwt.dev/sum"
	annotationUnique  = "kongjwt.dev/unique"
	annotationGuarded = "kongjwt.dev/guarded"
	annotationName    = "kongjwt.dev/stands-for"
	annotationSeal    = "kongjwt.dev/seal"
)

// Reference names an object.
type Reference struct{ APIVersion, Kind, Namespace, Name string }

// String gives "Kind namespace/name", as it is written in messages.
func (r Reference) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Rank is the order in which objects come in: an object refers to none of a higher rank. They go in reverse.
type Rank int

// Ranks.
const (
	RankBase    Rank = iota // Secrets
	RankPlugin              // KongClusterPlugins
	RankService             // Services
	RankTop                 // KongConsumers and Ingresses, and what plugins are attached to
)

// Object is an object of this operator's, and the entity that the controller makes of it.
type Object struct {
	Reference
	Owner desired.Owner
	// Kind and Part are those of the entity. A Secret with a plugin's configuration has the part of the plugin and
	// no kind: it is no entity of its own.
	Entity kong.Kind
	Part   string
	ID     string
	// Unique are what no other object may have: names, keys, and the requests that a route takes. See
	// Settings.Unique.
	Unique []desired.UniqueKey
	// Sum stands for the whole content.
	Sum string
	// StandsFor is the name that the operator would give the object; empty where that is its name. An object that
	// was taken over keeps the name that it had.
	StandsFor string
	// Guarded says that a route can be reached by nobody yet.
	Guarded bool
	// Attached says that it is somebody else's object, of which one annotation is the owner's; see
	// Settings.Attached.
	Attached bool
	// Content is the object as it is applied; nil of one that was read.
	Content map[string]any
}

// Rank of an object.
func (o Object) Rank() Rank {
	switch {
	case o.Kind == kindSecret:
		return RankBase
	case o.Kind == KindClusterPlugin:
		return RankPlugin
	case o.Kind == kindService && !o.Attached:
		return RankService
	}
	return RankTop
}

// Settings are those of a gateway.
type Settings struct {
	Scope desired.Scope
	// Class is the ingress class that the controller takes.
	Class string
	// Namespace is the operator's own: it holds what belongs to no tenant.
	Namespace string
	// Key of the sums and seals: without it nobody can guess a secret by its sum. Names and labels do not rest on
	// it: where it is lost, the objects are found all the same.
	Key []byte
}

// ScopeLabel is the value of LabelScope.
func (s Settings) ScopeLabel() string {
	return hashOf("scope", s.Scope.Installation, s.Scope.Gateway)
}

// hashOf stands for texts that are no secrets; 20 hexadecimal digits.
func hashOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:10])
}

// digest stands for texts that may be secrets; 20 hexadecimal digits.
func (s Settings) digest(parts ...string) string {
	mac := hmac.New(sha256.New, s.Key)
	_, _ = mac.Write([]byte(strings.Join(parts, "\x00"))) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil)[:10])
}

// Unique gives a unique key as objects have it: of a credential's key, a username and a custom ID there is a sum only.
func (s Settings) Unique(key desired.UniqueKey) desired.UniqueKey {
	switch key.Kind {
	case desired.UniqueCredentialKey, desired.UniqueUsername, desired.UniqueCustomID:
		key.Value = s.digest(string(key.Kind), key.Value)
	}
	return key
}

// UniqueKeys lists what must be unique of an entity. The controller makes the names of services and routes itself.
func UniqueKeys(e kong.Entity) []desired.UniqueKey {
	return slices.DeleteFunc(desired.UniqueKeys(e), func(key desired.UniqueKey) bool {
		return key.Kind == desired.UniqueServiceName || key.Kind == desired.UniqueRouteName
	})
}

// longestPrefix is how much of a resource's name is at the beginning of its objects'.
const longestPrefix = 40

// name of an object: readable at its beginning, and told apart by its end. parts are no secrets.
func (s Settings) name(owner desired.Owner, parts ...string) string {
	all := append([]string{"name", s.Scope.Installation, s.Scope.Gateway, owner.Kind, owner.Namespace, owner.Name},
		parts...)
	prefix := owner.Name
	if len(prefix) > longestPrefix {
		prefix = prefix[:longestPrefix]
	}
	return strings.Trim(prefix, ".-") + "-" + hashOf(all...)[:12]
}

// contentName is the name of an object that has another one with each content, which may be secret.
func (s Settings) contentName(owner desired.Owner, content ...string) string {
	return s.name(owner, s.digest(append([]string{"name"}, content...)...))
}

// finish gives an object its metadata and its sum.
func (s Settings) finish(o Object, metadata meta) Object {
	labels := map[string]any{labelManagedBy: v1alpha1.ManagedBy, LabelScope: s.ScopeLabel()}
	for name, value := range metadata.labels {
		labels[name] = value
	}
	annotations := map[string]any{
		annotationOwner: strings.Join([]string{o.Owner.Kind, o.Owner.Namespace, o.Owner.Name}, ":"),
		annotationKind:  string(o.Entity), annotationPart: o.Part, annotationID: o.ID,
	}
	for name, value := range metadata.annotations {
		annotations[name] = value
	}
	if len(metadata.tags) > 0 {
		annotations[annotationTags] = strings.Join(metadata.tags, ",")
	}
	if len(o.Unique) > 0 {
		raw, err := json.Marshal(o.Unique)
		if err == nil { // it always is
			annotations[annotationUnique] = string(raw)
		}
	}
	if o.Guarded {
		annotations[annotationGuarded] = "true"
	}
	if o.StandsFor != "" {
		annotations[annotationName] = o.StandsFor
	}
	described := map[string]any{"name": o.Name, "labels": labels, "annotations": annotations}
	if o.Namespace != "" {
		described["namespace"] = o.Namespace
	}
	o.Content = clone(o.Content) // with the types that objects have their values in
	o.Content["apiVersion"], o.Content["kind"], o.Content["metadata"] = o.APIVersion, o.Kind, described
	raw, err := json.Marshal(o.Content)
	if err != nil {
		raw = []byte(fmt.Sprint(o.Reference)) // cannot be: it is made of JSON values
	}
	o.Sum = s.digest("content", string(raw))
	annotations[annotationSum] = o.Sum
	annotations[annotationSeal] = s.seal(o.Reference, func(name string) string {
		text, _ := annotations[name].(string)
		return text
	})
	return o
}

// seal stands for an object's name and what its annotations say of it: who may write the object can neither make such
// annotations, nor put them on another.
func (s Settings) seal(r Reference, annotation func(name string) string) string {
	parts := []string{"seal", r.APIVersion, r.Kind, r.Namespace, r.Name}
	for _, name := range []string{
		annotationOwner, annotationKind, annotationPart, annotationID, annotationUnique, annotationGuarded, annotationName,
	} {
		parts = append(parts, annotation(name))
	}
	return s.digest(parts...)
}

// meta is what an object's metadata has beside what all have.
type meta struct {
	labels, annotations map[string]string
	tags                []string
}

// Read reads what an object that was applied says of itself; ok is false for one that is not of the scope, and for one
// of a tenant's that speaks for another namespace, or is not where the operator would write it.
func (s Settings) Read(r Reference, labels, annotations map[string]string) (o Object, ok bool) {
	parts := strings.SplitN(annotations[annotationOwner], ":", 3)
	if labels[LabelScope] != s.ScopeLabel() || len(parts) != 3 || annotations[annotationSum] == "" {
		return Object{}, false
	}
	o = Object{
		Reference: r, Owner: desired.Owner{Kind: parts[0], Namespace: parts[1], Name: parts[2]},
		Entity: kong.Kind(annotations[annotationKind]), Part: annotations[annotationPart],
		Sum: annotations[annotationSum], Guarded: annotations[annotationGuarded] != "",
		StandsFor: annotations[annotationName], ID: annotations[annotationID],
	}
	if unique := annotations[annotationUnique]; unique != "" && json.Unmarshal([]byte(unique), &o.Unique) != nil {
		o.Sum = UnknownSum // somebody wrote into it
	}
	tenants := r.Namespace != "" && r.Namespace != s.Namespace
	if tenants && r.Namespace != o.Owner.Namespace {
		return Object{}, false
	}
	if annotations[annotationSeal] == s.seal(r, func(name string) string { return annotations[name] }) {
		return o, true
	}
	// Somebody wrote into it, or the key of the seals was lost: its owner writes it again, or deletes it.
	o.Sum = UnknownSum
	if !tenants {
		return o, true
	}
	return s.unsealed(o, labels[LabelCredential])
}

// unsealed gives what is believed of an object in a tenant's namespace whose seal is not this key's: whose it is, by
// its name. It keeps nobody from anything, and no entity is found by what it says.
func (s Settings) unsealed(o Object, credential string) (left Object, ok bool) {
	left = Object{Reference: o.Reference, Owner: o.Owner, Sum: o.Sum}
	switch o.Kind {
	case kindService:
		left.Entity, left.Part, ok = kong.KindService, o.Part, o.Name == s.name(o.Owner, "service", o.Part)
	case kindIngress:
		left.Entity, left.Part, ok = kong.KindRoute, o.Part, o.Name == s.name(o.Owner, "route", o.Part)
	case KindConsumer: // it was taken over
		left.Entity, left.Part, left.StandsFor = kong.KindConsumer, o.Part, o.StandsFor
		ok = o.StandsFor == s.name(o.Owner, "consumer")
	case kindSecret: // one that such a consumer names
		left.Entity = map[string]kong.Kind{"jwt": kong.KindJWT, "acl": kong.KindACL}[credential]
		return left, left.Entity != "" && o.Owner.Kind == v1alpha1.KindJwtConsumer
	}
	left.ID = s.Scope.ID(left.Entity, left.Owner, left.Part)
	if !ok {
		return Object{}, false
	}
	return left, true
}

// UnknownSum is the sum of an object that was changed in part: it is applied again.
const UnknownSum = "changed"

// Unknown are the annotations that say so.
func Unknown() map[string]any { return map[string]any{annotationSum: UnknownSum} }
