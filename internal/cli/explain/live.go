package explain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/probe"
)

// Where the operator keeps what its probe routes are derived from.
const (
	probeSecret = "kong-jwt-operator-probe"
	probeKey    = "seed"
)

// liveOptions say how data planes are asked.
type liveOptions struct {
	on           bool
	proxies      []string
	caFile       string
	operator     string
	installation string
}

func (o *liveOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.on, "live", false, "Ask the data planes whether they hold the credential, by the operator's probe route; no request reaches an upstream")
	flags.StringSliceVar(&o.proxies, "data-plane", nil, "Data planes to ask, instead of the KongGateway's spec.dataPlanes.urls; may be given again")
	flags.StringVar(&o.caFile, "data-plane-ca-file", "", "Certificate authorities (PEM) of the data planes, instead of those of spec.dataPlanes.tls, or the system's")
	flags.StringVar(&o.operator, "operator-namespace", "kong-jwt-system", "Namespace of the operator, whose Secret "+probeSecret+" says where the probe route is")
	flags.StringVar(&o.installation, "installation-id", "", "The operator's --installation-id, where it has one")
	cobra.CheckErr(cmd.MarkFlagFilename("data-plane-ca-file"))
}

// ask asks the data planes whether they hold the credential that the token names. The token itself goes nowhere: each
// question is a token of its own that no service takes, signed with the credential's material where that is known.
func (o *liveOptions) ask(ctx context.Context, d *directory, now func() time.Time) explain.Check {
	check := explain.Check{Name: "data planes", Outcome: jwtplugin.Unknown}
	if d.found == nil {
		check.Outcome, check.Detail = jwtplugin.Skipped, "there is no credential to ask for"
		return check
	}
	asker, addresses, err := o.asker(ctx, d, now)
	if err != nil {
		check.Detail = err.Error()
		return check
	}
	if d.found.problem != "" {
		d.load(d.found) // a credential that shall be gone may be held all the same
	}
	m := d.found.material
	if d.found.unreadable != nil {
		// The key alone can be asked for: with a signature that is wrong, and that Kong finds so only where it
		// knows the key.
		m = credential.Material{Key: d.found.key, Algorithm: v1alpha1.Algorithm(d.load(d.found).Algorithm)}
	}
	results, err := asker.Ask(ctx, addresses, m, probe.Present)
	if err != nil {
		check.Detail = err.Error()
		return check
	}
	return judge(check, results)
}

// judge puts what data planes said together.
func judge(check explain.Check, results []probe.Result) explain.Check {
	conclusion, words := probe.Conclude(results, probe.Present)
	switch conclusion {
	case probe.Confirmed:
		check.Outcome, check.Detail = jwtplugin.Passed, "they hold the credential: "+words
	case probe.Contradicted:
		check.Outcome, check.Detail = jwtplugin.Failed, words
		check.Remedy = "Where the JwtConsumer is Ready, a data plane does not get Kong's changes: look at its log. Where it was changed just now, wait for the gateway's status.propagationDelay."
	default:
		check.Detail = words
		check.Remedy = "Data planes have to be reachable from here: name others with --data-plane, through kubectl port-forward for one."
	}
	return check
}

func (o *liveOptions) asker(ctx context.Context, d *directory, now func() time.Time) (*probe.Asker, []string, error) {
	addresses := o.proxies
	gateway := d.cluster.gateway(d.gateway)
	switch {
	case gateway != nil && gateway.Spec.DataPlanes == nil:
		return nil, nil, fmt.Errorf("KongGateway %s names no data planes (spec.dataPlanes), and so has no probe route to ask by", d.gateway)
	case len(addresses) == 0 && gateway != nil:
		addresses = gateway.Spec.DataPlanes.URLs
	}
	if len(addresses) == 0 {
		return nil, nil, errors.New("no address of a data plane is known; give one with --data-plane")
	}
	data, err := material.Secret(ctx, d.cluster.kube, o.operator, probeSecret)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (see --operator-namespace)", err)
	}
	if len(data[probeKey]) == 0 {
		return nil, nil, fmt.Errorf("secret %s/%s holds no seed", o.operator, probeSecret)
	}
	installation := o.installation
	if installation == "" {
		var namespace corev1.Namespace
		if err := d.cluster.kube.Get(ctx, client.ObjectKey{Name: "kube-system"}, &namespace); err != nil {
			return nil, nil, fmt.Errorf("read namespace kube-system for the installation id (or give --installation-id): %w", err)
		}
		installation = string(namespace.UID)
	}
	config, err := o.tls(ctx, d.cluster.kube, gateway)
	if err != nil {
		return nil, nil, err
	}
	route := desired.NewProbeRoute(desired.Scope{Installation: installation, Gateway: d.gateway}, data[probeKey])
	return probe.NewAsker(route, config, now), trim(addresses), nil
}

// tls is how the gateway says that its data planes are trusted, with the authorities of --data-plane-ca-file where
// that is given.
func (o *liveOptions) tls(ctx context.Context, kube client.Reader, gateway *v1alpha1.KongGateway) (*tls.Config, error) {
	var settings probe.TLS
	if gateway != nil && gateway.Spec.DataPlanes != nil && gateway.Spec.DataPlanes.TLS != nil {
		spec := gateway.Spec.DataPlanes.TLS
		settings.ServerName, settings.InsecureSkipVerify = spec.ServerName, spec.InsecureSkipVerify
		if ref := spec.CASecretRef; ref != nil && o.caFile == "" {
			data, err := material.Secret(ctx, kube, ref.Namespace, ref.Name)
			if err != nil {
				return nil, err
			}
			settings.CA = data[ref.Key]
		}
		if ref := spec.ClientCertificateSecretRef; ref != nil {
			data, err := material.Secret(ctx, kube, ref.Namespace, ref.Name)
			if err != nil {
				return nil, err
			}
			settings.Certificate, settings.Key = data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]
		}
	}
	if o.caFile != "" {
		content, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("--data-plane-ca-file: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("--data-plane-ca-file: %s holds no certificate", o.caFile)
		}
		settings.CA = content
	}
	config, err := settings.Config()
	if err != nil {
		return nil, fmt.Errorf("spec.dataPlanes.tls.%w", err)
	}
	return config, nil
}

func trim(addresses []string) []string {
	all := make([]string, len(addresses))
	for i, address := range addresses {
		all[i] = strings.TrimRight(address, "/")
	}
	return all
}
