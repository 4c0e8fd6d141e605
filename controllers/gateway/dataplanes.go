package gateway

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

// DataPlanes asks the data planes that the KongGateways name which credentials they hold: in the background, and those
// of each gateway apart from the others'.
type DataPlanes struct {
	reader  client.Reader
	engines *engine.Registry
	mu      sync.Mutex
	known   map[string]proxies
}

// proxies are how the data planes of one gateway are found and asked.
type proxies struct {
	settings proxySettings
	poller   *probe.Poller
	claims   *probe.ClaimsWatch
}

// proxySettings are what the asking rests on.
type proxySettings struct {
	spec  v1alpha1.DataPlanes
	route desired.ProbeRoute
	tls   probe.TLS
}

// NewDataPlanes makes DataPlanes that know no gateway yet.
func NewDataPlanes(reader client.Reader, engines *engine.Registry) *DataPlanes {
	return &DataPlanes{reader: reader, engines: engines, known: map[string]proxies{}}
}

// set says how the data planes of a gateway are asked from now on. What is known of them counts no more where that
// changed. The error is about the TLS settings. It is called in each reconcile of the gateway, and does nothing where
// the settings are equal.
func (d *DataPlanes) set(gateway string, settings proxySettings, now func() time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	former, found := d.known[gateway]
	if found && reflect.DeepEqual(former.settings, settings) {
		return nil
	}
	config, err := settings.tls.Config()
	if err != nil {
		return err
	}
	if found {
		former.poller.Stop()
	}
	asker := probe.NewAsker(settings.route, config, now)
	ask := func(ctx context.Context, material credential.Material, want probe.Want) (probe.Conclusion, string) {
		return d.ask(ctx, settings.spec, asker, material, want)
	}
	claims := func(ctx context.Context) (probe.Conclusion, string) {
		addresses, err := d.addresses(ctx, settings.spec)
		if err != nil {
			return probe.Unsure, err.Error()
		}
		return asker.AskClaims(ctx, addresses)
	}
	d.known[gateway] = proxies{settings, probe.NewPoller(ask, now), probe.NewClaimsWatch(claims, now)}
	return nil
}

// forget stops asking the data planes of a gateway.
func (d *DataPlanes) forget(gateway string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if former, found := d.known[gateway]; found {
		former.poller.Stop()
	}
	delete(d.known, gateway)
}

// get gives the data planes of a gateway; found is false where its spec names none.
func (d *DataPlanes) get(gateway string) (proxies, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, found := d.known[gateway]
	return p, found
}

// Forget implements consumer.DataPlanes.
func (d *DataPlanes) Forget(gateway, who string) {
	if p, found := d.get(gateway); found {
		p.poller.Forget(who)
	}
}

// Ask implements consumer.DataPlanes. Nothing is sent before every worker has to have the route that asks: a request
// that it does not match could reach somebody else's. Unsure is the answer to all that is not known, and never an
// error: a rotation waits by it, and nothing is given up for it.
func (d *DataPlanes) Ask(gateway string, question probe.Question) (probe.Conclusion, string) {
	p, found := d.get(gateway)
	if !found {
		return probe.Unsure, "the gateway is being told of its data planes"
	}
	engine, running := d.engines.Get(gateway)
	if !running {
		return probe.Unsure, "the gateway is not connected"
	}
	if held, rest := engine.Standing(desired.ProbeRouteID(engine.Scope())); !held || rest > 0 {
		return probe.Unsure, "the route that data planes are asked by is not on all of them yet"
	}
	return p.poller.Ask(question)
}

// behind says which data planes of a gateway do not hold the credential of a barrier, by its key; nothing where each
// does, or where the gateway names none. See internal/ingress.
func (d *DataPlanes) behind(gateway, key string) string {
	p, found := d.get(gateway)
	if !found {
		return ""
	}
	who := "barrier " + key
	conclusion, message := p.poller.Ask(probe.Question{
		Who: who, Material: credential.Material{Key: key, Algorithm: objects.BarrierAlgorithm}, Want: probe.Present, Wake: func() {},
	})
	if conclusion != probe.Confirmed {
		return message
	}
	p.poller.Forget(who)
	return ""
}

// ask asks all data planes of a gateway once.
func (d *DataPlanes) ask(
	ctx context.Context, spec v1alpha1.DataPlanes, asker *probe.Asker, material credential.Material, want probe.Want,
) (probe.Conclusion, string) {
	addresses, err := d.addresses(ctx, spec)
	if err != nil {
		return probe.Unsure, err.Error()
	}
	results, err := asker.Ask(ctx, addresses, material, want)
	if err != nil {
		return probe.Unsure, err.Error()
	}
	return probe.Conclude(results, want)
}

// addresses of the data planes. Endpoints are read when they are needed: to follow those of every Service would cost
// more than a few reads a rotation. Only ready endpoints are asked: a pod that is not ready gets no requests of
// clients either, and one that hangs would hold up each rotation.
func (d *DataPlanes) addresses(ctx context.Context, spec v1alpha1.DataPlanes) ([]string, error) {
	ref := spec.ServiceRef
	if ref == nil {
		return spec.URLs, nil
	}
	var service corev1.Service
	if err := d.reader.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &service); err != nil {
		return nil, fmt.Errorf("spec.dataPlanes.serviceRef: Service %s/%s cannot be read", ref.Namespace, ref.Name)
	}
	var found discoveryv1.EndpointSliceList
	if err := d.reader.List(ctx, &found, client.InNamespace(ref.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: ref.Name}); err != nil {
		return nil, fmt.Errorf("spec.dataPlanes.serviceRef: the endpoints of Service %s/%s cannot be read", ref.Namespace, ref.Name)
	}
	var addresses []string
	for _, node := range nodesOf(service, ref.Port, found.Items) {
		if node.Ready {
			addresses = append(addresses, string(ref.Scheme)+"://"+node.Address)
		}
	}
	return addresses, nil
}
