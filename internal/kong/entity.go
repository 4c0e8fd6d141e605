package kong

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Entity is one entity of Kong.
type Entity struct {
	Kind Kind
	ID   string
	// ConsumerID is the consumer that a JWT credential or acl group belongs to; empty for all other kinds.
	// A plugin's consumer is a field like its service and route.
	ConsumerID string
	// Fields are the entity's own, without id, created_at and updated_at, and for credentials and
	// groups without consumer.
	Fields Fields
	// CreatedAt and UpdatedAt are set in answers, to the second; UpdatedAt is zero where Kong keeps none
	// (credentials and groups).
	CreatedAt, UpdatedAt time.Time
}

// Kind is a collection of the Admin API, by its name in the path of its list.
type Kind string

// The kinds of entity that this client writes.
const (
	KindConsumer Kind = "consumers"
	KindJWT      Kind = "jwts"
	KindACL      Kind = "acls"
	KindService  Kind = "services"
	KindRoute    Kind = "routes"
	KindPlugin   Kind = "plugins"
)

// Kinds that this client only looks at, under a consumer: credentials of other plugins. Kong has them where their
// plugin is installed.
const (
	KindKeyAuth   Kind = "key-auths"
	KindBasicAuth Kind = "basic-auths"
	KindHMACAuth  Kind = "hmac-auths"
	KindOAuth2    Kind = "oauth2"
)

// Kinds is every Kind that this client writes, parents before their children.
func Kinds() []Kind {
	return []Kind{KindConsumer, KindJWT, KindACL, KindService, KindRoute, KindPlugin}
}

// Singular names one entity of the kind in a message: "consumer", "jwt credential".
func (k Kind) Singular() string {
	switch k {
	case KindConsumer:
		return "consumer"
	case KindJWT:
		return "jwt credential"
	case KindACL:
		return "acl group"
	case KindService:
		return "service"
	case KindRoute:
		return "route"
	case KindPlugin:
		return "plugin"
	case KindKeyAuth, KindBasicAuth, KindHMACAuth, KindOAuth2:
		return k.segment() + " credential"
	}
	return string(k)
}

// known tells whether the client can write entities of the kind.
func (k Kind) known() bool { return slices.Contains(Kinds(), k) }

// readable tells whether entities of the kind can be listed under a parent.
func (k Kind) readable() bool { return k.Singular() != string(k) }

// underConsumer tells whether entities of the kind live under their consumer: they are written
// and deleted at /consumers/{id}/..., though all are listed at the top level.
func (k Kind) underConsumer() bool {
	return k == KindJWT || k == KindACL
}

// segment is the kind's name in the path under a parent, which for credentials differs from
// the name at the top level.
func (k Kind) segment() string {
	switch k {
	case KindJWT, KindKeyAuth, KindBasicAuth, KindHMACAuth:
		return strings.TrimSuffix(string(k), "s")
	default:
		return string(k)
	}
}

// Reader gives entities: an Admin API, or what stands before one.
type Reader interface {
	Get(ctx context.Context, kind Kind, nameOrID string) (Entity, error)
	List(ctx context.Context, kind Kind, options ListOptions) iter.Seq2[Entity, error]
}

// nameFields are the fields that the Admin API finds an entity by, beside its id.
var nameFields = map[Kind]string{KindConsumer: "username", KindJWT: "key", KindService: "name", KindRoute: "name"}

// Named finds the entity of a username, key or name; a *NotFoundError where there is none. Kong's plugins find what
// has a name like a UUID, the Admin API takes that for an id (kong/api/endpoints.lua): it is looked for among all. What
// an Admin API gives that has another name is not what was asked for.
func Named(ctx context.Context, from Reader, kind Kind, name string) (Entity, error) {
	is := func(e Entity) bool { return e.Fields.Text(nameFields[kind]) == name }
	if uuid.Validate(name) != nil {
		if e, err := from.Get(ctx, kind, name); err != nil || is(e) {
			return e, err
		}
		return Entity{}, notFound(kind)
	}
	for e, err := range from.List(ctx, kind, ListOptions{}) {
		if err != nil || is(e) {
			return e, err
		}
	}
	return Entity{}, notFound(kind)
}

func notFound(kind Kind) error {
	return &NotFoundError{Request: Request{Method: "GET", Path: "/" + string(kind) + "/{id}", Status: 404}}
}
