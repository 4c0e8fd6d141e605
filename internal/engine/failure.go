package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// failure is why a gateway cannot be used.
type failure struct {
	// reason is one of the reasons of api/v1alpha1, and message says what is wrong and what to do.
	reason, message string
	// persistent says that it does not pass by itself: a person has to change something.
	persistent bool
}

// explainFailure says why a gateway cannot be used: the field, the cause, and what to do.
func explainFailure(client kong.Config, heartbeat time.Duration, err error) failure {
	var unusable *backend.UnusableError
	var unlicensed *kong.UnlicensedError
	var unauthorized *kong.UnauthorizedError
	switch {
	case errors.As(err, &unusable):
		passes := unusable.Reason == v1alpha1.ReasonKongUnreachable || unusable.Reason == v1alpha1.ReasonProgressing
		return failure{unusable.Reason, unusable.Message, !passes}
	case errors.As(err, &unlicensed):
		return failure{v1alpha1.ReasonLicenseMissing, fmt.Sprintf("spec.adminAPI: Kong takes no writes, because its "+
			"Enterprise license is missing or expired (%s). Give Kong a valid license; the operator notices by itself.",
			client.URL), true}
	case errors.As(err, &unauthorized):
		return explainRefusal(client, unauthorized)
	case kong.IsNotFound(err) && client.Workspace != "":
		return failure{v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.adminAPI.workspace: Kong has no workspace %s (%s). "+
			"Write the name of one, or create it.", client.Workspace, client.URL), true}
	}
	if wrong, todo := explainAnswer(err); wrong != "" {
		return failure{v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.adminAPI: %s (%s). %s.", wrong, client.URL, todo), true}
	}
	if field, wrong, todo := explainCertificate(client, err); wrong != "" {
		return failure{v1alpha1.ReasonKongUnreachable, fmt.Sprintf("spec.adminAPI.tls%s: %s (%s). %s.",
			field, wrong, client.URL, todo), true}
	}
	return failure{v1alpha1.ReasonKongUnreachable, fmt.Sprintf("spec.adminAPI: Kong does not answer as it should: %v (%s). "+
		"Look whether it runs and listens there, and whether a NetworkPolicy stands between; it is asked every %s.",
		err, client.URL, heartbeat), false}
}

// explainRefusal says who answers 401 or 403, and what it wants.
func explainRefusal(client kong.Config, refused *kong.UnauthorizedError) failure {
	switch {
	case refused.Stranger:
		return failure{v1alpha1.ReasonKongUnreachable, fmt.Sprintf("spec.adminAPI: a mesh or a proxy before the Admin API "+
			"refuses the operator with %d (%s). Let the operator's ServiceAccount through there.",
			refused.Status, client.URL), true}
	case client.AuthToken == "":
		return failure{v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.adminAPI.auth: is not set, and the Admin API asks for a "+
			"token (%s). Name the Secret of one that may write.", client.URL), true}
	case client.Workspace != "":
		return failure{v1alpha1.ReasonSecretInvalid, fmt.Sprintf("spec.adminAPI.auth.secretRef: the Admin API refuses the "+
			"token (%s). Put one into the Secret that is valid and may write in workspace %s.",
			client.URL, client.Workspace), true}
	}
	return failure{v1alpha1.ReasonSecretInvalid, fmt.Sprintf("spec.adminAPI.auth.secretRef: the Admin API refuses the token "+
		"(%s). Put one into the Secret that is valid and may write.", client.URL), true}
}

// explainAnswer says what answers instead of an Admin API; nothing where it is Kong, or nothing answers.
func explainAnswer(err error) (wrong, todo string) {
	var unavailable *kong.UnavailableError
	if !errors.As(err, &unavailable) {
		if kong.IsNotFound(err) {
			return "what answers is no Admin API: it answers 404", "Name the Admin API (Kong's default port is 8001)"
		}
		return "", ""
	}
	switch unavailable.Cause {
	case kong.CauseTLSPort:
		return "the port wants TLS, and http is spoken to it",
			"Write https, or name the port for http (Kong's default is 8001)"
	case kong.CausePlainPort:
		return "the port speaks http, and TLS is spoken to it",
			"Write http, or name the port for TLS (Kong's default is 8444)"
	case kong.CauseProxyPort:
		return "Kong's proxy answers, and not its Admin API", "Name the Admin API's port (Kong's default is 8001)"
	case kong.CauseRedirect:
		return "the address answers with a redirect, as a login page does",
			"Name the Admin API itself: a redirect is not followed, because it would take the token along"
	case kong.CauseWebPage:
		return "a web page answers, such as a login page or Kong Manager", "Name the Admin API itself"
	case kong.CauseNotKong:
		return fmt.Sprintf("what answers is no Admin API (status %d)", unavailable.Status),
			"Name the Admin API (Kong's default port is 8001)"
	}
	return "", ""
}

