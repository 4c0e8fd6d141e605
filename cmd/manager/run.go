package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsregistry "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/metrics"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

// leaseName is the name of the leader's lease.
const leaseName = "kong-jwt-operator"

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,namespace=kong-jwt-system,verbs=get;create;update
// +kubebuilder:rbac:groups="",resources=events,namespace=kong-jwt-system,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

func run(ctx context.Context, s settings) error {
	ctrl.SetLogger(lazily(zap.New(zap.UseFlagOptions(&s.log))))
	config, err := restConfig(s.kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("build the scheme: %w", err)
		}
	}
	if s.check {
		kube, err := client.New(config, client.Options{Scheme: scheme})
		if err != nil {
			return fmt.Errorf("make a client: %w", err)
		}
		return check(ctx, s, kube, os.Stdout)
	}
	options := managerOptions(s, scheme)
	if err := s.shard().narrow(&options.Cache, s.secretNamespaces()); err != nil {
		return err
	}
	found, err := reach(ctx, config, scheme, s.installationID, startPatience)
	if err != nil {
		return err
	}
	options.MapperProvider = func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return found.mapper, nil }
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return fmt.Errorf("set up the manager: %w", err)
	}
	if err := addControllers(ctx, mgr, s, found.installation); err != nil {
		return err
	}
	for path, add := range map[string]func(string, healthz.Checker) error{"healthz": mgr.AddHealthzCheck, "readyz": mgr.AddReadyzCheck} {
		if err := add(path, healthz.Ping); err != nil {
			return fmt.Errorf("add %s: %w", path, err)
		}
	}
	go giveBackMemory(ctx)
	return mgr.Start(ctx)
}

func managerOptions(s settings, scheme *runtime.Scheme) ctrl.Options {
	yes := true
	return ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsOptions(s),
		HealthProbeBindAddress:        s.probeAddress,
		PprofBindAddress:              s.pprofAddress,
		LeaderElection:                s.leaderElect,
		LeaderElectionID:              s.shard().lease(),
		LeaderElectionNamespace:       s.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &s.lease.duration,
		RenewDeadline:                 &s.lease.renewDeadline,
		RetryPeriod:                   &s.lease.retryPeriod,
		GracefulShutdownTimeout:       &s.gracePeriod,
		Cache:                         cache.Options{DefaultTransform: slim},
		Client: client.Options{Cache: &client.CacheOptions{
			// Content of Secrets, and of EndpointSlices, is read when it is needed, never kept.
			DisableFor: []client.Object{&corev1.Secret{}, &discoveryv1.EndpointSlice{}},
			// A resource that was just written is not looked at as it was before: that would end in a
			// conflict, and one more write.
			EnableReadYourWritesConsistency: &yes,
		}},
	}
}

// metricsOptions: readers authenticate by a token of the cluster, and the API server says whether they may.
func metricsOptions(s settings) metricsserver.Options {
	options := metricsserver.Options{BindAddress: s.metricsAddress, SecureServing: s.metricsSecure, CertDir: s.metricsCertDir}
	if s.metricsSecure {
		options.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return options
}

func addControllers(ctx context.Context, mgr ctrl.Manager, s settings, installation string) error {
	engineMetrics, err := addMetrics(ctx, mgr)
	if err != nil {
		return err
	}
	// Not the manager's client: to see its own writes it would watch Secrets, and keep them.
	direct, err := client.NewWithWatch(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("make a client for Secrets: %w", err)
	}
	store := secrets.NewStore(direct, direct)
	store.ReadAhead(s.shard().namespaces)
	selector, err := labels.Parse(s.watchLabelSelector)
	if err != nil {
		return fmt.Errorf("--watch-label-selector: %w", err)
	}
	var live client.Reader
	if !s.shard().whole() {
		live = direct
	}
	return controllers.Setup(ctx, mgr, controllers.Options{
		Live:    live,
		Direct:  direct,
		Objects: direct,
		Client:  mgr.GetClient(),
		Secrets: store,
		Gateways: engine.NewRegistry(engine.Options{
			Installation: installation, Log: ctrl.Log.WithName("engine"), InScope: s.shard().inScope(ctx, mgr.GetCache()),
			Observe: engineMetrics.Observe, Drifted: engineMetrics.Drifted, Pruned: engineMetrics.Pruned,
		}),
		Recorder: mgr.GetEventRecorder(v1alpha1.ManagedBy),

		ClusterDomain:           s.clusterDomain,
		Namespaces:              s.shard().namespaces,
		Selector:                selector,
		GatewaySecretNamespaces: s.secretNamespaces(),
		Workers:                 s.workers,
		Now:                     time.Now,
	})
}

// addMetrics registers our metrics with those of controller-runtime.
func addMetrics(ctx context.Context, mgr ctrl.Manager) (*metrics.Engine, error) {
	requests, rotations := metrics.NewEngine(), metrics.NewRotations(mgr.Elected())
	if err := rotations.Watch(ctx, mgr.GetCache()); err != nil {
		return nil, err
	}
	statuses := metrics.NewResources(mgr.Elected(), time.Now)
	if err := statuses.Watch(ctx, mgr.GetCache()); err != nil {
		return nil, err
	}
	for _, collector := range []prometheus.Collector{requests, rotations, statuses} {
		if err := metricsregistry.Registry.Register(collector); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return requests, nil
}

// installationID is the flag's, or the UID of the kube-system namespace, which lives as long as the cluster.
func installationID(ctx context.Context, reader client.Reader, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	var namespace corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: "kube-system"}, &namespace); err != nil {
		return "", fmt.Errorf("read the kube-system namespace for the installation id (or set --installation-id): %w", err)
	}
	return string(namespace.UID), nil
}

// restConfig finds the cluster. The limits of client-go are off: the API server has fairness of its own, and the
// workers bound us.
func restConfig(path string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, -1
	config.UserAgent = v1alpha1.ManagedBy
	return config, nil
}
