// Package status turns what happened in a reconcile into conditions, and errors into what to do next.
package status

import (
	"fmt"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// StalledError says that somebody has to change something before the work can go on. Trying again at once would not
// help.
type StalledError struct {
	// Reason is one of the API's reasons, such as v1alpha1.ReasonConflict.
	Reason string
	// Message says what is wrong, where, and what to do. It never holds a secret.
	Message string
	// RetryAfter is when to look again all the same, for causes that no watch reports. Zero: only when something
	// changes.
	RetryAfter time.Duration
}

// AwaitsGateway says whether a reason is that the gateway cannot be used now: nothing is wrong with the resource,
// which goes on by itself once the gateway can be.
func AwaitsGateway(reason string) bool {
	switch reason {
	case v1alpha1.ReasonKongUnreachable, v1alpha1.ReasonGatewayNotReady,
		v1alpha1.ReasonAwaitingController, v1alpha1.ReasonRevocationPending:
		return true
	}
	return false
}

// Error gives the message.
func (e *StalledError) Error() string { return e.Message }

// Stalled makes a StalledError.
func Stalled(reason, format string, args ...any) *StalledError {
	return &StalledError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// WaitError says that the work goes on by itself later.
type WaitError struct {
	// Reason is one of the API's reasons, such as v1alpha1.ReasonProgressing.
	Reason string
	// Message says what is waited for. It never holds a secret.
	Message string
	// After is when to go on. Zero: something else wakes the resource.
	After time.Duration
	// Quiet leaves the status as it is: nothing is known to have changed and nothing was done, as in the first
	// moments of the operator's life, and the next look comes soon.
	Quiet bool
}

// Error gives the message.
func (e *WaitError) Error() string { return e.Message }

// Wait makes a WaitError.
func Wait(after time.Duration, reason, format string, args ...any) *WaitError {
	return &WaitError{Reason: reason, Message: fmt.Sprintf(format, args...), After: after}
}
