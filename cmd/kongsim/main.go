// Command kongsim runs a simulated Kong Gateway, for trying the operator out where there is no real one: Admin API
// and proxy in one process, in memory. Several make a Kong of several nodes:
//
//	nodes that share a database    each with the same --database-file
//	a hybrid Kong                  one with --cluster-listen, others with --cluster-control-plane=http://HOST:PORT
//
// It says where it listens, and then that it is ready.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// settings are the command's flags.
type settings struct {
	kong        kongsim.Options
	control     string
	propagation string
}

func parse(arguments []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("kongsim", flag.ContinueOnError)
	o := &s.kong
	flags.StringVar(&o.AdminAddress, "admin-listen", "127.0.0.1:8001", "address of the Admin API, host:port")
	flags.StringVar(&o.ProxyAddress, "proxy-listen", "127.0.0.1:8000", "address of the proxy, host:port")
	flags.StringVar(&s.control, "control-listen", "", "address that takes faults to inject, host:port; none by default")
	flags.StringVar(&o.Version, "version", "3.9.3", "the version of Kong that it is: 3.4.2 and 3.9.3 as recorded, others as documented")
	flags.BoolVar(&o.TLSCertificateVerify, "tls-certificate-verify", false, "Kong 3.14's tls_certificate_verify")
	flags.StringVar(&o.UntrustedLua, "untrusted-lua", "sandbox", "Kong's untrusted_lua: sandbox, on or off")
	flags.StringVar(&o.Database, "database", "postgres", "postgres or off")
	flags.IntVar(&o.Workers, "workers", 2, "number of workers, each with its own router, plugins and caches")
	flags.StringVar(&s.propagation, "propagation", "typical", "how late workers take changes in: instant, typical (one node) or slowest (of a node on its own: a node far away)")
	flags.DurationVar(&o.DBUpdateFrequency, "db-update-frequency", 5*time.Second, "Kong's db_update_frequency")
	flags.DurationVar(&o.DBUpdatePropagation, "db-update-propagation", 0, "Kong's db_update_propagation, of the nodes that share a database file")
	flags.DurationVar(&o.WorkerStateUpdateFrequency, "worker-state-update-frequency", 5*time.Second, "Kong's worker_state_update_frequency")
	flags.DurationVar(&o.ServiceTime, "service-time", 0, "how long each Admin API request takes; 5.5ms is like a real Kong's")
	flags.Float64Var(&o.MaxRate, "max-rate", 0, "how many Admin API requests there are a second; 1785 is like a real Kong's on 2 cores; 0: no end")
	flags.DurationVar(&o.ConfigLoadTime, "config-load-time", 0, "without a database: how long a configuration takes to load")
	flags.Int64Var(&o.MaxBodyBytes, "max-body-bytes", 10<<20, "Kong's nginx_admin_client_max_body_size")
	flags.StringVar(&o.Cluster.DatabaseFile, "database-file", "", "file that has the database, for the nodes that share it; it outlives them; in memory by default")
	flags.StringVar(&o.Cluster.Address, "cluster-listen", "", "address for data planes, host:port: it is a control plane, and has no proxy")
	flags.StringVar(&o.Cluster.ControlPlane, "cluster-control-plane", "", "URL of its control plane: it is a data plane, and has no Admin API")
	flags.DurationVar(&o.Cluster.Lag, "cluster-lag", 0, "how much later a data plane runs what its control plane sent")
	flags.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "makes delays repeatable")
	if err := flags.Parse(arguments); err != nil {
		return settings{}, err
	}
	return s, s.complete(flags.Args())
}

// complete checks what the flags say together.
func (s *settings) complete(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if s.kong.Database != "postgres" && s.kong.Database != "off" {
		return fmt.Errorf("--database is postgres or off, not %q", s.kong.Database)
	}
	if kong.ParseVersion(s.kong.Version) == (kong.Version{}) {
		return fmt.Errorf("--version is a version of Kong, not %q", s.kong.Version)
	}
	if s.kong.Workers < 1 {
		return errors.New("--workers has to be at least 1")
	}
	switch s.propagation {
	case "instant":
		s.kong.Propagation = dataplane.Instant()
	case "typical":
		s.kong.Propagation = dataplane.Typical()
	case "slowest":
		poll := s.kong.DBUpdateFrequency
		if s.kong.Database == "off" || s.kong.Cluster != (kongsim.Cluster{}) {
			poll = 0 // it polls by itself, or has nothing to poll
		}
		s.kong.Propagation = dataplane.Slowest(poll, s.kong.WorkerStateUpdateFrequency)
	default:
		return fmt.Errorf("--propagation is instant, typical or slowest, not %q", s.propagation)
	}
	return nil
}

// run serves until ctx is done.
func run(ctx context.Context, arguments []string, out io.Writer) (err error) {
	s, err := parse(arguments)
	if err != nil {
		return err
	}
	kong, err := kongsim.Start(s.kong)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kong.Close()) }()
	for _, at := range []struct{ name, url string }{{"Admin API", kong.AdminURL()}, {"Proxy", kong.ProxyURL()}, {"Cluster", kong.ClusterURL()}} {
		if at.url != "" {
			fmt.Fprintf(out, "%-10s %s\n", at.name, at.url)
		}
	}
	if s.control != "" {
		control, err := net.Listen("tcp", s.control)
		if err != nil {
			return fmt.Errorf("listen for faults: %w", err)
		}
		server := &http.Server{Handler: kong.ControlHandler(), ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(control) }() // http.ErrServerClosed, after Close
		defer func() { err = errors.Join(err, server.Close()) }()
		fmt.Fprintf(out, "Faults     http://%s\n", control.Addr())
	}
	fmt.Fprintln(out, "Ready")
	<-ctx.Done()
	return nil
}
