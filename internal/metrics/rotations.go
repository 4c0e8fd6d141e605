package metrics

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Rotations counts the rotations that the statuses of consumers tell of.
type Rotations struct {
	counter *prometheus.CounterVec
	// Leading is closed once this process works.
	leading <-chan struct{}
}

// NewRotations makes the counter; it is a Collector to register.
func NewRotations(leading <-chan struct{}) *Rotations {
	return &Rotations{leading: leading, counter: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: Prefix + "rotations_total",
		Help: "Rotations of generated material by outcome: started (the next material is made), active (it is in Kong and published), " +
			"completed (the former one has left Kong).",
	}, []string{"gateway", "outcome"})}
}

// Outcomes of a rotation.
const (
	rotationStarted   = "started"
	rotationActive    = "active"
	rotationCompleted = "completed"
)

// Watch follows the consumers of a cache.
func (r *Rotations) Watch(ctx context.Context, informers cache.Informers) error {
	informer, err := informers.GetInformer(ctx, &v1alpha1.JwtConsumer{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch JwtConsumers for metrics: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(added any) {
			if consumer, ok := added.(*v1alpha1.JwtConsumer); ok {
				r.begin(consumer.Spec.GatewayRef.Name)
			}
		},
		UpdateFunc: func(before, after any) {
			former, ok := before.(*v1alpha1.JwtConsumer)
			latter, fine := after.(*v1alpha1.JwtConsumer)
			if ok && fine {
				r.changed(former, latter)
			}
		},
	})
	return err
}

// begin has the counters of a gateway be there before its first rotation: Prometheus sees no increase where a
// counter's first value is 1.
func (r *Rotations) begin(gateway string) {
	for _, outcome := range []string{rotationStarted, rotationActive, rotationCompleted} {
		r.counter.WithLabelValues(gateway, outcome)
	}
}

func (r *Rotations) changed(before, after *v1alpha1.JwtConsumer) {
	select {
	case <-r.leading:
	default:
		return
	}
	gateway := after.Spec.GatewayRef.Name
	former, latter := generations(before), generations(after)
	for name, now := range latter {
		was, known := former[name]
		if !known || was.newest == 0 {
			continue // made for the first time
		}
		if now.newest > was.newest {
			r.counter.WithLabelValues(gateway, rotationStarted).Inc()
		}
		if now.active > was.active && now.active > 1 {
			r.counter.WithLabelValues(gateway, rotationActive).Inc()
		}
		if now.oldest > was.oldest {
			r.counter.WithLabelValues(gateway, rotationCompleted).Inc()
		}
	}
}

// span is which generations of a credential there are.
type span struct{ oldest, active, newest int64 }

func generations(consumer *v1alpha1.JwtConsumer) map[string]span {
	spans := map[string]span{}
	for _, c := range consumer.Status.Credentials {
		if c.Revision == 0 {
			continue
		}
		held := spans[c.Name]
		if held.oldest == 0 || c.Revision < held.oldest {
			held.oldest = c.Revision
		}
		held.newest = max(held.newest, c.Revision)
		if c.State == v1alpha1.CredentialActive {
			held.active = max(held.active, c.Revision)
		}
		spans[c.Name] = held
	}
	return spans
}

// Describe implements prometheus.Collector.
func (r *Rotations) Describe(out chan<- *prometheus.Desc) { r.counter.Describe(out) }

// Collect implements prometheus.Collector.
func (r *Rotations) Collect(out chan<- prometheus.Metric) { r.counter.Collect(out) }
