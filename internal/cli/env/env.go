// Package env is what every subcommand of kubectl kongjwt works with: streams,
// the cluster as kubectl's own flags name it, a clock, and how to end.
package env

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// ErrNegative ends a subcommand whose answer is "no": a token that is refused,
// a difference, a finding. The answer itself is on stdout; nothing more is printed.
var ErrNegative = errors.New("the answer is no")

// Exit codes, as kubectl diff has them.
const (
	// ExitOK is a positive answer, or work that was done.
	ExitOK = 0
	// ExitNegative is an answer that is "no"; see ErrNegative.
	ExitNegative = 1
	// ExitError is everything that kept a subcommand from answering: a wrong flag, a missing right, no connection.
	ExitError = 2
)

// Env is what a subcommand works with.
type Env struct {
	genericiooptions.IOStreams
	// Flags are kubectl's own: kubeconfig, context, namespace, impersonation and the rest.
	Flags *genericclioptions.ConfigFlags
	// Clock tells the time that tokens are held against.
	Clock clock.PassiveClock
	// Version of the plugin.
	Version string
	// NewClient makes the client of Client; nil for one of the cluster that Flags name. Tests set it.
	NewClient func() (client.WithWatch, error)
	// NewClientset makes the clientset of Clientset; nil for one of the cluster that Flags name. Tests set it.
	NewClientset func() (kubernetes.Interface, error)
	// Asks says whether somebody sits at a terminal and can be asked; nil for whether In is one. Tests set it.
	Asks func() bool
}

// FieldManager is whose the fields are that the plugin sets.
const FieldManager = "kubectl-kongjwt"

// Interactive says whether somebody can be asked.
func (e *Env) Interactive() bool {
	if e.Asks != nil {
		return e.Asks()
	}
	in, ok := e.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// New returns the Env of a process.
func New(version string, streams genericiooptions.IOStreams) *Env {
	return &Env{
		IOStreams: streams,
		Flags:     genericclioptions.NewConfigFlags(true),
		Clock:     clock.RealClock{},
		Version:   version,
	}
}

// Scheme knows the operator's kinds, their definitions and the kinds of Kubernetes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(
		clientgoscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme),
	)
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	return scheme, nil
}

// Client reads and writes with the rights of whom the kubeconfig names.
func (e *Env) Client() (client.WithWatch, error) {
	if e.NewClient != nil {
		return e.NewClient()
	}
	config, err := e.RESTConfig()
	if err != nil {
		return nil, err
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme})
}

// Clientset reaches what Client does not: logs, the API server's version, and its proxy.
func (e *Env) Clientset() (kubernetes.Interface, error) {
	if e.NewClientset != nil {
		return e.NewClientset()
	}
	config, err := e.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// RESTConfig is the connection that kubectl's flags name.
func (e *Env) RESTConfig() (*rest.Config, error) {
	config, err := e.Flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.UserAgent = "kubectl-kongjwt/" + e.Version
	// One person asks, and listings of a large cluster are many pages.
	config.QPS, config.Burst = 50, 300
	return config, nil
}

// Namespace is that of --namespace, or else of the current context.
func (e *Env) Namespace() (string, error) {
	namespace, _, err := e.Flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("kubeconfig: %w", err)
	}
	return namespace, nil
}

// Color says whether out may be colored: it is a terminal, and NO_COLOR is not set.
func Color(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}
