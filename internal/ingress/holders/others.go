// Package holders says who has the usernames, custom IDs, keys and routes that an owner wants: the ingress controller
// drops both objects that have the same. Whoever has one keeps it.
package holders

import (
	"context"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Holder is an object that has a unique key, and whose it is where it is this gateway's.
type Holder struct {
	objects.Reference
	Owner desired.Owner
}

// String names the owner, else the object.
func (h Holder) String() string {
	if h.Owner != (desired.Owner{}) {
		return h.Owner.String()
	}
	return h.Reference.String()
}

// List gives who has which key or name in the cluster. Keys are as objects have them, see objects.Settings.Unique.
type List func(ctx context.Context) (map[desired.UniqueKey]Holder, error)

// age is how old what is known may be: many consumers that come at once are checked by one listing.
const age = 2 * time.Second

// Others are the keys and names that the cluster's objects have, as of a moment ago: those of other users of the
// controller, of other installations, and of other processes of this one. They may be used from many goroutines.
type Others struct {
	now  func() time.Time
	list List

	mu    sync.Mutex
	at    time.Time
	known map[desired.UniqueKey]Holder
}

// NewOthers makes Others that are listed when somebody asks.
func NewOthers(list List, now func() time.Time) *Others { return &Others{list: list, now: now} }

// Holder gives who has a key.
func (o *Others) Holder(ctx context.Context, key desired.UniqueKey) (Holder, bool, error) {
	o.mu.Lock()
	known, at := o.known, o.at
	o.mu.Unlock()
	if now := o.now(); known == nil || now.Sub(at) >= age || now.Before(at) {
		var err error
		if known, err = o.list(ctx); err != nil {
			return Holder{}, false, err
		}
		o.mu.Lock()
		o.at, o.known = now, known
		o.mu.Unlock()
	}
	by, found := known[key]
	return by, found, nil
}
