package backend

import (
	"context"
	"errors"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Schemas caches the plugin schemas of one Kong version: by them it is told what a default is. It may be used from many
// goroutines.
type Schemas struct {
	read  func(ctx context.Context, plugin string) (kong.Schema, error)
	mu    sync.Mutex
	known map[string]kong.Schema
}

// NewSchemas makes an empty cache, which is filled by read.
func NewSchemas(read func(ctx context.Context, plugin string) (kong.Schema, error)) *Schemas {
	return &Schemas{read: read, known: map[string]kong.Schema{}}
}

// Forget empties the cache: another version of Kong is there.
func (s *Schemas) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

func (s *Schemas) get(name string) (kong.Schema, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema, found := s.known[name]
	return schema, found
}

// Load reads the schema of an entity's plugin, once. The error is a *status.StalledError where this Kong has no such
// plugin.
func (s *Schemas) Load(ctx context.Context, e kong.Entity) error {
	if e.Kind != kong.KindPlugin {
		return nil
	}
	name := e.Fields.Text("name")
	if _, found := s.get(name); found {
		return nil
	}
	schema, err := s.read(ctx, name)
	var missing *kong.NotFoundError
	if errors.As(err, &missing) {
		return status.Stalled(v1alpha1.ReasonKongRejected,
			"plugin %s is not there on this Kong; remove it, or have it enabled in Kong's plugins setting", name)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[name] = schema
	return nil
}

// Canonical is an entity's canonical form by these schemas.
func (s *Schemas) Canonical(e kong.Entity) []byte { return kong.Canonical(e, s.get) }
