package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// schemas caches the plugin schemas of one Kong version: defaults are told by them. What is not there is asked for again.
type schemas struct {
	api   AdminAPI
	mu    sync.Mutex
	known map[string]kong.Schema
}

func (s *schemas) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

func (s *schemas) get(name string) (kong.Schema, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema, found := s.known[name]
	return schema, found
}

// load reads the schema of an entity's plugin, once.
func (s *schemas) load(ctx context.Context, e kong.Entity) error {
	if e.Kind != kong.KindPlugin {
		return nil
	}
	name := e.Fields.Text("name")
	if _, found := s.get(name); found {
		return nil
	}
	schema, err := s.api.PluginSchema(ctx, name)
	var missing *kong.NotFoundError
	if errors.As(err, &missing) {
		return status.Stalled(v1alpha1.ReasonKongRejected, "plugin %s is not there on this Kong; remove it, or have it enabled in Kong's plugins setting", name)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[name] = schema
	return nil
}
