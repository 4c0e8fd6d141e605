package lifecycle

import (
	"fmt"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxNote is the longest note that an event takes, in bytes. The API server refuses longer ones (events.k8s.io/v1,
// field note).
const maxNote = 1024

// Event records an event about a resource, on a transition only. kind is Normal or Warning.
func (l *Lifecycle) Event(object client.Object, kind, reason, action, note string) {
	l.recorder.Eventf(object, nil, kind, reason, action, "%s", shorten(note))
}

// Abbreviate names the first few of many, for a message.
func Abbreviate(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// shorten cuts a note to what an event takes, between characters. A cut inside a character of several bytes would make
// the note invalid UTF-8.
func shorten(note string) string {
	if len(note) <= maxNote {
		return note
	}
	end := maxNote - len("...")
	for end > 0 && !utf8.RuneStart(note[end]) {
		end--
	}
	return note[:end] + "..."
}

// Events are written one by one, and are gone after an hour. When thousands of resources change at once theirs would
// be half of all that is written to the API server, and nobody reads them: conditions and the log say the same. So
// each type has a rate, a second, and a reserve.
const (
	normalRate, normalReserve   = 5, 100
	warningRate, warningReserve = 20, 500
)

// limitedRecorder drops events beyond these rates. Warnings have a reserve of their own.
type limitedRecorder struct {
	next            events.EventRecorder
	normal, warning flowcontrol.RateLimiter
}

// limitEvents has events written within the rates.
func limitEvents(next events.EventRecorder) events.EventRecorder {
	return &limitedRecorder{
		next:    next,
		normal:  flowcontrol.NewTokenBucketRateLimiter(normalRate, normalReserve),
		warning: flowcontrol.NewTokenBucketRateLimiter(warningRate, warningReserve),
	}
}

// Eventf implements events.EventRecorder.
func (r *limitedRecorder) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	limiter := r.normal
	if kind == corev1.EventTypeWarning {
		limiter = r.warning
	}
	// TryAccept does not wait: a reconcile is not held up for an event. What is dropped is dropped without a word.
	if limiter.TryAccept() {
		r.next.Eventf(regarding, related, kind, reason, action, note, args...)
	}
}
