//go:build !controllers

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// startEtcd runs a single member on free loopback ports and waits until it
// serves. Its data lasts as long as the machine does: nothing is synced to
// disk, which is what makes it fast enough to be started for one test.
func startEtcd(ctx context.Context, dir string) (*etcd, error) {
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = anyPort, anyPort
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = anyPort, anyPort
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	cfg.LogLevel = "error"

	store, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-store.Server.ReadyNotify():
		return &etcd{url: "http://" + store.Clients[0].Addr().String(), failed: store.Err(), stop: store.Close}, nil
	case err = <-store.Err():
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = fmt.Errorf("not ready after %s", startTimeout)
	}
	store.Close()
	return nil, err
}

// startAPIServer runs kube-apiserver in this process. RBAC is on, the admission
// plugins are the stock ones.
func startAPIServer(cfg config, creds credentials, etcd string) (*apiServer, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.port)))
	if err != nil {
		return nil, err
	}
	opts := options.NewServerRunOptions()
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port

	ctx, cancel := context.WithCancel(context.Background())
	completed, err := completeOptions(ctx, opts, apiServerFlags(creds, etcd))
	if err != nil {
		cancel()
		return nil, errors.Join(err, listener.Close())
	}
	ca, err := os.ReadFile(filepath.Join(creds.certDir, "apiserver.crt"))
	if err != nil {
		cancel()
		return nil, errors.Join(err, listener.Close())
	}

	failed, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		err := app.Run(ctx, completed)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("stopped by itself")
			}
			failed <- err
		}
	}()
	return &apiServer{
		client: clientOf(listener.Addr().String(), creds, ca),
		ca:     ca, failed: failed, cancel: cancel, done: done,
	}, nil
}

// completeOptions does what kube-apiserver's command does before it runs. The
// command itself would install signal handlers of its own and has no context.
func completeOptions(ctx context.Context, opts *options.ServerRunOptions, args []string) (options.CompletedOptions, error) {
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range opts.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return options.CompletedOptions{}, err
	}
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	// Parts of the server apply the same logging configuration once more.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	if err := logsapi.ValidateAndApply(opts.Logs, nil); err != nil {
		return options.CompletedOptions{}, err
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return options.CompletedOptions{}, err
	}
	return completed, errors.Join(completed.Validate()...)
}
