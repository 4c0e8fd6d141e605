// Package plan says which requests lead from what Kong holds of one owner to what the owner wants, and in which order.
// It is pure: it does no I/O, reads no clock and keeps nothing.
//
// Diff gets the entries of one owner in Kong, from package observed, and the entities that it wants, from package
// desired. It compares hashes, orders what differs, and gives ops. Which of them may be sent at a moment is for the
// engine's gates, and what becomes of them for observed. Most owners have a few dozen entities, so that the order is
// found by plain search.
package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// PluginACL is the name of Kong's acl plugin, whose allowed groups an Entry keeps.
const PluginACL = "acl"

// Hash is a keyed hash of an entity's canonical form.
type Hash [16]byte

// Hasher makes hashes. Its key lives as long as the process, so that nothing can be learnt from a hash.
type Hasher struct{ key []byte }

// NewHasher makes a Hasher with a key.
func NewHasher(key []byte) Hasher { return Hasher{key: key} }

// Sum hashes a canonical form. 16 of the 32 bytes of HMAC-SHA256 (RFC 2104 section 5) are enough to tell contents
// apart, and each is kept for each entity.
func (h Hasher) Sum(canonical []byte) (sum Hash) {
	mac := hmac.New(sha256.New, h.key)
	mac.Write(canonical)
	copy(sum[:], mac.Sum(nil))
	return sum
}

// Entry is what is kept of an entity in Kong: what it refers to and what it holds, and never its content. Content
// would keep secrets in memory, and be most of what an engine keeps.
type Entry struct {
	Kind       kong.Kind
	ID         string
	ConsumerID string
	Owner      desired.Owner
	// Part is what the entity is for its owner, such as "route:web".
	Part string
	// Hash is of the entity as Kong shows it.
	Hash Hash
	// Sent is of the entity as it was sent, where Kong filled in fields itself: both hashes stand for the same.
	// Else zero.
	Sent Hash
	// Uncertain says that a write may have been done or not. The next plan does it again.
	Uncertain bool
	// Keys are the unique keys that the entity holds.
	Keys []desired.UniqueKey
	// Service, Route and Consumer are the ids that a plugin is on. Service is also that of a route.
	Service, Route, Consumer string
	// Plugin is the name of a plugin.
	Plugin string
	// Groups are the group of an acl row, or those that an acl plugin allows.
	Groups []string
	// PublicKey identifies the public key of a credential; zero where it has none.
	PublicKey Hash
	// Since is when the entity was last written, or first seen as it is.
	Since time.Time
	// Stamp is the number of the write that the entry comes from. A listing that began before it does not judge
	// the entry.
	Stamp uint64
}

// Describe makes the entry of an entity. sum is its Hash.
func Describe(e kong.Entity, owner desired.Owner, part string, sum Hash) Entry {
	owner = desired.Owner{Kind: shared(owner.Kind), Namespace: shared(owner.Namespace), Name: shared(owner.Name)}
	d := Entry{
		Kind: e.Kind, ID: e.ID, ConsumerID: e.ConsumerID, Owner: owner, Part: shared(part), Hash: sum,
		Keys:    desired.UniqueKeys(e),
		Service: e.Fields.Ref("service"), Route: e.Fields.Ref("route"), Consumer: e.Fields.Ref("consumer"),
	}
	switch e.Kind {
	case kong.KindPlugin:
		d.Plugin = e.Fields.Text("name")
		if d.Plugin == PluginACL {
			d.Groups = kong.Fields(e.Fields.Object("config")).Strings("allow")
		}
	case kong.KindACL:
		d.Groups = []string{e.Fields.Text("group")}
	case kong.KindJWT:
		d.PublicKey = PublicKeyHash(e.Fields.Text("rsa_public_key"))
	}
	return d
}

// shared gives an equal text that holds no longer one in memory. An owner and a part are read from tags, and each of
// its entities has tags of its own.
func shared(text string) string { return unique.Make(text).Value() }

// PublicKeyHash identifies a public key by its PEM; zero where there is none. It needs no key: all of it is public.
func PublicKeyHash(pem string) (sum Hash) {
	if pem = strings.TrimSpace(pem); pem != "" {
		digest := sha256.Sum256([]byte(pem))
		copy(sum[:], digest[:])
	}
	return sum
}

// Is says whether a hash of what is wanted stands for what Kong holds.
func (e Entry) Is(want Hash) bool {
	return !e.Uncertain && (e.Hash == want || e.Sent != Hash{} && e.Sent == want)
}

// Guards says whether an entry is a plugin that runs for every route of a service. A plugin with a route or a consumer
// runs for some requests only, so that no route may rest on it.
func (e Entry) Guards() bool {
	return e.Kind == kong.KindPlugin && e.Service != "" && e.Route == "" && e.Consumer == ""
}

// MovesFrom says whether an entry guards another service than its former form did.
func (e Entry) MovesFrom(former Entry) bool { return former.Guards() && former.Service != e.Service }

// Parents are the ids of what an entry belongs to.
func (e Entry) Parents() []string {
	return slices.DeleteFunc([]string{e.ConsumerID, e.Consumer, e.Service, e.Route},
		func(id string) bool { return id == "" })
}

// ParentKind is the kind of the first of Parents.
func (e Entry) ParentKind() kong.Kind {
	switch {
	case e.ConsumerID != "" || e.Consumer != "":
		return kong.KindConsumer
	case e.Service != "":
		return kong.KindService
	}
	return kong.KindRoute
}

// UniqueValues lists the values of an entry that Kong itself gives once, in a form of their own. A route's match is
// left out: Kong takes two routes of one match, and the arbiter alone keeps them apart. Kong keeps one plugin of a
// name for each service, route and consumer (kong/db/schema/entities/plugins.lua, cache_key).
func (e Entry) UniqueValues() []string {
	var values []string
	for _, key := range e.Keys {
		if key.Kind != desired.UniqueRoute {
			values = append(values, string(key.Kind)+"\x00"+key.Value)
		}
	}
	switch e.Kind {
	case kong.KindACL:
		values = append(values, strings.Join(append([]string{"acl", e.ConsumerID}, e.Groups...), "\x00"))
	case kong.KindPlugin:
		values = append(values, strings.Join([]string{"plugin", e.Plugin, e.Service, e.Route, e.Consumer}, "\x00"))
	}
	return values
}

// Wanted is an entity that an owner wants.
type Wanted struct {
	Entry
	Entity kong.Entity
}
