package gateway

import (
	"fmt"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// observe writes what the engine knows into the status. Counts of a gateway that is away stay as they were. The error
// is what Ready says: nil for a gateway that can be used, else a wait or a stall with the engine's reason.
func observe(object *v1alpha1.KongGateway, state engine.State) error {
	if object.Spec.IngressController != nil {
		return observeIngress(object, state)
	}
	if state.KongVersion != "" {
		object.Status.KongVersion = state.KongVersion
		object.Status.Capabilities = desired.ShowCapabilities(state.Kong.Capabilities)
		object.Status.Mode = v1alpha1.ModeDatabase
		if state.Database == "off" {
			object.Status.Mode = v1alpha1.ModeDBLess
		}
		object.Status.PropagationDelay = state.PropagationDelay.Round(time.Millisecond).String()
	}
	if state.Ready {
		object.Status.Managed = managed(state.Reported)
		flagClaimsBypassed(object, state.ClaimsBypassed)
		if object.Status.Mode == v1alpha1.ModeDBLess && object.Spec.Drift.Policy == v1alpha1.DriftReport {
			return status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.drift.policy: a Kong without a database gets its configuration whole, "+
				"so that what somebody else changes there never stays. Set it to Correct.")
		}
		return nil
	}
	if state.Stalled {
		return status.Stalled(state.Reason, "%s", state.Message)
	}
	wait := status.Wait(0, state.Reason, "%s", state.Message)
	// While an engine connects, the status that is there says more.
	wait.Quiet = state.Reason == v1alpha1.ReasonProgressing && object.Status.ObservedGeneration == object.Generation
	return wait
}

// flagClaimsBypassed says what answers before claims are checked. Who owns the Kong can change it; tenants cannot.
func flagClaimsBypassed(object *v1alpha1.KongGateway, bypassing string) {
	message := ""
	if bypassing != "" {
		message = "spec.adminAPI: " + bypassing + ", which answers requests before services check the claims of their " +
			"tokens. Ask its owner to put it on a service that has no spec.claims."
	}
	status.Flag(&object.Status.Conditions, object.Generation, v1alpha1.ConditionClaimsBypassed,
		v1alpha1.ReasonAnsweredBeforeClaims, message)
}

func managed(counts engine.Counts) *v1alpha1.ManagedEntities {
	return &v1alpha1.ManagedEntities{
		Consumers: int32(counts.Consumers), Credentials: int32(counts.Credentials), Groups: int32(counts.Groups),
		Services: int32(counts.Services), Routes: int32(counts.Routes), Plugins: int32(counts.Plugins),
	}
}

func readyMessage(s v1alpha1.KongGatewayStatus) string {
	if s.Mode == v1alpha1.ModeIngressController {
		return "The ingress controller takes this gateway's objects"
	}
	return fmt.Sprintf("Connected to Kong %s (%s)", s.KongVersion, s.Mode)
}
