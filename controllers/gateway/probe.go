package gateway

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// probeSecret is the Secret in the operator's namespace that the probe routes of all gateways are derived from.
const probeSecret = "kong-jwt-operator-probe"

// setProxy says how the data planes of a gateway are asked, before anybody can use its engine. A process without a
// namespace of its own has no place for the seed of the route, and asks nobody.
func (r *Reconciler) setProxy(ctx context.Context, object *v1alpha1.KongGateway) error {
	spec := object.Spec.DataPlanes
	if spec == nil || len(r.Inputs.GatewayNamespaces) == 0 {
		r.planes.forget(object.Name)
		return nil
	}
	route, err := r.probeRoute(ctx, r.engines.Scope(object.Name))
	if err != nil {
		return err
	}
	settings, err := r.proxyTLS(ctx, *spec)
	if err != nil {
		return err
	}
	if err := r.planes.set(object.Name, proxySettings{*spec.DeepCopy(), route, settings}, r.Now); err != nil {
		return status.Stalled(v1alpha1.ReasonSecretInvalid, "spec.dataPlanes.tls: %v. Correct that.", err)
	}
	return nil
}

// +kubebuilder:rbac:groups="",resources=secrets,namespace=kong-jwt-system,verbs=create

// probeRoute gives the route by which data planes are asked. Its proof comes from a Secret that the operator keeps.
func (r *Reconciler) probeRoute(ctx context.Context, scope desired.Scope) (desired.ProbeRoute, error) {
	seed, err := r.secrets.Seed(ctx, "spec.dataPlanes", r.Inputs.GatewayNamespaces[0], probeSecret)
	if err != nil {
		return desired.ProbeRoute{}, err
	}
	return desired.NewProbeRoute(scope, seed), nil
}

// proxyTLS reads spec.dataPlanes.tls. A pod's certificate is taken to be for its Service, where no name is given:
// nobody has one for a pod's address.
func (r *Reconciler) proxyTLS(ctx context.Context, spec v1alpha1.DataPlanes) (probe.TLS, error) {
	var settings probe.TLS
	if ref := spec.ServiceRef; ref != nil {
		settings.ServerName = fmt.Sprintf("%s.%s.svc", ref.Name, ref.Namespace)
	}
	tls := spec.TLS
	if tls == nil {
		return settings, nil
	}
	const field = "spec.dataPlanes.tls"
	settings.InsecureSkipVerify = tls.InsecureSkipVerify
	if tls.ServerName != "" {
		settings.ServerName = tls.ServerName
	}
	var err error
	if ref := tls.CASecretRef; ref != nil {
		if settings.CA, err = r.Inputs.GatewaySecret(ctx, field+".caSecretRef", ref.SecretReference, ref.Key); err != nil {
			return settings, err
		}
	}
	if ref := tls.ClientCertificateSecretRef; ref != nil {
		if settings.Certificate, err = r.Inputs.GatewaySecret(ctx, field+".clientCertificateSecretRef", *ref, corev1.TLSCertKey); err != nil {
			return settings, err
		}
		if settings.Key, err = r.Inputs.GatewaySecret(ctx, field+".clientCertificateSecretRef", *ref, corev1.TLSPrivateKeyKey); err != nil {
			return settings, err
		}
	}
	return settings, nil
}

// programProbe keeps the route that data planes are asked by in Kong, for as long as the gateway names any. The route
// has the gateway as its owner, and goes through Engine.Sync like a tenant's: the gates, drift and deletion are the
// same.
func (r *Reconciler) programProbe(
	ctx context.Context, object *v1alpha1.KongGateway, running engine.Programmer, claims bool,
) error {
	owner := desired.GatewayOwner(object.Name)
	if _, asks := r.planes.get(object.Name); asks {
		route, err := r.probeRoute(ctx, running.Scope())
		if err != nil {
			return err
		}
		_, err = running.Sync(ctx, desired.BuildProbe(running.Scope(), route, claims), engine.SyncOptions{})
		return err
	}
	if !running.Holds(owner) {
		return nil
	}
	return running.Delete(ctx, owner)
}
