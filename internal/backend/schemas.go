package backend

import (
	"context"
	"errors"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// SchemaReader is what of Kong's Admin API tells schemas; *kong.Client has it.
type SchemaReader interface {
	PluginSchema(ctx context.Context, name string) (kong.Schema, error)
	EntitySchema(ctx context.Context, kind kong.Kind) (kong.Field, error)
}

// Schemas caches the schemas of one Kong version: by them it is told what a default is. It may be used from many
// goroutines.
type Schemas struct {
	read     SchemaReader
	mu       sync.Mutex
	known    map[string]kong.Schema
	entities map[kong.Kind]kong.Field
}

// NewSchemas makes an empty cache, which is filled by read.
func NewSchemas(read SchemaReader) *Schemas {
	return &Schemas{read: read, known: map[string]kong.Schema{}, entities: map[kong.Kind]kong.Field{}}
}

// Forget empties the cache: another version of Kong is there.
func (s *Schemas) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
	clear(s.entities)
}

func (s *Schemas) get(name string) (kong.Schema, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema, found := s.known[name]
	return schema, found
}

func (s *Schemas) entity(kind kong.Kind) (kong.Field, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema, found := s.entities[kind]
	return schema, found
}

func (s *Schemas) loadEntity(ctx context.Context, kind kong.Kind) error {
	if _, found := s.entity(kind); found {
		return nil
	}
	schema, err := s.read.EntitySchema(ctx, kind)
	var missing *kong.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entities[kind] = schema
	return nil
}

// Has says whether Load would read nothing.
func (s *Schemas) Has(e kong.Entity) bool {
	_, found := s.entity(e.Kind)
	if found && e.Kind == kong.KindPlugin {
		_, found = s.get(e.Fields.Text("name"))
	}
	return found
}

// Load reads the schemas of an entity's kind and of its plugin, once. The error is a *status.StalledError where this
// Kong has no such plugin.
func (s *Schemas) Load(ctx context.Context, e kong.Entity) error {
	if err := s.loadEntity(ctx, e.Kind); err != nil || e.Kind != kong.KindPlugin {
		return err
	}
	name := e.Fields.Text("name")
	if _, found := s.get(name); found {
		return nil
	}
	schema, err := s.read.PluginSchema(ctx, name)
	var missing *kong.NotFoundError
	if errors.As(err, &missing) {
		return status.Stalled(v1alpha1.ReasonKongRejected,
			"spec.plugins: Kong has no plugin %s. Remove it, or have it enabled in Kong's plugins setting.", name)
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
func (s *Schemas) Canonical(e kong.Entity) []byte {
	return kong.Canonical(e, kong.Known{Plugins: s.get, Entities: s.entity})
}
