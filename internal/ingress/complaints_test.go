package ingress

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/refusals"
)

func TestAComplaintThatComesLateIsNotAboutTheCorrection(t *testing.T) {
	written := time.Date(2026, 1, 1, 12, 0, 0, 400, time.UTC)
	said := func(seconds int) corev1.Event {
		return corev1.Event{LastTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 12, 0, seconds, 0, time.UTC))}
	}
	anew := said(10)
	anew.InvolvedObject.UID = "former"
	same := said(10)
	same.InvolvedObject.UID = "now"
	series := said(-60)
	series.Series = &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(written.Add(10 * time.Second))}
	micro := corev1.Event{EventTime: metav1.NewMicroTime(written.Add(10 * time.Second))}
	for name, test := range map[string]struct {
		event corev1.Event
		own   held.Object
		want  bool
	}{
		"said before it was written, read after": {said(-5), held.Object{Written: written}, false},
		"said of a push that was under way":      {said(1), held.Object{Written: written}, false},
		"said of a push that came later":         {said(3), held.Object{Written: written}, true},
		"of the object before it was made anew":  {anew, held.Object{Written: written, UID: "now"}, false},
		"of this object":                         {same, held.Object{Written: written, UID: "now"}, true},
		"of what was there when this began":      {said(3), held.Object{}, true},
		"an event with a series":                 {series, held.Object{Written: written}, true},
		"an event with microseconds":             {micro, held.Object{Written: written}, true},
	} {
		owner := desired.ServiceOwner("team", "api")
		test.own.Object = plugin("limit", "1")
		test.own.Owner = owner
		test.event.InvolvedObject.Kind, test.event.InvolvedObject.Name = test.own.Kind, test.own.Name
		test.event.Message = "invalid config.minute: expected a number"
		kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
			List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
				list.(*corev1.EventList).Items = []corev1.Event{test.event}
				return nil
			},
		})
		m := &monitor{rooms: &rooms{
			about: about{cluster: cluster{kube}, start: engine.Start{Notify: func(engine.Event) {}}},
			held:  held.New(), refusals: refusals.New(time.Hour, time.Now),
			barrier: barrier.New(&barrierObject{}, barrier.Pace{}, time.Now),
		}}
		m.held.Put(test.own)
		m.findBlame(t.Context(), written.Add(-time.Hour))
		blamed := len(m.refusals.Refused(owner, refusals.Sums{test.own.Reference: "1"})) > 0
		if blamed != test.want {
			t.Errorf("%s: blamed %v", name, blamed)
		}
	}
}
