package desired

import (
	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// unsupported is a field that this version takes but cannot act on yet.
func unsupported(field string) error {
	return status.Stalled(v1alpha1.ReasonNotImplemented, "%s: this version does not act on it yet, and applies nothing of the spec rather than half of it; remove it", field)
}

type optional struct {
	field string
	set   bool
}

func firstSet(fields ...optional) error {
	for _, f := range fields {
		if f.set {
			return unsupported(f.field)
		}
	}
	return nil
}

// CheckGateway refuses what this version cannot do yet of a KongGateway.
func CheckGateway(spec v1alpha1.KongGatewaySpec) error {
	return firstSet(
		optional{"spec.drift.policy", spec.Drift.Policy != "" && spec.Drift.Policy != "Correct"},
	)
}
