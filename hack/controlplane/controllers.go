package main

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

const (
	workers = 2
	resync  = 5 * time.Minute
	// discoveryInterval is how soon the garbage collector knows a
	// CustomResourceDefinition that was installed after its start. Stock is 30 s.
	discoveryInterval = time.Second
	gcSyncTimeout     = 30 * time.Second
)

type controllerSet struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	config          *rest.Config
	client          *kubernetes.Clientset
	metadata        metadata.Interface
	typed           informers.SharedInformerFactory
	untyped         metadatainformer.SharedInformerFactory
	informersStart  chan struct{}
	publishedRootCA []byte
}

// startControllers runs the controllers of kube-controller-manager that a user
// of custom resources meets. Each acts as the administrator.
func startControllers(admin *rest.Config, rootCA []byte) (*controllerSet, error) {
	config := rest.CopyConfig(admin)
	config.QPS = -1 // one user, no limit
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	set := &controllerSet{
		ctx: ctx, cancel: cancel,
		config: config, client: client, metadata: meta,
		typed:           informers.NewSharedInformerFactory(client, resync),
		untyped:         metadatainformer.NewSharedInformerFactory(meta, resync),
		informersStart:  make(chan struct{}),
		publishedRootCA: rootCA,
	}
	for _, start := range []func() error{
		set.startGarbageCollector, set.startNamespace, set.startServiceAccounts,
		set.startRootCAPublisher, set.startDeployment, set.startReplicaSet,
	} {
		if err := start(); err != nil {
			cancel()
			return nil, err
		}
	}
	set.typed.Start(ctx.Done())
	set.untyped.Start(ctx.Done())
	close(set.informersStart)
	return set, nil
}

func (s *controllerSet) startGarbageCollector() error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.client.Discovery()))
	collector, err := garbagecollector.NewGarbageCollector(s.ctx, s.client, s.metadata, mapper,
		garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(s.typed, s.untyped), s.informersStart)
	if err != nil {
		return err
	}
	s.running.Go(func() { collector.Run(s.ctx, workers, gcSyncTimeout) })
	s.running.Go(func() { collector.Sync(s.ctx, s.client.Discovery(), discoveryInterval) })
	return nil
}

func (s *controllerSet) startNamespace() error {
	controller := namespace.NewNamespaceController(s.ctx, s.client, s.metadata,
		s.client.Discovery().ServerPreferredNamespacedResources,
		s.typed.Core().V1().Namespaces(), resync, corev1.FinalizerKubernetes)
	s.running.Go(func() { controller.Run(s.ctx, workers) })
	return nil
}

func (s *controllerSet) startServiceAccounts() error {
	controller, err := serviceaccount.NewServiceAccountsController(klog.FromContext(s.ctx),
		s.typed.Core().V1().ServiceAccounts(), s.typed.Core().V1().Namespaces(),
		s.client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	s.running.Go(func() { controller.Run(s.ctx, workers) })
	return nil
}

func (s *controllerSet) startRootCAPublisher() error {
	controller, err := rootcacertpublisher.NewPublisher(
		s.typed.Core().V1().ConfigMaps(), s.typed.Core().V1().Namespaces(), s.client, s.publishedRootCA)
	if err != nil {
		return err
	}
	s.running.Go(func() { controller.Run(s.ctx, workers) })
	return nil
}

func (s *controllerSet) startDeployment() error {
	apps := s.typed.Apps().V1()
	controller, err := deployment.NewDeploymentController(s.ctx,
		apps.Deployments(), apps.ReplicaSets(), s.typed.Core().V1().Pods(), s.client)
	if err != nil {
		return err
	}
	s.running.Go(func() { controller.Run(s.ctx, workers) })
	return nil
}

func (s *controllerSet) startReplicaSet() error {
	controller := replicaset.NewReplicaSetController(s.ctx,
		s.typed.Apps().V1().ReplicaSets(), s.typed.Core().V1().Pods(), s.client, replicaset.BurstReplicas)
	s.running.Go(func() { controller.Run(s.ctx, workers) })
	return nil
}

func (s *controllerSet) stop() {
	s.cancel()
	s.running.Wait()
	s.typed.Shutdown()
	s.untyped.Shutdown()
}
