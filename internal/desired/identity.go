// Package desired says which Kong entities a custom resource wants. It is pure: spec, material and policy in,
// entities or a reason why not out.
package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/google/uuid"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Owner is the custom resource that an entity belongs to.
type Owner struct {
	Kind, Namespace, Name string
}

// String gives "Kind namespace/name", as it is written in messages.
func (o Owner) String() string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// Set is everything that one owner wants in Kong. Whatever else it has there goes.
type Set struct {
	Owner Owner
	// Entities in no particular order; each has its deterministic id and its ownership tags.
	Entities []kong.Entity
	// Keep are ids of entities of this owner that stay as they are, though Entities does not list them: their
	// material cannot be read now, and what worked last goes on working.
	Keep []string
	// Attach is the service or route of somebody else's that the plugins are on; their references to it are
	// AttachedID.
	Attach *Target
}

// Target is a service or route in Kong, by its name.
type Target struct {
	// Kind is kong.KindService or kong.KindRoute.
	Kind kong.Kind
	Name string
	// Object is the kind of the Kubernetes object of this name, in the owner's namespace, that an ingress
	// controller makes it of: Service, Ingress or HTTPRoute. Empty for what is named as it is in Kong.
	Object string
}

// String gives "service name", as it is written in messages.
func (t Target) String() string {
	if t.Object != "" {
		return t.Object + " " + t.Name
	}
	return t.Kind.Singular() + " " + t.Name
}

// Field is the field that names the target.
func (t Target) Field() string {
	switch t.Object {
	case "Service":
		return "spec.attachTo.service"
	case "Ingress":
		return "spec.attachTo.ingress"
	case "HTTPRoute":
		return "spec.attachTo.httpRoute"
	}
	return "spec.attachTo." + t.Kind.Singular() + "Name"
}

// AttachedID stands for the id of Set.Attach, which only Kong knows.
const AttachedID = "attached"

// Tag prefixes. Each entity of ours carries one tag of every prefix, and TagManaged.
const (
	TagManaged      = "kongjwt"
	tagInstallation = "kongjwt-installation:"
	tagGateway      = "kongjwt-gateway:"
	tagOwner        = "kongjwt-owner:"
	tagPart         = "kongjwt-part:"
)

// Scope tells the entities of one installation and one gateway from all others.
type Scope struct {
	// Installation id: the kube-system namespace's UID unless it was set.
	Installation string
	// Gateway is the KongGateway's name.
	Gateway string
}

// namespaceUUID is the UUIDv5 namespace of all ids (RFC 9562 section 5.5). It never changes: ids in people's Kongs
// hang on it.
var namespaceUUID = uuid.MustParse("6f1c3d0e-6a1b-5c55-9f0c-4b0f4e7a3d10")

// ID gives the id in Kong of a part of an owner: the same for the same input, for ever, so that every write is safe
// to repeat.
func (s Scope) ID(kind kong.Kind, owner Owner, part string) string {
	name := strings.Join([]string{s.Installation, s.Gateway, string(kind), owner.Kind, owner.Namespace, owner.Name, part}, "\x00")
	return uuid.NewSHA1(namespaceUUID, []byte(name)).String()
}

// ACLID gives the id of a consumer's row for a group.
func (s Scope) ACLID(consumerID, group string) string {
	name := strings.Join([]string{s.Installation, s.Gateway, string(kong.KindACL), consumerID, group}, "\x00")
	return uuid.NewSHA1(namespaceUUID, []byte(name)).String()
}

// OtherID gives the id that takes the place of one that somebody else has: the same for the same id, for ever.
func OtherID(id string) string {
	return uuid.NewSHA1(namespaceUUID, []byte("other\x00"+id)).String()
}

// ListTags are the tags by which all entities of the scope are listed.
func (s Scope) ListTags() []string {
	return []string{tagInstallation + s.Installation, tagGateway + s.Gateway}
}

