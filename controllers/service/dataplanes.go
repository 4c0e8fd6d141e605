package service

import (
	"context"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// gatewayChanged says whether a gateway's change may matter to its services: its spec, or whether its data planes
// check claims.
func gatewayChanged(before, after *v1alpha1.KongGateway) bool {
	return before.Generation != after.Generation || claimsSaid(before) != claimsSaid(after)
}

// claimsSaid is what a gateway says of its data planes and claims.
func claimsSaid(gateway *v1alpha1.KongGateway) string {
	said := apimeta.FindStatusCondition(gateway.Status.Conditions, v1alpha1.ConditionClaimsChecked)
	if said == nil {
		return ""
	}
	return string(said.Status) + " " + said.Message
}

// checkDataPlanes holds a service back whose claims are not known to be checked on every data plane. One that is in
// Kong already is kept up, as what it takes away has to go, and says that it is not Ready. Whether a node runs the
// program of spec.claims is in its own kong.conf (plugins, untrusted_lua), which the Admin API of another node does
// not know: the data planes are asked, and their answers are the gateway's condition ClaimsChecked. nil from here lets
// sync go on; unchecked is joined to the error in the end.
func (r *reconciliation) checkDataPlanes(context.Context) error {
	if r.service.Spec.Claims == nil || !r.gateway.AsksDataPlanes ||
		!desired.RunsClaims(r.gateway.Engine.Capabilities()) {
		return nil
	}
	said := r.gateway.ClaimsChecked
	held := r.gateway.Engine.InKong(desired.ClaimsPluginID(r.gateway.Scope, r.service), false)
	switch {
	case said == nil && held:
		return nil
	case said == nil:
		return status.Wait(0, v1alpha1.ReasonAwaitingDataPlane, "waiting until the data planes are asked whether they check claims")
	case said.Status == metav1.ConditionTrue, said.Status == metav1.ConditionUnknown && held:
		return nil
	case said.Status == metav1.ConditionUnknown:
		return status.Wait(0, v1alpha1.ReasonAwaitingDataPlane,
			"waiting until every data plane is known to check claims: %s", said.Message)
	}
	r.unchecked = status.Stalled(v1alpha1.ReasonAwaitingDataPlane,
		"spec.claims: a data plane does not check claims (KongGateway %s, %s). Correct kong.conf there, or remove spec.claims.",
		r.gateway.Scope.Gateway, said.Message)
	if held {
		return nil
	}
	return r.unchecked
}
