package gateway

import (
	"context"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// connectIngress keeps the engine of a gateway whose Kong belongs to an ingress controller.
func (r *Reconciler) connectIngress(ctx context.Context, object *v1alpha1.KongGateway) (engine.Programmer, error) {
	if r.Objects == nil || len(r.Inputs.GatewayNamespaces) == 0 {
		return nil, status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.ingressController: the operator has no namespace of its own "+
				"to keep the objects of the gateway in (KongGateway %s). Run it in a namespace, see --namespace.", object.Name)
	}
	own := r.Inputs.GatewayNamespaces[0]
	seed, err := r.secrets.Seed(ctx, "spec.ingressController", own, probeSecret)
	if err != nil {
		return nil, err
	}
	// A gateway in deletion leaves Kong whether or not its data planes can be asked.
	if err := r.setProxy(ctx, object); err != nil && object.DeletionTimestamp.IsZero() {
		return nil, err
	}
	settings := ingress.Settings{
		Class: object.Spec.IngressController.ClassName, Namespace: own, Key: string(seed),
		DriftInterval: object.Spec.Drift.Interval.Or(defaultDriftInterval),
	}
	pace := r.Pace
	if pace == (ingress.Pace{}) {
		pace = ingress.RealPace()
	}
	//nolint:contextcheck // The engine lives as long as the registry, not as long as this reconcile.
	return r.engines.EnsureOther(object.Name, settings, func(running context.Context, s engine.Start) engine.Programmer {
		ask := func(key string) string { return r.planes.behind(object.Name, key) }
		return ingress.Run(running, r.Objects, settings, pace, ask, s)
	}), nil
}

// observeIngress writes what the engine of an ingress controller's Kong knows into the status.
func observeIngress(object *v1alpha1.KongGateway, state engine.State) error {
	object.Status.KongVersion, object.Status.Capabilities, object.Status.PropagationDelay = "", nil, ""
	object.Status.Mode = v1alpha1.ModeIngressController
	message := ""
	if state.LeftOut != "" {
		message = "spec.ingressController: the fallback of an ingress controller left out a plugin that Kong refuses, and " +
			"serves what names it without it (" + state.LeftOut + "). Run the controller with " +
			"--use-last-valid-config-for-fallback, and have the plugin corrected."
	}
	status.Flag(&object.Status.Conditions, object.Generation, v1alpha1.ConditionFallbackOpens,
		v1alpha1.ReasonPluginLeftOut, message)
	if state.Ready {
		object.Status.Managed = managed(state.Reported)
		return nil
	}
	if state.Reason == v1alpha1.ReasonAwaitingController {
		return status.Wait(10*time.Second, state.Reason, "%s", state.Message)
	}
	wait := status.Wait(2*time.Second, state.Reason, "%s", state.Message)
	wait.Quiet = state.Reason == v1alpha1.ReasonProgressing && object.Status.ObservedGeneration == object.Generation
	return wait
}
