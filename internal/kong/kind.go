package kong

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

// Kinds is every Kind, parents before their children.
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
	}
	return string(k)
}

// known tells whether the client can write entities of the kind.
func (k Kind) known() bool {
	return k.Singular() != string(k)
}

// underConsumer tells whether entities of the kind live under their consumer: they are written
// and deleted at /consumers/{id}/..., though all are listed at the top level.
func (k Kind) underConsumer() bool {
	return k == KindJWT || k == KindACL
}

// segment is the kind's name in the path under a parent, which for JWT credentials differs from
// the name at the top level.
func (k Kind) segment() string {
	if k == KindJWT {
		return "jwt"
	}
	return string(k)
}
