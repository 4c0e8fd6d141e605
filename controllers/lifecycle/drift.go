package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// maxDrifted is how many drifted entities a status takes: the maxItems of status.drift in the CRD. More would have the
// whole status refused.
const maxDrifted = 64

// KnownDrift lists the ids of what was left as somebody else made it, as the status remembers. Where the spec has
// changed since, what is wanted now counts. The engine remembers drift in memory alone. Without these ids a process
// that starts would put back what spec.drift.policy Report has left.
func KnownDrift(object v1alpha1.GatewayUser) []string {
	// The status is that of a former spec.
	if *object.GetObservedGeneration() != object.GetGeneration() {
		return nil
	}
	drift := *object.GetDrift()
	ids := make([]string, 0, len(drift))
	for _, d := range drift {
		ids = append(ids, d.KongID)
	}
	return ids
}

// ReportDrift says what somebody else had changed in Kong: by an event when it was put back or is new, and in the
// status as long as it is left. It is called after each Sync, also after one that failed: what was put back until then
// is told. gateway is a name, for the message.
func (l *Lifecycle) ReportDrift(object v1alpha1.GatewayUser, gateway string, result engine.Result) {
	drift, conditions := object.GetDrift(), object.GetConditions()
	former := *drift
	var left []v1alpha1.DriftedEntity
	var corrected, reported []string
	for _, d := range result.Drifts {
		text := describeDrift(d)
		if d.Corrected {
			corrected = append(corrected, text)
			continue
		}
		entity := v1alpha1.DriftedEntity{Kind: d.Kind.Singular(), Name: d.Name, KongID: d.ID, Change: v1alpha1.DriftChange(d.Change), Fields: d.Fields}
		left = append(left, entity)
		// An event tells of it once. The status is what remembers that it was told, so that a restart does not
		// tell again.
		if !slices.ContainsFunc(former, func(f v1alpha1.DriftedEntity) bool { return f.KongID == entity.KongID && f.Change == entity.Change }) {
			reported = append(reported, text)
		}
	}
	if len(corrected) > 0 {
		l.Event(object, corev1.EventTypeWarning, v1alpha1.EventDriftCorrected, "Sync",
			"Somebody else changed this in Kong, and it was put back: "+strings.Join(corrected, "; "))
	}
	if len(reported) > 0 {
		l.Event(object, corev1.EventTypeWarning, v1alpha1.ReasonDriftReported, "Sync",
			"Somebody else changed this in Kong, and it stays so: "+strings.Join(reported, "; "))
	}
	if !result.Applied {
		return // it is not known of all
	}
	*drift = left[:min(len(left), maxDrifted)]
	if len(left) == 0 {
		*drift = nil
		apimeta.RemoveStatusCondition(conditions, v1alpha1.ConditionDrifted)
		return
	}
	texts := make([]string, 0, len(left))
	for _, d := range result.Drifts {
		if !d.Corrected {
			texts = append(texts, describeDrift(d))
		}
	}
	// Drifted stands beside Ready, and does not make it false: the policy asks for it to be left.
	apimeta.SetStatusCondition(conditions, metav1.Condition{
		Type: v1alpha1.ConditionDrifted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonDriftReported, ObservedGeneration: object.GetGeneration(),
		Message: fmt.Sprintf("Somebody else changed this in Kong: %s. It stays so because spec.drift.policy of KongGateway %s is Report: Correct puts it back",
			Abbreviate(texts), gateway),
	})
}

// describeDrift names an entity and what of it differs; never a value.
func describeDrift(d engine.Drift) string {
	what := d.Kind.Singular() + " " + d.Name
	switch {
	case d.Change == engine.Deleted:
		return what + " was deleted"
	case d.Change == engine.Appeared:
		return what + " appeared with our tags"
	case len(d.Fields) == 0:
		return what + " was changed"
	}
	return what + " was changed in " + strings.Join(d.Fields, ", ")
}
