// Package metrics counts what the engines do, and sums up what the resources' statuses say. No label is a consumer, a
// resource or a namespace: a cluster has thousands of them, and their statuses are for looking at one.
package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Prefix is the first part of every metric's name.
const Prefix = "kongjwt_"

// Engine counts what the engines do to their Kongs. Its methods may be called from many goroutines.
type Engine struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	drift    *prometheus.CounterVec
	pruned   *prometheus.CounterVec
	// known are the gateways whose counters have begun.
	known sync.Map
}

// NewEngine makes the counters; it is a Collector to register.
func NewEngine() *Engine {
	return &Engine{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: Prefix + "admin_api_requests_total",
			Help: "Requests to the Admin API, by gateway, HTTP method, kind of entity and HTTP status; code none: no answer came.",
		}, []string{"gateway", "verb", "kind", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    Prefix + "admin_api_request_duration_seconds",
			Help:    "Time from sending a request to the end of its answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"gateway", "verb"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: Prefix + "drift_total",
			Help: "Entities in Kong that were found changed by somebody else, by gateway and kind of entity.",
		}, []string{"gateway", "kind"}),
		pruned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: Prefix + "pruned_total",
			Help: "Entities that were deleted from Kong because their resource is gone, by gateway and kind of entity.",
		}, []string{"gateway", "kind"}),
	}
}

// Observe counts a request; it is gateway.Options.Observe.
func (e *Engine) Observe(gateway string, o kong.Observation) {
	e.begin(gateway)
	code := "none"
	if o.Code != 0 {
		code = strconv.Itoa(o.Code)
	}
	e.requests.WithLabelValues(gateway, o.Verb, string(o.Kind), code).Inc()
	e.duration.WithLabelValues(gateway, o.Verb).Observe(float64(o.Duration) / float64(time.Second))
}

// begin has the counters of a gateway be there from its first request: Prometheus sees no increase where a counter's
// first value is 1.
func (e *Engine) begin(gateway string) {
	if _, known := e.known.LoadOrStore(gateway, true); known {
		return
	}
	for _, kind := range kong.Kinds() {
		e.drift.WithLabelValues(gateway, string(kind))
		e.pruned.WithLabelValues(gateway, string(kind))
	}
}

// Drifted counts an entity that somebody else changed; it is gateway.Options.Drifted.
func (e *Engine) Drifted(gateway string, kind kong.Kind) {
	e.drift.WithLabelValues(gateway, string(kind)).Inc()
}

// Pruned counts an entity that was deleted because its resource is gone; it is gateway.Options.Pruned.
func (e *Engine) Pruned(gateway string, kind kong.Kind) {
	e.pruned.WithLabelValues(gateway, string(kind)).Inc()
}

// Describe implements prometheus.Collector.
func (e *Engine) Describe(out chan<- *prometheus.Desc) {
	e.requests.Describe(out)
	e.duration.Describe(out)
	e.drift.Describe(out)
	e.pruned.Describe(out)
}

// Collect implements prometheus.Collector.
func (e *Engine) Collect(out chan<- prometheus.Metric) {
	e.requests.Collect(out)
	e.duration.Collect(out)
	e.drift.Collect(out)
	e.pruned.Collect(out)
}
