// Package kongsim is a simulated Kong Gateway of a named version: Admin API and proxy in one process, in memory. It
// is for tests and for the demo, and is held to what a real Kong 3.9.3 and 3.4.2 answered (test/contract). What it
// knows of other versions was not recorded.
// Nothing of the operator may depend on what only the simulation does.
//
//	schema/      Kong's schemas: what is filled in, rules, messages      recorded/*.json, as real Kongs serve them
//	dao.go       fill, resolve references, validate, write               failures.go: errors as Kong words them
//	store*.go    the database, and what the data plane reads of it
//	admin*.go    the Admin API                                           dbless*.go: POST /config
//	dataplane/   the proxy: its workers, each as late as it is, and plugins
//	faults.go    what can be made to go wrong, and how fast it is        control.go: the same from outside
//	server.go    both on their listeners                                 nodes.go: several nodes, other versions
//	journal/     the file by which nodes share a database
//
// The two halves meet in dataplane.Source, by which workers read the database, and in dataplane.Change, by which the
// store tells them of writes.
package kongsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// Schemas are how the schemas of a Kong differ from those of its version.
type Schemas = schema.Changes

// Options configure a simulated Kong. The zero value is Kong 3.9.3 with a database, on free ports of the loopback
// address, whose workers take changes in at once.
type Options struct {
	// AdminAddress and ProxyAddress to listen on, host:port; 127.0.0.1:0 by default.
	AdminAddress, ProxyAddress string
	// Version is Kong's; "3.9.3" by default. Schemas, defaults and answers are those of that version;
	// schema/recorded says which were recorded.
	Version string
	// Schemas are how this Kong's differ from those of its version.
	Schemas Schemas
	// TLSCertificateVerify is tls_certificate_verify of Kong 3.14 or newer: no service may switch the check of
	// certificates off.
	TLSCertificateVerify bool
	// UntrustedLua is untrusted_lua: "sandbox" (the default), "on" or "off", with which post-function answers 500.
	UntrustedLua string
	// Database is "postgres" (the default) or "off".
	Database string
	// DBUpdateFrequency, DBUpdatePropagation and WorkerStateUpdateFrequency are what GET / says of them. How late
	// workers are is Propagation's matter; what other nodes wrote, Cluster's.
	DBUpdateFrequency, DBUpdatePropagation, WorkerStateUpdateFrequency time.Duration
	// Workers (2 by default) and Propagation are the proxy's.
	Workers     int
	Propagation dataplane.Propagation
	// MaxBodyBytes is the longest body that the Admin API takes; 10 MiB by default, as
	// nginx_admin_client_max_body_size is.
	MaxBodyBytes int64
	// ConfigLoadTime is how long a configuration of a Kong without a database takes to load. Others are answered
	// 429 meanwhile.
	ConfigLoadTime time.Duration
	// Cluster is what it has in common with other nodes.
	Cluster Cluster
	// Seed makes what is random repeatable.
	Seed uint64
	// ServiceTime is how long each Admin API request takes; MaxRate how many there are a second. 0: as fast as it
	// goes.
	ServiceTime time.Duration
	MaxRate     float64

	faults   *Faults
	database *store // of a former Kong
}

// Server is a running simulated Kong.
type Server struct {
	// Faults can be set while it runs.
	Faults *Faults

	options  Options
	database *store
	proxy    *dataplane.Proxy
	handler  http.Handler // of the Admin API
	requests requestLog

	// end ends what the node learns of changes by, works; unwatch ends what its workers do.
	end, unwatch func()
	works        sync.WaitGroup

	mu      sync.Mutex // guards admin
	admin   *listening // nil: a data plane has no Admin API
	front   *listening // of the proxy; nil: a control plane has none
	cluster *listening // of a control plane, for its data planes
}

