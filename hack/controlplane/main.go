// Command controlplane is a Kubernetes control plane in one process, on
// loopback (with the build tag controllers, etcd and kube-apiserver are
// processes of their own, see assets): etcd, kube-apiserver and those controllers of
// kube-controller-manager that the demo and the end to end tests rely on
// (owner references, namespace deletion, ServiceAccounts, Deployments). There
// is no scheduler and no kubelet: Pods stay Pending.
//
// It is for development and tests. etcd does not sync to disk and is not
// authenticated.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// startTimeout bounds the time from start to ready. Two seconds are usual;
// a machine that compiles something else at the same time needs more.
const startTimeout = 2 * time.Minute

type config struct {
	dataDir         string
	kubeconfigOut   string
	port            int
	stopOnStdinDone bool
}

func main() {
	cfg, err := parse(os.Args[1:])
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err = run(ctx, cfg)
	klog.Flush()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

// parse reads the flags into a set of its own: packages of Kubernetes register
// theirs with the global one.
func parse(args []string) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("controlplane", flag.ContinueOnError)
	flags.StringVar(&cfg.dataDir, "data-dir", "", "directory of etcd's data, keys and certificates; what it holds is used again (required)")
	flags.StringVar(&cfg.kubeconfigOut, "kubeconfig-out", "", "where to write the administrator's kubeconfig (default <data-dir>/kubeconfig)")
	flags.IntVar(&cfg.port, "port", 0, "port of the API server on 127.0.0.1; 0 takes a free one")
	flags.BoolVar(&cfg.stopOnStdinDone, "stop-on-stdin-close", false, "stop when standard input ends, so that the process does not outlive the one that holds its other end")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if cfg.dataDir == "" {
		return config{}, errors.New("--data-dir is required")
	}
	dir, err := filepath.Abs(cfg.dataDir)
	if err != nil {
		return config{}, err
	}
	cfg.dataDir = dir
	if cfg.kubeconfigOut == "" {
		cfg.kubeconfigOut = filepath.Join(dir, "kubeconfig")
	}
	return cfg, nil
}

// etcd is a running member.
type etcd struct {
	url string
	// failed receives the error with which it ended by itself.
	failed <-chan error
	stop   func()
}

// run starts the parts in the order in which they need each other, and stops
// them in the reverse one. It returns when ctx ends or a part fails.
func run(ctx context.Context, cfg config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if cfg.stopOnStdinDone {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}

	creds, err := loadCredentials(cfg.dataDir)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", cfg.dataDir, err)
	}
	store, err := startEtcd(ctx, filepath.Join(cfg.dataDir, "etcd"))
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer store.stop()

	server, err := startAPIServer(cfg, creds, store.url)
	if err != nil {
		return fmt.Errorf("start kube-apiserver: %w", err)
	}
	defer server.stop()
	if err := server.waitReady(ctx, startTimeout); err != nil {
		return ignoreStop(ctx, fmt.Errorf("wait for kube-apiserver: %w", err))
	}

	controllers, err := startControllers(server.client, server.ca)
	if err != nil {
		return fmt.Errorf("start controllers: %w", err)
	}
	defer controllers.stop()
	if err := server.writeKubeconfig(cfg.kubeconfigOut); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	fmt.Printf("ready url=%s kubeconfig=%s\n", server.client.Host, cfg.kubeconfigOut)

	select {
	case <-ctx.Done():
		return nil
	case err := <-server.failed:
		return fmt.Errorf("kube-apiserver ended: %w", err)
	case err := <-store.failed:
		return fmt.Errorf("etcd ended: %w", err)
	}
}

// ignoreStop turns an error into success when we were asked to stop anyway.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
