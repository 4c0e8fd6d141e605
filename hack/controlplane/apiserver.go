package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// contextName is the cluster, user and context of the kubeconfig.
const contextName = "kong-jwt-operator"

type apiServer struct {
	// client is the administrator's.
	client *rest.Config
	// ca is what signed the serving certificate, PEM.
	ca []byte
	// failed receives the error with which the server ended by itself.
	failed <-chan error

	cancel context.CancelFunc
	done   <-chan struct{}
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
		client: &rest.Config{
			Host:            "https://" + listener.Addr().String(),
			BearerToken:     creds.adminToken,
			TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		},
		ca: ca, failed: failed, cancel: cancel, done: done,
	}, nil
}

func apiServerFlags(creds credentials, etcd string) []string {
	return []string{
		"--etcd-servers=" + etcd,
		"--cert-dir=" + creds.certDir,
		"--token-auth-file=" + creds.tokenFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + creds.serviceAccount,
		"--service-account-key-file=" + creds.serviceAccount,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		// Otherwise the server looks for an address of the machine, and fails
		// where there is no network.
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// An Endpoints object must not hold a loopback address.
		"--endpoint-reconciler-type=none",
	}
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

// waitReady returns when the server answers /readyz with 200.
func (s *apiServer) waitReady(ctx context.Context, timeout time.Duration) error {
	client, err := kubernetes.NewForConfig(s.client)
	if err != nil {
		return err
	}
	last := errors.New("no answer")
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		select {
		case err := <-s.failed:
			return false, err
		default:
		}
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("not ready: %w", last)
	}
	return err
}

func (s *apiServer) writeKubeconfig(path string) error {
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[contextName] = &clientcmdapi.Cluster{Server: s.client.Host, CertificateAuthorityData: s.ca}
	kubeconfig.AuthInfos[contextName] = &clientcmdapi.AuthInfo{Token: s.client.BearerToken}
	kubeconfig.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName, Namespace: "default"}
	kubeconfig.CurrentContext = contextName
	return clientcmd.WriteToFile(*kubeconfig, path)
}

func (s *apiServer) stop() {
	s.cancel()
	<-s.done
}
