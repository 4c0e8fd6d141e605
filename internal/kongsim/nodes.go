package kongsim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// What Kong's role may be.
const (
	roleTraditional  = "traditional"
	roleControlPlane = "control_plane"
	roleDataPlane    = "data_plane"
)

// AddNode starts a further node of this Kong: on free ports, on the same database, with options that may differ. Nodes
// have only the database in common; each has an Admin API and workers of its own, which learn of the other's writes as
// late as its Propagation says. Close each.
func (s *Server) AddNode(change func(*Options)) (*Server, error) {
	if s.options.Database == "off" {
		return nil, errors.New("nodes without a database have nothing in common: start another")
	}
	o := s.options
	o.AdminAddress, o.ProxyAddress, o.database = "", "", s.database
	change(&o)
	return Start(o)
}

// StartControlPlane starts the control plane of a hybrid Kong: it has an Admin API and a database, and no proxy.
// AddDataPlane gives it data planes.
func StartControlPlane(o Options) (*Server, error) {
	o.role = roleControlPlane
	return Start(o)
}

// AddDataPlane starts a data plane of a control plane. It has no Admin API. Each configuration is what the database
// was when the control plane sent it, and the data plane runs it as a whole, lag later
// (push_config_loop in kong/clustering/control_plane.lua, config_thread in kong/clustering/data_plane.lua); what
// changes meanwhile comes with the next. Close each.
func (s *Server) AddDataPlane(lag time.Duration, change func(*Options)) (*Server, error) {
	if s.options.role != roleControlPlane {
		return nil, fmt.Errorf("role %s sends no configuration", s.options.role)
	}
	o := s.options
	o.AdminAddress, o.ProxyAddress, o.role, o.database = "", "", roleDataPlane, s.database.clone()
	change(&o)
	plane, err := Start(o)
	if err != nil {
		return nil, err
	}
	leave, unfollow := plane.leave, plane.database.follow(s.database, lag)
	plane.leave = func() { unfollow(); leave() }
	return plane, nil
}

// follow makes this database what another was a while ago, until stop is called.
func (s *store) follow(source *store, lag time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	changed, done := make(chan struct{}, 1), make(chan struct{})
	announce := func(dataplane.Change) {
		select {
		case changed <- struct{}{}:
		default: // it is announced already
		}
	}
	unwatch := source.watch(announce)
	announce(dataplane.Change{}) // what was written before it was watched
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			sent := source.clone()
			select {
			case <-ctx.Done():
				return
			case <-time.After(lag):
			}
			s.swap(sent)
		}
	}()
	return func() { unwatch(); cancel(); <-done }
}

// clone copies the database; rows are never changed in place.
func (s *store) clone() *store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	copied := newStore(s.now)
	for _, name := range kindNames {
		for _, id := range s.tables[name].order {
			_, _ = copied.putLocked(kinds[name], s.tables[name].rows[id]) // what it refers to came before
		}
	}
	return copied
}

// Replace ends this Kong, and starts another version in its place: on the same addresses, and with the same database
// if it has one. It has faults and a log of requests of its own.
func (s *Server) Replace(version string, schemas Schemas) (*Server, error) {
	return s.Restart(func(o *Options) { o.Version, o.Schemas = version, schemas })
}

// Restart ends this Kong, and starts it again with other options, as Replace does.
func (s *Server) Restart(change func(*Options)) (*Server, error) {
	o := s.options
	o.AdminAddress, o.ProxyAddress = strings.TrimPrefix(s.AdminURL(), "http://"), strings.TrimPrefix(s.ProxyURL(), "http://")
	if err := s.Close(); err != nil {
		return nil, fmt.Errorf("stop the former Kong: %w", err)
	}
	change(&o)
	if o.Database != "off" {
		o.database = s.database
	}
	return Start(o)
}

// reread makes all rows what a version of Kong reads of what another wrote.
func (s *store) reread(l *schema.Library, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.tables {
		for id, row := range t.rows {
			t.rows[id] = l.Entities[name].Read(row, now)
		}
	}
}
