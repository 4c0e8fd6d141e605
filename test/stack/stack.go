// Package stack starts everything that the demo and the end-to-end tests run against: a control plane, a Kong
// (simulated unless KONG_ADMIN_URL names a real one), an upstream that echoes, and the operator's binary as a process
// of its own.
package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// Variables of the environment.
const (
	// AdminURLVariable and ProxyURLVariable name a real Kong. Both or neither.
	AdminURLVariable = "KONG_ADMIN_URL"
	ProxyURLVariable = "KONG_PROXY_URL"
	// UpstreamVariable is the address that the upstream listens on, host:port, and that a real Kong reaches it at;
	// 127.0.0.1:0 by default.
	UpstreamVariable = "UPSTREAM_ADDRESS"
	// ManagerVariable is the path of the operator's binary.
	ManagerVariable = "KJO_MANAGER"
)

// OperatorNamespace is the namespace that the operator runs in.
const OperatorNamespace = "kong-jwt-system"

// Options say how a stack is started.
type Options struct {
	// Dir takes logs, the kubeconfig and the control plane's data.
	Dir string
	// Progress is told what starts, and how long it took. It may be nil.
	Progress func(what string, took time.Duration)
	// Kubeconfig names a cluster that is there, in place of a control plane of the stack's own. What is installed
	// in it stays: definitions, the operator's roles and its namespace.
	Kubeconfig string
	// Kong configures the simulated Kong; a real one is as it is.
	Kong kongsim.Options
	// AdminURL and ProxyURL name a Kong that the caller runs; neither the environment nor the simulation is then
	// asked.
	AdminURL, ProxyURL string
	// Observed has every operator log all that it can, and serve its metrics, which are kept in MetricsFile: for
	// tests that look at all that it says.
	Observed bool
}

// MetricsFile is, in Options.Dir, what observed operators served.
const MetricsFile = "metrics.txt"

// Stack is what runs.
type Stack struct {
	Config     *rest.Config
	Kubeconfig string
	Client     client.Client
	// AdminURL and ProxyURL of the Kong.
	AdminURL, ProxyURL string
	// Real says that the Kong is a real one.
	Real     bool
	Upstream *echo.Server
	// UpstreamURL is where the upstream is, for a Kong on this machine.
	UpstreamURL string

	options          Options
	operatorEnv      []string // beside this process's
	cleanups         []func() error
	stopControlPlane func() error
}

// Start starts all but the operator. On an error nothing runs any more.
func Start(ctx context.Context, options Options) (*Stack, error) {
	if options.Progress == nil {
		options.Progress = func(string, time.Duration) {}
	}
	s := &Stack{options: options}
	steps := []struct {
		what  string
		start func(context.Context) error
	}{
		{"Control plane", s.startControlPlane},
		{"Custom resource definitions", s.installCRDs},
		{"Kong", s.startKong},
		{"Upstream", s.startUpstream},
	}
	for _, step := range steps {
		began := time.Now()
		if err := step.start(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("start the %s: %w", step.what, err), s.Stop())
		}
		options.Progress(step.what, time.Since(began))
	}
	return s, nil
}

// Stop stops what Start started, the last first.
func (s *Stack) Stop() error {
	var errs []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		errs = append(errs, s.cleanups[i]())
	}
	s.cleanups = nil
	return errors.Join(errs...)
}

func (s *Stack) startControlPlane(ctx context.Context) error {
	if s.options.Kubeconfig != "" {
		return s.useCluster()
	}
	config, kubeconfig, stop, err := testenv.StartControlPlane(ctx, filepath.Join(s.options.Dir, "control-plane"))
	if err != nil {
		return err
	}
	s.Kubeconfig, s.stopControlPlane = kubeconfig, stop
	s.cleanups = append(s.cleanups, func() error { return s.stopControlPlane() })
	return s.connect(config)
}

// useCluster takes the cluster that the options name.
func (s *Stack) useCluster() error {
	config, err := clientcmd.BuildConfigFromFlags("", s.options.Kubeconfig)
	if err != nil {
		return err
	}
	if err := rest.LoadTLSFiles(config); err != nil { // the operator is given the authority's certificate itself
		return err
	}
	s.Kubeconfig = s.options.Kubeconfig
	s.stopControlPlane = func() error { return errors.New("the cluster is not the stack's own") }
	return s.connect(config)
}

// RestartControlPlane stops the control plane and starts it again with what it held, on another port: Config,
// Kubeconfig and Client are new.
func (s *Stack) RestartControlPlane(ctx context.Context) error {
	if err := s.stopControlPlane(); err != nil {
		return err
	}
	config, kubeconfig, stop, err := testenv.StartControlPlane(ctx, filepath.Join(s.options.Dir, "control-plane"))
	if err != nil {
		return err
	}
	s.Kubeconfig, s.stopControlPlane = kubeconfig, stop
	return s.connect(config)
}

func (s *Stack) connect(config *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	var err error
	s.Config = config
	unthrottled := rest.CopyConfig(config)
	unthrottled.QPS = -1 // what is tested is the operator, not how fast this client may ask
	s.Client, err = client.New(unthrottled, client.Options{Scheme: scheme})
	return err
}

// Endpoints are where a stack's parts are.
type Endpoints struct {
	Kubeconfig, AdminURL, ProxyURL, UpstreamURL string
	Real                                        bool
}

// Endpoints tell another process where the parts are.
func (s *Stack) Endpoints() Endpoints {
	return Endpoints{s.Kubeconfig, s.AdminURL, s.ProxyURL, s.UpstreamURL, s.Real}
}

// Attach uses the stack of another process. It starts nothing, and its Stop stops nothing of it.
func Attach(e Endpoints) (*Stack, error) {
	config, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig)
	if err != nil {
		return nil, err
	}
	s := &Stack{Kubeconfig: e.Kubeconfig, AdminURL: e.AdminURL, ProxyURL: e.ProxyURL, UpstreamURL: e.UpstreamURL, Real: e.Real}
	return s, s.connect(config)
}

func (s *Stack) installCRDs(ctx context.Context) error {
	if err := testenv.InstallCRDs(s.Config); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: OperatorNamespace}}
	if err := s.Client.Create(ctx, namespace); s.options.Kubeconfig == "" || !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

func (s *Stack) startKong(context.Context) error {
	if s.options.AdminURL != "" {
		s.AdminURL, s.ProxyURL = s.options.AdminURL, s.options.ProxyURL
		return nil
	}
	s.AdminURL, s.ProxyURL = os.Getenv(AdminURLVariable), os.Getenv(ProxyURLVariable)
	if (s.AdminURL == "") != (s.ProxyURL == "") {
		return fmt.Errorf("set %s and %s, or neither", AdminURLVariable, ProxyURLVariable)
	}
	if s.AdminURL != "" {
		s.Real = true
		return nil
	}
	simulated, err := kongsim.Start(s.options.Kong)
	if err != nil {
		return err
	}
	s.AdminURL, s.ProxyURL = simulated.AdminURL(), simulated.ProxyURL()
	s.cleanups = append(s.cleanups, simulated.Close)
	return nil
}

func (s *Stack) startUpstream(context.Context) error {
	address := os.Getenv(UpstreamVariable)
	if address == "" {
		address = "127.0.0.1:0"
	}
	upstream, err := echo.Start(address)
	if err != nil {
		return err
	}
	s.Upstream, s.UpstreamURL = upstream, upstream.URL()
	s.cleanups = append(s.cleanups, upstream.Close)
	return nil
}
