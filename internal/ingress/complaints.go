package ingress

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// complaint is what Kong refused of an object, by an event of the controller's: the field, and no values.
type complaint struct {
	field string
	// uid is that of the object; empty where the event does not say it. at is when it was said last, in whole
	// seconds.
	uid string
	at  time.Time
}

// pushTakes is how long a push may take: what is said after it is about what was there when it began.
const pushTakes = time.Second

// isAbout says whether a complaint is about an object as this process wrote it, and not about what was there before:
// an event may come late, and has no version. Of a refusal that lasts the controller complains again with each push.
func (c complaint) isAbout(o held.Object) bool {
	if c.uid != "" && o.UID != "" && c.uid != o.UID {
		return false
	}
	return o.Written.IsZero() || !c.at.Before(o.Written.Add(pushTakes))
}

// saidLast is when an event was said last.
func saidLast(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil && event.Series.LastObservedTime.After(event.LastTimestamp.Time):
		return event.Series.LastObservedTime.Time
	case event.LastTimestamp.IsZero():
		return event.EventTime.Time
	}
	return event.LastTimestamp.Time
}

// refused are what Kong refused of objects since a time.
func (c cluster) refused(ctx context.Context, since time.Time) (map[objects.Reference]complaint, error) {
	var list corev1.EventList
	err := c.kube.List(ctx, &list, client.MatchingFields{"reason": "KongConfigurationApplyFailed",
		"type": corev1.EventTypeWarning})
	if err != nil {
		return nil, fmt.Errorf("list the ingress controller's events: %w", err)
	}
	found := map[objects.Reference]complaint{}
	for i := range list.Items {
		event := &list.Items[i]
		on := event.InvolvedObject
		at := saidLast(event)
		if on.Kind == "Pod" || at.Add(time.Second).Before(since) {
			continue
		}
		// After the field's name there may be a value, which may be a secret.
		field, _, _ := strings.Cut(event.Message, ": ")
		r := objects.Reference{Kind: on.Kind, Namespace: on.Namespace, Name: on.Name}
		for _, kind := range written { // an event need not name the version
			if kind.Kind == on.Kind {
				r.APIVersion = kind.GroupVersion().String()
			}
		}
		if former, known := found[r]; !known || former.at.Before(at) {
			found[r] = complaint{field: strings.TrimSuffix(field, ":"), uid: string(on.UID), at: at}
		}
	}
	return found, nil
}

// longestPause is the longest between two attempts at what fails.
const longestPause = 30 * time.Second

// trouble is that of something that is tried again and again. The zero value is none.
type trouble struct {
	err error
	// since is when it failed first, and again when it is tried next.
	since, again time.Time
	pause        time.Duration
}

// note notes how an attempt ended. The first pause after a failure is given, and it doubles with every one in a row.
func (t *trouble) note(err error, now time.Time, first time.Duration) {
	if err == nil {
		*t = trouble{}
		return
	}
	if t.err == nil {
		t.since, t.pause = now, first/2
	}
	t.err, t.pause = err, min(2*t.pause, longestPause)
	t.again = now.Add(t.pause)
}

// pauses says whether it is too early for the next attempt. A clock may be set back.
func (t *trouble) pauses(now time.Time) bool {
	return t.err != nil && now.Before(t.again) && !now.Before(t.again.Add(-t.pause))
}

// lasts says whether it has failed for longer than a time.
func (t *trouble) lasts(now time.Time, limit time.Duration) bool {
	return t.err != nil && now.Sub(t.since) > limit
}
