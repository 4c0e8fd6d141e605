package kongsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/journal"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// Cluster is what a node has in common with others, which may be other processes. The zero value: nothing.
type Cluster struct {
	// DatabaseFile has the database, for all nodes that name it; it outlives each. What a node reads of it is what
	// any of them wrote; its workers hear of the others' writes by a poll each DBUpdateFrequency, and
	// DBUpdatePropagation later, as Kong's do by cluster events.
	DatabaseFile string
	// Address is what the control plane of a hybrid Kong listens on, host:port, for its data planes. It has no
	// proxy.
	Address string
	// ControlPlane is the URL of a data plane's control plane. A data plane has no Admin API. Each configuration
	// is what the database was when the control plane sent it, and the data plane runs it as a whole, Lag later
	// (push_config_loop in kong/clustering/control_plane.lua, config_thread in kong/clustering/data_plane.lua);
	// what changes meanwhile comes with the next. While the control plane is away, the last one stays.
	ControlPlane string
	Lag          time.Duration
}

// check refuses what no Kong is.
func (o Options) check() error {
	if (o.Database == "off" || o.Cluster.ControlPlane != "") && (o.Cluster.DatabaseFile != "" || o.Cluster.Address != "") {
		return errors.New("a node without a database, or with a control plane, has no database file and no data planes")
	}
	return nil
}

// role is Kong's.
func (o Options) role() string {
	switch {
	case o.Cluster.Address != "":
		return "control_plane"
	case o.Cluster.ControlPlane != "":
		return "data_plane"
	}
	return "traditional"
}

// openStore opens the database of a file.
func openStore(path string, now func() time.Time) (s *store, err error) {
	s = newStore(now)
	if s.journal, err = journal.Open(path); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	s.hear()
	s.unheard = nil // nobody has read anything yet
	return s, nil
}

// hear reads what others wrote. It is called under the lock.
func (s *store) hear() {
	lines, err := s.journal.Read()
	if err != nil {
		panic(err) // the file is there, and is a file
	}
	for _, line := range lines {
		var w written
		if err := json.Unmarshal(line, &w); err != nil {
			panic(err) // it was written by commit
		}
		s.unheard = append(s.unheard, s.apply(w))
	}
}

// catchUp reads what others wrote.
func (s *store) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear()
}

// soonest is the shortest time between two polls.
const soonest = 10 * time.Millisecond

// poll reads what others wrote, again and again until ctx is done, and tells the workers of it a while later.
func (s *store) poll(ctx context.Context, every, later time.Duration) {
	ticker := time.NewTicker(max(every, soonest))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.catchUp()
		s.mu.Lock()
		heard := s.unheard
		s.unheard = nil
		s.mu.Unlock()
		tell := func() {
			for _, change := range heard {
				s.notify(change)
			}
		}
		if later > 0 {
			time.AfterFunc(later, tell)
		} else {
			tell()
		}
	}
}

// configuration is what a control plane sends.
type configuration struct {
	Hash     string                       `json:"hash"`
	Entities map[string]map[string]object `json:"entities"` // by kind and id
}

// outlet sends data planes what a database holds, once it is other than what has the hash that they name.
func outlet(living context.Context, from *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		changed := make(chan struct{}, 1)
		defer from.watch(func(dataplane.Change) {
			select {
			case changed <- struct{}{}:
			default: // it is announced already
			}
		})()
		for {
			all := from.dump()
			if hash := hashOf(all); hash != r.URL.Query().Get("hash") {
				_ = json.NewEncoder(w).Encode(object{"hash": hash, "entities": all}) // the data plane is gone if this fails
				return
			}
			select {
			case <-changed:
			case <-r.Context().Done():
				return
			case <-living.Done():
				return
			}
		}
	}
}

// reconnectTime is how long a data plane waits for a control plane that is away; Kong takes five to ten seconds.
const reconnectTime = time.Second

// follow makes a database what a control plane's was a while ago, until ctx is done.
func follow(ctx context.Context, to *store, control http.RoundTripper, url string, lag time.Duration) {
	hash := ""
	for ctx.Err() == nil {
		sent, err := receive(ctx, control, url+"?hash="+hash)
		wait := lag
		if err != nil {
			wait = reconnectTime
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err == nil {
			to.swap(sent.store(to.now))
			hash = sent.Hash
		}
	}
}

func receive(ctx context.Context, control http.RoundTripper, url string) (c configuration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return c, err
	}
	response, err := control.RoundTrip(request)
	if err != nil {
		return c, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	return c, json.NewDecoder(response.Body).Decode(&c)
}

// store is a database with what was sent.
func (c configuration) store(now func() time.Time) *store {
	s := newStore(now)
	for _, name := range kindNames {
		for _, row := range c.Entities[name] {
			s.apply(written{Kind: name, Row: row})
		}
	}
	return s
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
	if o.Database != "off" && o.Cluster.DatabaseFile == "" {
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
