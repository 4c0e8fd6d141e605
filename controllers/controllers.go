// Package controllers sets up the controllers of the custom resources; each has a package of its own below this one. A
// controller finds what a resource needs, lets the internal packages decide and act, and writes down what came of it.
// It makes no request to Kong, compares nothing and knows no cryptography.
//
// A change comes in on one of two ways. The watches of each package report changes in Kubernetes. The engines report
// what they notice in Kong as an engine.Event, and eventRouter leads it to the kind of the event's owner. Both ways
// end in the workqueue of one controller, which keeps one request a resource however often it is added. Out of a
// reconcile go one status patch, the Secrets that internal/secrets writes, and what the engine of the gateway sends to
// Kong.
//
// lifecycle has the steps that all kinds share, and watch the predicates and handlers of the watches. gateway,
// consumer, service and token have one reconciler each, and none of these four calls another one's reconcile: a
// consumer reaches a service through Kong and the caches alone.
package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/consumer"
	"github.com/kongjwt/kong-jwt-operator/controllers/gateway"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/controllers/service"
	"github.com/kongjwt/kong-jwt-operator/controllers/token"
	"github.com/kongjwt/kong-jwt-operator/internal/catchup"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
)

// Options are what all controllers share.
type Options struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// Live reads past the cache, where other processes work on some of the resources; nil where the cache has all.
	Live client.Reader
	// Direct reads past the cache: before something is deleted because its resource is gone.
	Direct client.Reader
	// Objects writes the objects of an ingress controller, past the cache.
	Objects client.WithWatch
	// Pace is that of engines for ingress controllers; the real one where it is zero.
	Pace ingress.Pace
	// Namespaces are those that this process works on; none: all. Selector is that of its resources; nil: all.
	Namespaces []string
	Selector   labels.Selector
	// Secrets reads and writes Secrets, live: they are cached as metadata only.
	Secrets *secrets.Store
	// Gateways holds the engine of every KongGateway.
	Gateways *engine.Registry
	// Recorder writes events, on transitions only.
	Recorder events.EventRecorder
	// ClusterDomain is the cluster's DNS domain.
	ClusterDomain string
	// GatewaySecretNamespaces are the namespaces that a KongGateway's Secrets may be in; the first is the
	// operator's own.
	GatewaySecretNamespaces []string
	// Workers is how many resources of a kind are reconciled at once.
	Workers int
	// DataPlanes is asked whether data planes hold a credential; nil for those that the KongGateways name.
	DataPlanes consumer.DataPlanes
	// KeySets follows issuers; nil for one of its own.
	KeySets *jwks.Refresher
	// Now is the clock.
	Now func() time.Time
}

// stateSeedSecret is the Secret in the operator's namespace that seals what the operator keeps in the namespaces of
// tenants.
const stateSeedSecret = "kong-jwt-operator-state"

// Setup adds all controllers, their indexes and their watches to the manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if err := index.Add(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("index custom resources: %w", err)
	}
	kube := cachedLists{o.Client}
	router := newEventRouter(kube)
	// An engine takes the listener when it is started. One that is started before this line would wake nobody.
	o.Gateways.Listen(router.Route)
	// The manager runs it as it runs controllers, on the leader alone.
	if err := mgr.Add(router); err != nil {
		return fmt.Errorf("add the lookup of gateways' users: %w", err)
	}
	if len(o.GatewaySecretNamespaces) > 0 {
		o.Secrets.SealBy(o.GatewaySecretNamespaces[0], stateSeedSecret)
	}
	life := lifecycle.New(kube, resolve.Gateways{
		Reader: kube, Engines: o.Gateways, ClusterDomain: o.ClusterDomain, InTurn: router.hasEnqueued,
	}, o.Recorder)
	inputs := resolve.Inputs{Reader: kube, Secrets: o.Secrets, GatewayNamespaces: o.GatewaySecretNamespaces}
	planes := gateway.NewDataPlanes(kube, o.Gateways)
	options := controller.Options{MaxConcurrentReconciles: o.Workers}

	gateways := gateway.New(life, o.Secrets, planes, gateway.Options{
		Live: o.Live, Direct: o.Direct, Objects: o.Objects, Pace: o.Pace, Namespaces: o.Namespaces, Inputs: inputs, Now: o.Now,
	})
	cluster, err := clusterKeys(mgr)
	if err != nil {
		return err
	}
	consumers := consumer.New(life, o.consumerOptions(inputs, planes, router, cluster))
	services := service.New(life, inputs, o.Now)
	tokens := token.New(life, inputs, o.Secrets, o.Now)
	// One for all four controllers: a reconcile reads resources of other kinds too, and none begins before all
	// kinds have caught up. Direct and not Live, which is nil where the cache has everything.
	caughtUp := catchup.New(kube, o.Direct, o.cachedKinds()...)
	looks := &firstLooks{caughtUp: caughtUp, engines: o.Gateways, router: router, over: make(chan struct{})}
	for kind, reconciler := range map[string]interface {
		Setup(mgr ctrl.Manager, woken source.Source, options controller.Options) error
	}{
		v1alpha1.KindKongGateway:         gateways,
		v1alpha1.KindJwtConsumer:         consumers,
		v1alpha1.KindJwtProtectedService: services,
		v1alpha1.KindJwtToken:            tokens,
	} {
		start := startSource{controllerQueue: router.queues[kind], caughtUp: caughtUp}
		switch kind {
		case v1alpha1.KindKongGateway:
			start.before = func(ctx context.Context) { looks.begin(ctx, gateways.ConnectAll) }
		case v1alpha1.KindJwtConsumer, v1alpha1.KindJwtProtectedService:
			start.after = looks.hold
		}
		if err := reconciler.Setup(mgr, start, options); err != nil {
			return fmt.Errorf("set up the %s controller: %w", kind, err)
		}
	}
	return nil
}

