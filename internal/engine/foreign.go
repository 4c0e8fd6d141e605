package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// foreignRoutes keeps a listing of all routes for a moment: Kong takes two routes that match the same requests, so it
// has to be looked. It may be used from many goroutines.
type foreignRoutes struct {
	mu     sync.Mutex
	at     time.Time
	routes map[desired.UniqueKey][]kong.Entity
}

// routesAge is how long a listing of all routes serves.
const routesAge = 2 * time.Second

func (f *foreignRoutes) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes = nil
}

// list gives the routes that are not of this installation and gateway, by their unique keys without methods.
func (f *foreignRoutes) list(ctx context.Context, r *rooms) (map[desired.UniqueKey][]kong.Entity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := r.options.Now()
	if f.routes != nil && now.Sub(f.at) < routesAge && !now.Before(f.at) {
		return f.routes, nil
	}
	routes := map[desired.UniqueKey][]kong.Entity{}
	for e, err := range r.link.current().List(ctx, kong.KindRoute, kong.ListOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("list all routes: %w", err)
		}
		if _, ours := r.ownership(e); ours {
			continue // what is observed is known better
		}
		for _, key := range desired.UniqueKeys(e) {
			if key.Kind == desired.UniqueRoute {
				routes[withoutMethods(key)] = append(routes[withoutMethods(key)], e)
			}
		}
	}
	f.at, f.routes = now, routes
	return routes, nil
}

func withoutMethods(key desired.UniqueKey) desired.UniqueKey {
	key.Methods = ""
	return key
}