// explainCertificate says what is wrong with a certificate, of Kong or of the operator; nothing where it is not that.
func explainCertificate(client kong.Config, err error) (field, wrong, todo string) {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var remote *net.OpError
	switch {
	case errors.As(err, &name):
		names := slices.Clone(name.Certificate.DNSNames)
		for _, address := range name.Certificate.IPAddresses {
			names = append(names, address.String())
		}
		if len(names) == 0 {
			return "", "Kong's certificate names no host (it has no subjectAltName), as the one that Kong makes itself",
				"Give Kong a certificate for its host, by admin_ssl_cert and admin_ssl_cert_key"
		}
		return ".serverName", fmt.Sprintf("Kong's certificate is for %s, and not for %s", strings.Join(names, ", "), name.Host),
			"Set serverName to a name that the certificate has"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "", fmt.Sprintf("Kong's certificate is valid from %s to %s", utc(invalid.Cert.NotBefore), utc(invalid.Cert.NotAfter)),
			"Renew it, or put the clock right"
	case errors.As(err, &authority) && len(client.CA) > 0:
		return ".caSecretRef", "the authority in this Secret did not sign Kong's certificate",
			"Put the certificate of the authority there that did; for a self-signed one, that certificate itself"
	case errors.As(err, &authority):
		return ".caSecretRef", "no authority that is known here signed Kong's certificate",
			"Name a Secret with the certificate of its authority; for a self-signed one, that certificate itself"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "", fmt.Sprintf("Kong's certificate cannot be verified: %v", err), "Give Kong another one"
	case errors.As(err, &remote) && remote.Op == "remote error" && len(client.ClientCert) == 0:
		return ".clientCertificateSecretRef", fmt.Sprintf("is not set, and Kong ends the TLS handshake: %v", remote.Err),
			"Name the Secret of a certificate that Kong takes"
	case errors.As(err, &remote) && remote.Op == "remote error":
		return ".clientCertificateSecretRef", fmt.Sprintf("Kong ends the TLS handshake: %v", remote.Err),
			"Put a certificate there that Kong takes"
	}
	return "", "", ""
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// license remembers that Kong takes no writes for want of its license. Kong reads and is healthy meanwhile, so that
// only a write tells whether it has one again.
type license struct {
	mu      sync.Mutex
	missing bool
	pause   time.Duration
	next    time.Time
}

// The time between two trials, which doubles.
const (
	firstLicensePause = 10 * time.Second
	lastLicensePause  = 2 * time.Minute
)

// note takes a failure in: a trial that is refused for want of the license makes the pause longer.
func (l *license) note(err error, now time.Time) {
	var unlicensed *kong.UnlicensedError
	if !errors.As(err, &unlicensed) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.missing:
		l.missing, l.pause = true, firstLicensePause
	case now.Before(l.next):
		return // a write that was under way
	default:
		l.pause = min(2*l.pause, lastLicensePause)
	}
	l.next = now.Add(l.pause)
}

// due says whether Kong may be looked at.
func (l *license) due(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.missing || !now.Before(l.next)
}

// isMissing says whether the last write was refused for want of a license.
func (l *license) isMissing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing
}

// found records that Kong took a write.
func (l *license) found() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing = false
}

// nothing is the id of an entity that Kong does not have.
const nothing = "7f3c1b52-93a4-4f0e-8d56-2b7c0e9a61d4"

// tryLicense asks, where Kong lacked its license, whether it has one again: it deletes what is not there. All but the
// refusal for want of the license, and a silence, says that Kong has it.
func (m *monitor) tryLicense(ctx context.Context) error {
	if !m.license.isMissing() {
		return nil
	}
	err := m.link.api.Delete(ctx, kong.KindService, "", nothing)
	var unlicensed *kong.UnlicensedError
	if errors.As(err, &unlicensed) || ambiguous(err) {
		return err
	}
	m.license.found()
	return nil
}

// lack records that a write was refused for want of the license. The owner is woken when Kong has it again.
func (m *monitor) lack(owner desired.Owner, err error) error {
	m.failed(err)
	if err := m.usable(owner); err != nil {
		return err
	}
	return errReplan // Kong was given a license in this moment
}
