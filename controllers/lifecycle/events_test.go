package lifecycle

import (
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"
)

// A note is as long as an event takes, in bytes, and never ends within a character: the API server would refuse it.
func TestNotesFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 2*maxNote, -1).Draw(t, "text")
		note := shorten(text)
		if len(note) > maxNote || !utf8.ValidString(note) {
			t.Fatalf("%d bytes, valid %v", len(note), utf8.ValidString(note))
		}
		if len(text) <= maxNote && note != text {
			t.Fatalf("%q became %q", text, note)
		}
	})
}

type countedEvents struct{ normal, warning int }

func (c *countedEvents) Eventf(_, _ runtime.Object, kind, _, _, _ string, _ ...any) {
	if kind == corev1.EventTypeWarning {
		c.warning++
		return
	}
	c.normal++
}

// However many resources change at once: events have a bound, and Warnings one of their own.
func TestEventsAreBounded(t *testing.T) {
	var counted countedEvents
	recorder := limitEvents(&counted)
	const many = 10_000
	for range many {
		recorder.Eventf(nil, nil, corev1.EventTypeNormal, "Ready", "Reconcile", "")
	}
	if counted.normal < normalReserve || counted.normal > normalReserve+normalRate*10 {
		t.Errorf("%d of %d events", counted.normal, many)
	}
	recorder.Eventf(nil, nil, corev1.EventTypeWarning, "Conflict", "Reconcile", "")
	if counted.warning != 1 {
		t.Error("a Warning is dropped because of what is no Warning")
	}
}
