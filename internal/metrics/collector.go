package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Resources sums up the statuses of the custom resources each time it is read.
type Resources struct {
	// leading is closed once this process works. Before, another replica tells the same.
	leading <-chan struct{}
	now     func() time.Time

	mu sync.Mutex
	// objects are the cache's own, by UID: to list them would copy all of them at each reading.
	objects map[types.UID]v1alpha1.Resource
}

// NewResources makes the summary; it is a Collector to register. now is the clock.
func NewResources(leading <-chan struct{}, now func() time.Time) *Resources {
	return &Resources{leading: leading, now: now, objects: map[types.UID]v1alpha1.Resource{}}
}

// Watch follows the resources of a cache.
func (r *Resources) Watch(ctx context.Context, informers cache.Informers) error {
	for _, kind := range v1alpha1.ResourceKinds() {
		informer, err := informers.GetInformer(ctx, kind.New(), cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %s for metrics: %w", kind.Name, err)
		}
		if _, err := informer.AddEventHandler(r.handler()); err != nil {
			return fmt.Errorf("watch %s for metrics: %w", kind.Name, err)
		}
	}
	return nil
}

func (r *Resources) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: r.keep,
		UpdateFunc: func(before, after any) {
			r.drop(before) // another of the same name may have come instead
			r.keep(after)
		},
		DeleteFunc: r.drop,
	}
}

func (r *Resources) keep(changed any) {
	if object, ok := changed.(v1alpha1.Resource); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.objects[object.GetUID()] = object
	}
}

func (r *Resources) drop(deleted any) {
	if unseen, missed := deleted.(toolscache.DeletedFinalStateUnknown); missed {
		deleted = unseen.Obj
	}
	if object, ok := deleted.(v1alpha1.Resource); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.objects, object.GetUID())
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(Prefix+name, help, labels, nil)
}

var (
	gatewayReady = desc("gateway_ready", "1 where the Admin API answers and is programmed, else 0. Suspended gateways are left out.", "gateway")
	gatewayInfo  = desc("gateway_info", "1, with the version of Kong and how it keeps its configuration.", "gateway", "version", "mode")
	entities     = desc("managed_entities", "Entities in Kong that are this operator's, by kind.", "gateway", "kind")
	orphaned     = desc("orphaned_entities", "Entities in Kong that belong to resources that are gone, and that are not pruned.", "gateway")
	drifted      = desc("drifted_entities", "Entities in Kong that somebody else changed, and that stay so because spec.drift.policy is Report.", "gateway")
	resources    = desc("resources", "Custom resources by kind, state (ready, reconciling, stalled, suspended, new) and the reason of Ready.",
		"gateway", "kind", "state", "reason")
	credentials = desc("credentials", "Credentials by state.", "gateway", "state")
	verified    = desc("credentials_verified", "Credentials that were looked for on the data planes, by whether all of them accept it.", "gateway", "verified")
	oldest      = desc("credential_oldest_issue_timestamp_seconds", "When the oldest material in use was made, or first seen.", "gateway")
	nextDue     = desc("credential_next_rotation_timestamp_seconds", "When the next rotation is due. In the past: it is overdue.", "gateway")
	tokens      = desc("tokens", "Signed tokens by state: fresh, overdue (to be renewed by now), expired.", "state")
	firstExpiry = desc("token_earliest_expiration_timestamp_seconds", "When the first of the signed tokens expires.")
)

// Describe implements prometheus.Collector.
func (r *Resources) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		gatewayReady, gatewayInfo, entities, orphaned, drifted, resources, credentials, verified, oldest, nextDue, tokens, firstExpiry,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *Resources) Collect(out chan<- prometheus.Metric) {
	select {
	case <-r.leading:
	default:
		return
	}
	r.sum().emit(func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	})
}

// sum looks at all resources, and copies none.
func (r *Resources) sum() *summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := newSummary(r.now())
	for _, object := range r.objects {
		s.add(object)
	}
	return s
}

func (s *summary) emit(gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	for _, object := range s.gateways {
		s.emitGateway(object, gauge)
	}
	for gateway, count := range s.drifted {
		gauge(drifted, float64(count), gateway)
	}
	for key, count := range s.resources {
		gauge(resources, float64(count), key.gateway, key.kind, key.state, key.reason)
	}
	for key, count := range s.credentials {
		gauge(credentials, float64(count), key.gateway, key.state)
	}
	for gateway, count := range s.verified {
		gauge(verified, float64(count), gateway, "true")
	}
	for gateway, count := range s.unverified {
		gauge(verified, float64(count), gateway, "false")
	}
	for gateway, at := range s.oldest {
		gauge(oldest, float64(at.Unix()), gateway)
	}
	for gateway, at := range s.next {
		gauge(nextDue, float64(at.Unix()), gateway)
	}
	for state, count := range s.tokens {
		gauge(tokens, float64(count), state)
	}
	if !s.expiry.IsZero() {
		gauge(firstExpiry, float64(s.expiry.Unix()))
	}
}

func (s *summary) emitGateway(object *v1alpha1.KongGateway, gauge func(*prometheus.Desc, float64, ...string)) {
	state, _ := fares(object.Status.Conditions)
	switch state {
	case stateReady:
		gauge(gatewayReady, 1, object.Name)
	case stateReconciling, stateStalled:
		gauge(gatewayReady, 0, object.Name)
	}
	if object.Status.KongVersion != "" {
		gauge(gatewayInfo, 1, object.Name, object.Status.KongVersion, string(object.Status.Mode))
	}
	if managed := object.Status.Managed; managed != nil {
		gauge(orphaned, float64(object.Status.Orphaned), object.Name)
		for kind, count := range map[string]int32{
			"consumers": managed.Consumers, "jwts": managed.Credentials, "acls": managed.Groups,
			"services": managed.Services, "routes": managed.Routes, "plugins": managed.Plugins,
		} {
			gauge(entities, float64(count), object.Name, kind)
		}
	}
}