// listening is a server on its listener.
type listening struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// Start starts a simulated Kong. Close stops it.
func Start(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{Faults: &Faults{}, options: o}
	s.options.faults = s.Faults
	library, err := schema.Load(o.Database == "off", kong.ParseVersion(o.Version), o.changes())
	if err != nil {
		return nil, fmt.Errorf("read the schemas: %w", err)
	}
	if s.database, err = o.open(library); err != nil {
		return nil, err
	}
	s.proxy = dataplane.New(s.database, dataplane.Options{
		Workers: o.Workers, Propagation: o.Propagation, Seed: o.Seed, Version: o.Version, UntrustedLua: o.UntrustedLua,
	})
	s.unwatch = s.database.watch(s.proxy.Changed)
	living, end := context.WithCancel(context.Background())
	s.end = end
	if o.Cluster.DatabaseFile != "" {
		s.works.Go(func() { s.database.poll(living, o.DBUpdateFrequency, o.DBUpdatePropagation) })
	}
	if o.Cluster.ControlPlane != "" {
		s.works.Go(func() { follow(living, s.database, &http.Transport{}, o.Cluster.ControlPlane, o.Cluster.Lag) })
	}
	api := &admin{
		dao:     &dao{store: s.database, library: library, readOnly: o.Database == "off"},
		options: s.options, version: kong.ParseVersion(o.Version), nodeID: schema.NewID(), config: &declarative{current: emptyHash},
	}
	s.handler = s.requests.wrap(s.Faults.Wrap(newPace(o.ServiceTime, o.MaxRate).wrap(api)))
	if err := s.listen(living); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open gives the database: a former Kong's, as this version reads it, that of a file, or an empty one.
func (o Options) open(library *schema.Library) (*store, error) {
	switch {
	case o.database != nil:
		o.database.reread(library, time.Now())
		return o.database, nil
	case o.Cluster.DatabaseFile != "":
		return openStore(o.Cluster.DatabaseFile, time.Now)
	}
	return newStore(time.Now), nil
}

// listen opens what a node of its role has.
func (s *Server) listen(living context.Context) (err error) {
	o := s.options
	if o.Cluster.ControlPlane == "" {
		if s.admin, err = listen(o.AdminAddress, &http.Server{Handler: s.handler}); err != nil {
			return fmt.Errorf("listen for the Admin API: %w", err)
		}
	}
	if o.Cluster.Address != "" {
		if s.cluster, err = listen(o.Cluster.Address, &http.Server{Handler: outlet(living, s.database)}); err != nil {
			return fmt.Errorf("listen for data planes: %w", err)
		}
		return nil
	}
	if s.front, err = listen(o.ProxyAddress, &http.Server{Handler: s.proxy, ConnContext: s.proxy.ConnContext}); err != nil {
		return fmt.Errorf("listen for the proxy: %w", err)
	}
	return nil
}

// changes are how the schemas differ from those of the version.
func (o Options) changes() Schemas {
	changes := o.Schemas
	if o.TLSCertificateVerify {
		changes.Changed = maps.Clone(changes.Changed)
		if changes.Changed == nil {
			changes.Changed = map[string]map[string]any{}
		}
		changes.Changed["services.tls_verify"] = map[string]any{"ne": false, "err": "cannot be disabled while tls_certificate_verify is on"}
	}
	return changes
}

func (o Options) withDefaults() Options {
	set := func(value *string, fallback string) {
		if *value == "" {
			*value = fallback
		}
	}
	set(&o.AdminAddress, "127.0.0.1:0")
	set(&o.ProxyAddress, "127.0.0.1:0")
	set(&o.Version, "3.9.3")
	set(&o.Database, "postgres")
	set(&o.UntrustedLua, "sandbox")
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = 10 << 20
	}
	return o
}

func listen(address string, server *http.Server) (*listening, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server.ReadHeaderTimeout = time.Minute
	l := &listening{listener: listener, server: server, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		_ = server.Serve(listener) // http.ErrServerClosed, after close
	}()
	return l, nil
}

// shutdownTime is how long requests under way have to end.
const shutdownTime = time.Second

func (l *listening) close() error {
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	var err error
	if l.server.Shutdown(ctx) != nil {
		err = l.server.Close()
	}
	<-l.done
	return err
}

// url is where it listens; nothing where it does not.
func (l *listening) url() string {
	if l == nil {
		return ""
	}
	return "http://" + l.listener.Addr().String()
}

// AdminURL is where the Admin API is; empty for a data plane.
func (s *Server) AdminURL() string { return s.adminListening().url() }

// ProxyURL is where the proxy is; empty for a control plane.
func (s *Server) ProxyURL() string { return s.front.url() }

// ClusterURL is where a control plane's data planes find it; empty for others.
func (s *Server) ClusterURL() string { return s.cluster.url() }

func (s *Server) adminListening() *listening {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admin
}

// StopAdmin takes the Admin API away: its port refuses connections. The proxy and all entities stay.
func (s *Server) StopAdmin() error {
	l := s.adminListening()
	err := l.server.Close()
	<-l.done
	return err
}

// StartAdmin brings the Admin API back, on the same address.
func (s *Server) StartAdmin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := listen(s.admin.listener.Addr().String(), &http.Server{Handler: s.handler})
	if err != nil {
		return fmt.Errorf("listen for the Admin API: %w", err)
	}
	s.admin = l
	return nil
}

// Close stops the server; requests under way get a second to end.
func (s *Server) Close() error {
	s.end()
	s.unwatch()
	s.works.Wait()
	err := errors.Join(s.adminListening().close(), s.front.close(), s.cluster.close(), s.database.journal.Close())
	s.proxy.Close()
	return err
}

// Versions of Kong from which on something is different.
var (
	kong36  = kong.Version{Major: 3, Minor: 6}  // PCRE2
	kong314 = kong.Version{Major: 3, Minor: 14} // Enterprise only
)
