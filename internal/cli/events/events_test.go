package events_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/events"
)

func event(namespace, kind, name, kindOfEvent, reason string, ago time.Duration) *corev1.Event {
	about := corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: name}
	if kind == "KongGateway" {
		about.Namespace = ""
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "." + reason}, InvolvedObject: about, Type: kindOfEvent,
		Reason: reason, Message: "said of " + name, EventTime: metav1.NewMicroTime(clitest.Now.Add(-ago)),
	}
}

// What other controllers say of their objects is left out, and what the operator says comes in the order of time.
func TestEvents(t *testing.T) {
	again := event("shop", "JwtConsumer", "worker", "Warning", "Conflict", 30*time.Minute)
	again.Series = &corev1.EventSeries{Count: 7, LastObservedTime: metav1.NewMicroTime(clitest.Now.Add(-time.Minute))}
	cluster := []client.Object{
		again,
		event("shop", "JwtConsumer", "worker", "Normal", "Rotated", 20*time.Minute),
		event("shop", "JwtProtectedService", "orders", "Normal", "Adopted", 25*time.Minute),
		event("shop", "Pod", "orders", "Warning", "BackOff", time.Minute),
		event("default", "KongGateway", "main", "Warning", "KongUnreachable", 2*time.Hour),
		event("default", "JwtConsumer", "other", "Normal", "Rotated", 3*time.Hour),
	}
	for name, c := range map[string]struct {
		args  []string
		want  []string
		lacks []string
	}{
		"of a namespace, and of gateways": {
			[]string{"-n", "shop"},
			[]string{"konggateway/main", "jwtprotectedservice/orders", "jwtconsumer/worker", "jwtconsumer/worker"}, []string{"BackOff", "other"},
		},
		"of one":       {[]string{"-n", "shop", "jwtc/worker"}, []string{"Rotated", "(x7)", "Conflict"}, []string{"orders", "main"}},
		"that warn":    {[]string{"-n", "shop", "--warnings"}, []string{"KongUnreachable", "Conflict"}, []string{"Rotated", "Adopted"}},
		"of all":       {[]string{"-A"}, []string{"jwtconsumer/default/other", "konggateway/main", "jwtconsumer/shop/worker"}, []string{"BackOff"}},
		"of a gateway": {[]string{"-n", "shop", "kgw/main"}, []string{"120m ago", "konggateway/main"}, []string{"worker"}},
		"of nobody":    {[]string{"-n", "empty", "jwtc/nobody"}, []string{"no events"}, nil},
	} {
		s := clitest.New(t, cluster...)
		if err := s.Run(t, events.Command, c.args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		rest := s.Out.String()
		for _, text := range c.want {
			_, after, found := strings.Cut(rest, text)
			if !found {
				t.Errorf("%s: %q does not come in its turn in\n%s", name, text, s.Out)
			}
			rest = after
		}
		for _, text := range c.lacks {
			if strings.Contains(s.Out.String(), text) {
				t.Errorf("%s: %q is in\n%s", name, text, s.Out)
			}
		}
	}
}

func TestEventsForMachines(t *testing.T) {
	s := clitest.New(t, event("shop", "JwtToken", "t", "Normal", "Renewed", time.Minute))
	if err := s.Run(t, events.Command, "-n", "shop", "-o", "json"); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Kind   string
		Events []events.Event
	}
	if err := json.Unmarshal(s.Out.Bytes(), &answer); err != nil || answer.Kind != "EventList" || len(answer.Events) != 1 {
		t.Fatalf("%v: %s", err, s.Out)
	}
	if e := answer.Events[0]; e.Kind != "JwtToken" || e.Count != 1 || e.Reason != "Renewed" || e.Namespace != "shop" {
		t.Errorf("%+v", e)
	}
}

func TestEventsOfWhatIsNone(t *testing.T) {
	for _, args := range [][]string{{"worker"}, {"pod/x"}, {"jwtc/"}, {"-A", "jwtc/worker"}, {"-o", "table"}} {
		if err := clitest.New(t).Run(t, events.Command, args...); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
