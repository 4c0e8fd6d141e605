package kongsim

import (
	"fmt"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// Versions of Kong from which on something is different.
var (
	kong35  = kong.Version{Major: 3, Minor: 5}  // requests have ids
	kong36  = kong.Version{Major: 3, Minor: 6}  // PCRE2
	kong314 = kong.Version{Major: 3, Minor: 14} // Enterprise only
)

// Replace ends this Kong, and starts another version in its place: on the same addresses, and with the same database
// if it has one. It has faults and a log of requests of its own.
func (s *Server) Replace(version string, schemas Schemas) (*Server, error) {
	return s.Restart(func(o *Options) { o.Version, o.Schemas = version, schemas })
}

// Restart ends this Kong, and starts it again with other options, as Replace does.
func (s *Server) Restart(change func(*Options)) (*Server, error) {
	o := s.options
	o.AdminAddress, o.ProxyAddress = s.adminListening().listener.Addr().String(), s.front.listener.Addr().String()
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