// Tags gives the ownership tags of a part of an owner, and the user's own, sorted and without doubles.
func (s Scope) Tags(owner Owner, part string, own ...string) []string {
	tags := append([]string{
		TagManaged,
		tagInstallation + s.Installation,
		tagGateway + s.Gateway,
		tagOwner + owner.Kind + ":" + owner.Namespace + ":" + owner.Name,
		tagPart + part,
	}, own...)
	sort.Strings(tags)
	unique := tags[:0]
	for i, tag := range tags {
		if i == 0 || tag != tags[i-1] {
			unique = append(unique, tag)
		}
	}
	return unique
}

// Ownership is what the tags of an entity say.
type Ownership struct {
	Scope Scope
	Owner Owner
	Part  string
}

// ParseTags reads ownership tags. ok is false where the entity does not carry all of them: it is nobody's, or a
// user's.
func ParseTags(tags []string) (o Ownership, ok bool) {
	var managed bool
	for _, tag := range tags {
		switch {
		case tag == TagManaged:
			managed = true
		case strings.HasPrefix(tag, tagInstallation):
			o.Scope.Installation = strings.TrimPrefix(tag, tagInstallation)
		case strings.HasPrefix(tag, tagGateway):
			o.Scope.Gateway = strings.TrimPrefix(tag, tagGateway)
		case strings.HasPrefix(tag, tagOwner):
			parts := strings.SplitN(strings.TrimPrefix(tag, tagOwner), ":", 3)
			if len(parts) == 3 {
				o.Owner = Owner{Kind: parts[0], Namespace: parts[1], Name: parts[2]}
			}
		case strings.HasPrefix(tag, tagPart):
			o.Part = strings.TrimPrefix(tag, tagPart)
		}
	}
	ok = managed && o.Scope.Installation != "" && o.Scope.Gateway != "" && o.Owner.Kind != "" && o.Part != ""
	return o, ok
}

// Unmanaged says whether tags hold none of this operator's, of whatever installation: not even a part of them.
func Unmanaged(tags []string) bool { return len(WithoutOwnership(tags)) == len(tags) }

// Unclaimed says whether no tag says that somebody manages the entity: this operator, Kong's ingress controller (tag
// managed-by-ingress-controller) or its gateway operator (tags k8s-uid:..., k8s-kind:...), or another that marks what
// is its own in the same way.
func Unclaimed(tags []string) bool {
	return Unmanaged(tags) && !slices.ContainsFunc(tags, func(tag string) bool {
		return strings.HasPrefix(tag, "managed-by") || strings.HasPrefix(tag, "k8s-")
	})
}

// WithoutOwnership gives the tags that are not ours: what stays when an entity is let go.
func WithoutOwnership(tags []string) []string {
	var rest []string
	for _, tag := range tags {
		if tag != TagManaged && !strings.HasPrefix(tag, TagManaged+"-") {
			rest = append(rest, tag)
		}
	}
	return rest
}

// KeySetPart is the part of one key of an issuer's set: a kid may have characters, and a length, that tags do not
// take. No name of a credential has a colon in it.
func KeySetPart(name, kid string) string {
	sum := sha256.Sum256([]byte(kid))
	return fmt.Sprintf("credential:%s:%s", name, hex.EncodeToString(sum[:16]))
}

// IsKeySetPart says whether a part is that of a key of an issuer's set.
func IsKeySetPart(part string) bool {
	name, isCredential := strings.CutPrefix(part, "credential:")
	return isCredential && strings.Contains(name, ":")
}

// KeySetCredential is a key of an issuer's set as it shall be in Kong. The issuer chose its kid, not the tenant:
// policy.identities does not bound it, but policy.jwks does the issuer. name is the one that the set's entities
// carry.
func KeySetCredential(field, name string, material credential.Material) Credential {
	return Credential{Field: field, Part: KeySetPart(name, material.Key), Material: material}
}
