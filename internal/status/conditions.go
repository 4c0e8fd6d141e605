package status

import (
	"errors"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// maxMessage is the longest message that the API server takes, in bytes.
const maxMessage = 32768

// Apply writes what a reconcile came to into the conditions, by kstatus's rules: Ready always; Reconciling or Stalled
// while they are true, never both. message is Ready's where err is nil. Of several StalledErrors the first gives the
// reason, and the message has all. Where the resource is suspended, Ready and
// Stalled stay as they were: what is in Kong goes on as it is. Conditions change only where they differ.
func Apply(conditions *[]metav1.Condition, generation int64, message string, err error) {
	var stalled *StalledError
	var wait *WaitError
	switch {
	case err == nil:
		set(conditions, generation, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, message)
		clearAbnormal(conditions, "")
	case errors.As(err, &stalled) && stalled.Reason == v1alpha1.ReasonSuspended:
		set(conditions, generation, v1alpha1.ConditionSuspended, metav1.ConditionTrue, stalled.Reason, stalled.Message)
		apimeta.RemoveStatusCondition(conditions, v1alpha1.ConditionReconciling)
		return
	case errors.As(err, &stalled):
		abnormal(conditions, generation, v1alpha1.ConditionStalled, stalled.Reason, joinMessages(AllStalled(err)))
	case errors.As(err, &wait):
		abnormal(conditions, generation, v1alpha1.ConditionReconciling, wait.Reason, wait.Message)
	default:
		abnormal(conditions, generation, v1alpha1.ConditionReconciling, v1alpha1.ReasonProgressing, "trying again: "+err.Error())
	}
	apimeta.RemoveStatusCondition(conditions, v1alpha1.ConditionSuspended)
	flagController(conditions, generation, err)
}

// AllStalled gathers every StalledError of a tree of errors, in its order: each is for somebody to put right.
func AllStalled(err error) (all []*StalledError) {
	switch e := err.(type) { //nolint:errorlint // It goes through the tree of errors itself.
	case *StalledError:
		return []*StalledError{e}
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			all = append(all, AllStalled(each)...)
		}
		return all
	}
	if cause := errors.Unwrap(err); cause != nil {
		return AllStalled(cause)
	}
	return nil
}

// joinMessages makes one message of many, each once.
func joinMessages(all []*StalledError) string {
	joined := ""
	for i, each := range all {
		if slices.ContainsFunc(all[:i], func(e *StalledError) bool { return e.Message == each.Message }) {
			continue
		}
		switch {
		case joined == "":
		case strings.HasSuffix(joined, "."):
			joined += " "
		default:
			joined += "; "
		}
		joined += each.Message
	}
	return joined
}

// flagController sets what an ingress controller holds up, also beside what stalls.
func flagController(conditions *[]metav1.Condition, generation int64, err error) {
	var wait *WaitError
	waiting, pending := "", ""
	if errors.As(err, &wait) {
		switch wait.Reason {
		case v1alpha1.ReasonAwaitingController:
			waiting = wait.Message
		case v1alpha1.ReasonRevocationPending:
			waiting, pending = wait.Message, wait.Message
		}
	}
	Flag(conditions, generation, v1alpha1.ConditionAwaitingController, v1alpha1.ReasonAwaitingController, waiting)
	Flag(conditions, generation, v1alpha1.ConditionRevocationPending, v1alpha1.ReasonRevocationPending, pending)
}

func abnormal(conditions *[]metav1.Condition, generation int64, kind, reason, message string) {
	set(conditions, generation, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	set(conditions, generation, kind, metav1.ConditionTrue, reason, message)
	clearAbnormal(conditions, kind)
}

func clearAbnormal(conditions *[]metav1.Condition, except string) {
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if kind != except {
			apimeta.RemoveStatusCondition(conditions, kind)
		}
	}
}

// Flag sets a condition that is there only while it is true, or takes it off where message is empty.
func Flag(conditions *[]metav1.Condition, generation int64, kind, reason, message string) {
	if message == "" {
		apimeta.RemoveStatusCondition(conditions, kind)
		return
	}
	set(conditions, generation, kind, metav1.ConditionTrue, reason, message)
}

// Explain gives a condition that is there another reason.
func Explain(conditions *[]metav1.Condition, kind, reason string) {
	if condition := apimeta.FindStatusCondition(*conditions, kind); condition != nil {
		condition.Reason = reason
	}
}

// Set sets a condition that speaks beside Ready, and says whether it differs from what was there.
func Set(conditions *[]metav1.Condition, condition metav1.Condition) (changed bool) {
	condition.Message = shortened(condition.Message)
	return apimeta.SetStatusCondition(conditions, condition)
}

func set(conditions *[]metav1.Condition, generation int64, kind string, value metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(conditions, metav1.Condition{
		Type:               kind,
		Status:             value,
		Reason:             reason,
		Message:            shortened(message),
		ObservedGeneration: generation,
	})
}

// shortened is a message that the API server takes.
func shortened(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage-3], "") + "..." // a letter may have been cut in two
}

// Next says when to look at the resource again, and whether the error should count as a failure that backs off. Of
// several errors that are joined, the one that asks for the soonest look counts, and any that is a failure.
func Next(err error) (after time.Duration, retry error) {
	switch e := err.(type) { //nolint:errorlint // It goes through the tree of errors itself.
	case nil:
		return 0, nil
	case *StalledError:
		return e.RetryAfter, nil
	case *WaitError:
		return e.After, nil
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			soon, failure := Next(each)
			after = Sooner(after, soon)
			if failure != nil {
				retry = err
			}
		}
		return after, retry
	default:
		if cause := errors.Unwrap(err); cause != nil {
			after, failure := Next(cause)
			if failure != nil {
				failure = err
			}
			return after, failure
		}
		return 0, err
	}
}

// Sooner is the earlier of two moments to look again, where zero stands for never.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
