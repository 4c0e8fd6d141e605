package metrics

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Resources sums up the statuses of the custom resources each time it is read.
type Resources struct {
	// Reader reads from the cache: a scrape asks the API server nothing.
	Reader client.Reader
	// Leading is closed once this process works. Before, another replica tells the same.
	Leading <-chan struct{}
	// Now is the clock.
	Now func() time.Time
	Log logr.Logger
}

// readTimeout bounds a reading, as a cache that is not filled yet would hold it up.
const readTimeout = 5 * time.Second

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(Prefix+name, help, labels, nil)
}

var (
	gatewayReady = desc("gateway_ready", "1 where the Admin API answers and is programmed, else 0. Suspended gateways are left out.", "gateway")
	gatewayInfo  = desc("gateway_info", "1, with the version of Kong and how it keeps its configuration.", "gateway", "version", "mode")
	entities     = desc("managed_entities", "Entities in Kong that are this operator's, by kind.", "gateway", "kind")
	resources    = desc("resources", "Custom resources by kind, state (ready, reconciling, stalled, suspended, new) and the reason of Ready.",
		"gateway", "kind", "state", "reason")
	credentials = desc("credentials", "Credentials by phase.", "gateway", "phase")
	verified    = desc("credentials_verified", "Credentials that were looked for on the data planes, by whether all of them accept it.", "gateway", "verified")
	oldest      = desc("credential_oldest_issue_timestamp_seconds", "When the oldest material in use was made, or first seen.", "gateway")
	nextDue     = desc("credential_next_rotation_timestamp_seconds", "When the next rotation is due. In the past: it is overdue.", "gateway")
	tokens      = desc("tokens", "Signed tokens by state: fresh, overdue (to be renewed by now), expired.", "state")
	firstExpiry = desc("token_earliest_expiration_timestamp_seconds", "When the first of the signed tokens expires.")
)

// Describe implements prometheus.Collector.
func (r *Resources) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		gatewayReady, gatewayInfo, entities, resources, credentials, verified, oldest, nextDue, tokens, firstExpiry,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *Resources) Collect(out chan<- prometheus.Metric) {
	select {
	case <-r.Leading:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	s, err := r.read(ctx)
	if err != nil {
		r.Log.Error(err, "Cannot sum up the resources for metrics")
		return
	}
	s.emit(func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	})
}

// read lists all resources, without copying them: they are looked at only.
func (r *Resources) read(ctx context.Context) (*summary, error) {
	s := newSummary(r.Now())
	var (
		gateways  v1alpha1.KongGatewayList
		consumers v1alpha1.JwtConsumerList
		services  v1alpha1.JwtProtectedServiceList
		signed    v1alpha1.JwtTokenList
	)
	for _, list := range []client.ObjectList{&gateways, &consumers, &services, &signed} {
		if err := r.Reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
	}
	s.gateways = gateways.Items
	for i := range s.gateways {
		s.resource(s.gateways[i].Name, v1alpha1.KindKongGateway, s.gateways[i].Status.Conditions)
	}
	for i := range consumers.Items {
		s.consumer(&consumers.Items[i])
	}
	for i := range services.Items {
		s.resource(services.Items[i].Spec.GatewayRef.Name, v1alpha1.KindJwtProtectedService, services.Items[i].Status.Conditions)
	}
	for i := range signed.Items {
		s.token(&signed.Items[i])
	}
	return s, nil
}

func (s *summary) emit(gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	for i := range s.gateways {
		s.emitGateway(&s.gateways[i], gauge)
	}
	for key, count := range s.resources {
		gauge(resources, float64(count), key.gateway, key.kind, key.state, key.reason)
	}
	for key, count := range s.credentials {
		gauge(credentials, float64(count), key.gateway, key.phase)
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
		for kind, count := range map[string]int32{
			"consumers": managed.Consumers, "jwts": managed.Credentials, "acls": managed.Groups,
			"services": managed.Services, "routes": managed.Routes, "plugins": managed.Plugins,
		} {
			gauge(entities, float64(count), object.Name, kind)
		}
	}
}