// cachedKinds are the kinds that decisions rest on as the cache has them. Secrets and EndpointSlices are read live.
func (o Options) cachedKinds() []catchup.Kind {
	kinds := []catchup.Kind{
		{GVK: corev1.SchemeGroupVersion.WithKind("Namespace"), NewList: func() client.ObjectList { return &corev1.NamespaceList{} }},
		{GVK: corev1.SchemeGroupVersion.WithKind("Service"), NewList: func() client.ObjectList { return &corev1.ServiceList{} }},
	}
	for _, kind := range v1alpha1.ResourceKinds() {
		cached := catchup.Kind{
			GVK: v1alpha1.GroupVersion.WithKind(kind.Name), NewList: func() client.ObjectList { return kind.NewList() },
		}
		// KongGateways have no namespace, and every process caches all of them.
		if !kind.ClusterScoped {
			cached.Namespaces, cached.Selector = o.Namespaces, o.Selector
		}
		kinds = append(kinds, cached)
	}
	return kinds
}

// +kubebuilder:rbac:urls=/openid/v1/jwks,verbs=get

// clusterKeys is where the API server has the keys of ServiceAccounts' tokens. The manager's client asks for them.
func clusterKeys(mgr ctrl.Manager) (jwks.Cluster, error) {
	base, _, err := rest.DefaultServerUrlFor(mgr.GetConfig())
	if err != nil {
		return jwks.Cluster{}, fmt.Errorf("read the address of the API server: %w", err)
	}
	return jwks.Cluster{Client: mgr.GetHTTPClient(), URL: base.JoinPath("openid/v1/jwks").String()}, nil
}

// consumerOptions are those of the consumers' controller, with what the real operator uses where a test names nothing.
func (o Options) consumerOptions(
	inputs resolve.Inputs, planes *gateway.DataPlanes, router *eventRouter, cluster jwks.Cluster,
) consumer.Options {
	options := consumer.Options{Inputs: inputs, Secrets: o.Secrets, DataPlanes: o.DataPlanes, KeySets: o.KeySets, Now: o.Now}
	// A rotation waits for what an issuer or a data plane answers: it goes before the work that can wait.
	options.Wake = func(key client.ObjectKey) { router.queues[v1alpha1.KindJwtConsumer].add(key, false) }
	if options.DataPlanes == nil {
		options.DataPlanes = planes
	}
	if options.KeySets == nil {
		options.KeySets = jwks.NewRefresher(jwks.Fetcher{UserAgent: v1alpha1.ManagedBy, Cluster: cluster}.Fetch, o.Now)
	}
	return options
}

// cachedLists lists what the cache has. A client that gives back its own writes would have a list wait for all writes
// under way of a kind, which there always are where thousands of resources change; a Get waits for those of one
// resource.
type cachedLists struct{ client.Client }

// List implements client.Reader.
func (c cachedLists) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return c.Client.List(ctx, list, append(options, client.DisableReadYourWritesConsistency)...)
}
