// Package controllers reconciles the custom resources. It finds what a resource needs, lets the packages below decide and act,
// and writes down what came of it. It makes no request to Kong, compares nothing and knows no cryptography.
package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
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
	// Namespaces are those that this process works on; none: all.
	Namespaces []string
	// Secrets reads and writes Secrets, live: they are cached as metadata only.
	Secrets *secrets.Store
	// Gateways holds the engine of every KongGateway.
	Gateways *engine.Registry
	// Recorder writes events, on transitions only.
	Recorder events.EventRecorder
	// ClusterDomain is the cluster's DNS domain.
	ClusterDomain string
	// GatewaySecretNamespaces are the namespaces that a KongGateway's Secrets may be in; the first is the operator's own.
	GatewaySecretNamespaces []string
	// Workers is how many resources of a kind are reconciled at once.
	Workers int
	// DataPlanes is asked whether data planes hold a credential; nil for the proxies that the KongGateways name.
	DataPlanes DataPlanes
	// KeySets follows issuers; nil for one of its own.
	KeySets *jwks.Refresher
	// Now is the clock.
	Now func() time.Time

	unsure *unsure
}

// Setup adds all controllers, their indexes and their watches to the manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("index custom resources: %w", err)
	}
	if o.KeySets == nil {
		o.KeySets = jwks.NewRefresher(jwks.Fetcher{UserAgent: v1alpha1.ManagedBy}.Fetch, o.Now)
	}
	o.unsure = &unsure{}
	o.Recorder = limitEvents(o.Recorder)
	o.Client = eagerLists{o.Client}
	planes := newDataPlanes(o)
	if o.DataPlanes == nil {
		o.DataPlanes = planes
	}
	wakeups := newWakeupSource(o)
	if err := mgr.Add(wakeups); err != nil {
		return fmt.Errorf("add the gateways' wake-ups: %w", err)
	}
	for kind, setup := range map[string]func(ctrl.Manager, *wakeupSource) error{
		"KongGateway":         (&KongGatewayReconciler{Options: o, planes: planes}).setup,
		"JwtConsumer":         (&JwtConsumerReconciler{Options: o}).setup,
		"JwtProtectedService": (&JwtProtectedServiceReconciler{Options: o}).setup,
		"JwtToken":            (&JwtTokenReconciler{Options: o}).setup,
	} {
		if err := setup(mgr, wakeups); err != nil {
			return fmt.Errorf("set up the %s controller: %w", kind, err)
		}
	}
	return nil
}

func (o Options) controllerOptions() controller.Options {
	return controller.Options{MaxConcurrentReconciles: o.Workers}
}

// eagerLists lists what the cache has. A client that gives back its own writes would have a list wait for all writes under way of a kind, which there
// always are where thousands of resources change; a Get waits for those of one resource.
type eagerLists struct{ client.Client }

// List implements client.Reader.
func (c eagerLists) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return c.Client.List(ctx, list, append(options, client.DisableReadYourWritesConsistency)...)
}
