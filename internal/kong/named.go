package kong

import (
	"context"
	"iter"

	"github.com/google/uuid"
)

// Reader gives entities: an Admin API, or what stands before one.
type Reader interface {
	Get(ctx context.Context, kind Kind, nameOrID string) (Entity, error)
	List(ctx context.Context, kind Kind, options ListOptions) iter.Seq2[Entity, error]
}

// nameFields are the fields that the Admin API finds an entity by, beside its id.
var nameFields = map[Kind]string{KindConsumer: "username", KindJWT: "key", KindService: "name", KindRoute: "name"}

// Named finds the entity of a username, key or name; a *NotFoundError where there is none. Kong's plugins find what has
// a name like a UUID, the Admin API takes that for an id (kong/api/endpoints.lua): it is looked for among all.
func Named(ctx context.Context, from Reader, kind Kind, name string) (Entity, error) {
	if uuid.Validate(name) != nil {
		return from.Get(ctx, kind, name)
	}
	for e, err := range from.List(ctx, kind, ListOptions{}) {
		if err != nil || e.Fields.Text(nameFields[kind]) == name {
			return e, err
		}
	}
	return Entity{}, &NotFoundError{Request: Request{Method: "GET", Path: "/" + string(kind) + "/{id}", Status: 404}}
}
