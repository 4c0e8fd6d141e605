package status

import "github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"

// remedyOf says what to do next; empty where there is nothing.
func remedyOf(r inventory.Resource) string {
	switch r.Health {
	case inventory.Ready:
		return ""
	case inventory.NotSeen:
		return "Where this stays, check that the operator runs and watches this namespace"
	default:
		return remedies[r.Reason]
	}
}
