package kongsim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Schemas are how the schemas of another version of Kong differ from those of 3.9.3, which this package has. Fields are named by their schema and their
// place in it: "services.enabled", "plugins/http-log.config.queue.concurrency_limit".
type Schemas struct {
	// Lacking are fields that the version does not have.
	Lacking []string
	// Added are fields that it has beside, each as GET /schemas shows a field.
	Added map[string]map[string]any
}

// Before38 are the schemas of Kong 3.7: 3.9 has in the plugins that are here just these fields more (kong/clustering/compat/removed_fields.lua).
func Before38() Schemas {
	return Schemas{Lacking: []string{
		"plugins/jwt.config.realm", "plugins/acl.config.always_use_authenticated_groups",
		"plugins/http-log.config.queue.concurrency_limit", "plugins/prometheus.config.ai_metrics",
	}}
}

func (s Schemas) none() bool { return len(s.Lacking) == 0 && len(s.Added) == 0 }

// alter makes a schema that version's.
func (s Schemas) alter(name string, raw object) error {
	for _, field := range s.Lacking {
		if path, found := strings.CutPrefix(field, name+"."); found {
			if err := alterField(raw, strings.Split(path, "."), nil); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(s.Added)) {
		if path, found := strings.CutPrefix(field, name+"."); found {
			if err := alterField(raw, strings.Split(path, "."), s.Added[field]); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	return nil
}

// alterField takes a field out of a record, or puts one in.
func alterField(record object, path []string, definition object) error {
	fields, _ := record["fields"].([]any)
	place := slices.IndexFunc(fields, func(one any) bool {
		named, _ := one.(object)
		_, is := named[path[0]]
		return is
	})
	switch {
	case len(path) == 1 && definition != nil:
		record["fields"] = append(fields, object{path[0]: definition})
	case place < 0:
		return errors.New("there is no such field")
	case len(path) == 1:
		record["fields"] = slices.Delete(fields, place, place+1)
	default:
		named, _ := fields[place].(object)
		inner, _ := named[path[0]].(object)
		return alterField(inner, path[1:], definition)
	}
	return nil
}

// Replace ends this Kong, and starts another version in its place: on the same addresses, and with the same database if it has one. It has faults and a
// log of requests of its own.
func (s *Server) Replace(version string, schemas Schemas) (*Server, error) {
	o := s.options
	o.AdminAddress, o.ProxyAddress = s.adminListening().listener.Addr().String(), s.front.listener.Addr().String()
	if err := s.Close(); err != nil {
		return nil, fmt.Errorf("stop the former version: %w", err)
	}
	o.Version, o.Schemas = version, schemas
	if o.Database != "off" {
		o.database = s.database
	}
	return Start(o)
}

// reread makes all rows what a version of Kong reads of what another wrote.
func (s *store) reread(l *library, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.tables {
		for id, row := range t.rows {
			t.rows[id] = l.entities[name].read(row, now)
		}
	}
}

// read gives a row as it is read: what nobody wrote is as it is by default, and what is not known is not there.
func (s *recordSchema) read(row object, now time.Time) object {
	seen := make(object, len(row))
	s.each(row, func(f *schemaField) {
		value, there := row[f.name]
		if inner, ok := value.(object); ok && f.kind == "record" && f.record != nil {
			value = f.record.read(inner, now)
		}
		if !there {
			value, there = f.missing(now)
		}
		if there {
			seen[f.name] = value
		}
	})
	return seen
}
