package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// Defaults of a KongGateway, where a field is not set.
const (
	defaultTimeout       = 10 * time.Second
	defaultConcurrency   = 50
	defaultDriftInterval = 5 * time.Minute
)

// settings reads what an engine needs to connect, its Secrets among it. Two settings that differ in anything start
// another engine (engine.Registry.Ensure compares them whole).
func (r *Reconciler) settings(ctx context.Context, object *v1alpha1.KongGateway) (engine.Settings, error) {
	admin := object.Spec.AdminAPI
	config := engine.ClientConfig{
		URL:         adminURL(admin),
		Workspace:   admin.Workspace,
		Timeout:     admin.Timeout.Or(defaultTimeout),
		Concurrency: int(admin.Concurrency),
		UserAgent:   v1alpha1.ManagedBy,
	}
	if config.Concurrency == 0 {
		config.Concurrency = defaultConcurrency
	}
	if admin.Auth != nil {
		token, err := r.Inputs.GatewaySecret(ctx, "spec.adminAPI.auth.secretRef", admin.Auth.SecretRef.SecretReference, admin.Auth.SecretRef.Key)
		if err != nil {
			return engine.Settings{}, err
		}
		// A file that was put into a Secret mostly ends in a line break, which no header takes.
		config.AuthHeader, config.AuthToken = admin.Auth.Header, engine.ClientSecret(strings.TrimSpace(string(token)))
	}
	if err := r.tlsSettings(ctx, admin.TLS, &config); err != nil {
		return engine.Settings{}, err
	}
	return engine.Settings{
		Client:        config,
		DriftInterval: object.Spec.Drift.Interval.Or(defaultDriftInterval),
		ReportDrift:   object.Spec.Drift.Policy == v1alpha1.DriftReport,
		Pods:          admin.ServiceRef != nil,
		Takeover:      object.Spec.Adoption == v1alpha1.AdoptionReplace,
		Adopt:         object.Spec.Adoption == v1alpha1.AdoptionUnowned,
	}, nil
}

// tlsSettings reads the authorities and the client certificate from their Secrets into a client's configuration.
func (r *Reconciler) tlsSettings(ctx context.Context, tls *v1alpha1.ClientTLS, config *engine.ClientConfig) error {
	if tls == nil {
		return nil
	}
	const field = "spec.adminAPI.tls"
	config.ServerName, config.InsecureSkipVerify = tls.ServerName, tls.InsecureSkipVerify
	var err error
	if ref := tls.CASecretRef; ref != nil {
		if config.CA, err = r.Inputs.GatewaySecret(ctx, field+".caSecretRef", ref.SecretReference, ref.Key); err != nil {
			return err
		}
	}
	if ref := tls.ClientCertificateSecretRef; ref != nil {
		if config.ClientCert, err = r.Inputs.GatewaySecret(ctx, field+".clientCertificateSecretRef", *ref, corev1.TLSCertKey); err != nil {
			return err
		}
		if config.ClientKey, err = r.Inputs.GatewaySecret(ctx, field+".clientCertificateSecretRef", *ref, corev1.TLSPrivateKeyKey); err != nil {
			return err
		}
	}
	return nil
}

// adminURL is the address of the Admin API: that of a Service where the spec refers to one.
func adminURL(admin v1alpha1.AdminAPI) string {
	if ref := admin.ServiceRef; ref != nil {
		return fmt.Sprintf("%s://%s.%s.svc:%d", ref.Scheme, ref.Name, ref.Namespace, ref.Port)
	}
	return admin.URL
}
