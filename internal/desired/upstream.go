package desired

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/address"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// upstreamFields makes a service's Kong fields but for its name.
func upstreamFields(policy Policy, service *v1alpha1.JwtProtectedService, target *corev1.Service) (kong.Fields, error) {
	spec := service.Spec.Upstream
	fields := kong.Fields{}
	setText(fields, "path", spec.Path)
	var err error
	if spec.ServiceRef != nil {
		err = serviceRefFields(policy, fields, service.Namespace, *spec.ServiceRef, target)
	} else {
		err = urlFields(policy, fields, service.Namespace, spec.URL)
	}
	if err != nil {
		return nil, err
	}
	setPointer(fields, "retries", spec.Retries)
	for name, timeout := range map[string]v1alpha1.Duration{
		"connect_timeout": spec.ConnectTimeout, "read_timeout": spec.ReadTimeout, "write_timeout": spec.WriteTimeout,
	} {
		if value := timeout.Or(0); value > 0 {
			fields[name] = value.Milliseconds()
		}
	}
	withDefaults(fields, serviceDefaults)
	if err := policy.checkVaultReferences("spec.upstream", map[string]any(fields)); err != nil {
		return nil, err
	}
	return fields, tlsFields(fields, spec)
}

func tlsFields(fields kong.Fields, spec *v1alpha1.Upstream) error {
	protocol := fields.Text("protocol")
	if (spec.TLSVerify != nil || spec.TLSVerifyDepth != nil) && protocol != "https" {
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"spec.upstream.tlsVerify: Kong takes it with https only, and the upstream is %s. Remove it, or change the upstream.", protocol)
	}
	if fields.Text("path") != "" && (protocol == "grpc" || protocol == "grpcs") {
		return status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.upstream.path: Kong takes none with %s. Remove it.", protocol)
	}
	setPointer(fields, "tls_verify", spec.TLSVerify)
	setPointer(fields, "tls_verify_depth", spec.TLSVerifyDepth)
	return nil
}

func urlFields(policy Policy, fields kong.Fields, namespace, raw string) error {
	const field = "spec.upstream.url"
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"%s: it cannot be read as a URL. Write it like http://my-api.example.com:8080/base.", field)
	}
	if u.User != nil {
		return policy.violation(field, "the URL has a user or a password", "Remove it: Kong would leave it out")
	}
	port := defaultPort(u.Scheme)
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return status.Stalled(v1alpha1.ReasonInvalidSpec, "%s: port %s is not from 1 to 65535. Change the port.", field, text)
		}
	}
	if err := policy.checkHost(field, namespace, u.Hostname(), port); err != nil {
		return err
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		// Kong takes an IPv6 address without brackets for a name, and answers each request 500.
		host = "[" + host + "]"
	}
	fields["protocol"], fields["host"], fields["port"] = u.Scheme, host, port
	if u.Path != "" {
		fields["path"] = u.EscapedPath()
	}
	return nil
}

// LosesUpstream says whether a service refers to a Service that does not exist, or that leads to a host of somebody's
// choice: nothing may be sent there, whatever Kong has of the service.
func LosesUpstream(service *v1alpha1.JwtProtectedService, target *corev1.Service) bool {
	upstream := service.Spec.Upstream
	return upstream != nil && upstream.ServiceRef != nil && (target == nil || target.Spec.Type == corev1.ServiceTypeExternalName)
}

// serviceRefFields points the Kong service at a Kubernetes Service by its DNS name, so that its endpoints may change
// freely.
func serviceRefFields(policy Policy, fields kong.Fields, namespace string, spec v1alpha1.UpstreamServiceReference, target *corev1.Service) error {
	const field = "spec.upstream.serviceRef"
	if target == nil {
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"%s: Service %s/%s does not exist. Create it, or name another.", field, namespace, spec.Name)
	}
	if target.Spec.Type == corev1.ServiceTypeExternalName {
		return policy.violation(field, fmt.Sprintf("Service %s/%s is of type ExternalName: it leads to any host", namespace, spec.Name),
			"Name the host itself in spec.upstream.url")
	}
	if !hasPort(target, spec.Port) {
		return status.Stalled(v1alpha1.ReasonInvalidSpec,
			"%s.port: Service %s/%s has no port %d. Use one of %s.", field, namespace, spec.Name, spec.Port, ports(target))
	}
	host := serviceHost(spec.Name, namespace, policy.ClusterDomain)
	for _, admin := range policy.admin {
		if policy.isAdmin(admin, address.Parse(host), int(spec.Port)) {
			return policy.violation(field, fmt.Sprintf("Service %s/%s is Kong's Admin API, which is open to nobody", namespace, spec.Name), "Name another")
		}
	}
	fields["protocol"], fields["host"], fields["port"] = string(spec.Scheme), host, spec.Port
	return nil
}

func hasPort(service *corev1.Service, port int32) bool {
	return slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
}

func ports(service *corev1.Service) string {
	if len(service.Spec.Ports) == 0 {
		return "none"
	}
	text := ""
	for i, port := range service.Spec.Ports {
		if i > 0 {
			text += ", "
		}
		text += strconv.Itoa(int(port.Port))
	}
	return text
}

// AttachTarget is the service or route in Kong, or the object, that a JwtProtectedService puts its plugins on, nil
// where it has a service of its own.
func AttachTarget(service *v1alpha1.JwtProtectedService) *Target {
	to := service.Spec.AttachTo
	switch {
	case to == nil:
		return nil
	case to.Service != "":
		return &Target{Kind: kong.KindService, Name: to.Service, Object: "Service"}
	case to.Ingress != "":
		return &Target{Kind: kong.KindRoute, Name: to.Ingress, Object: "Ingress"}
	case to.HTTPRoute != "":
		return &Target{Kind: kong.KindRoute, Name: to.HTTPRoute, Object: "HTTPRoute"}
	case to.RouteName != "":
		return &Target{Kind: kong.KindRoute, Name: to.RouteName}
	default:
		return &Target{Kind: kong.KindService, Name: to.ServiceName}
	}
}

// attach builds the plugins alone. A name in Kong is bounded as one that the tenant would claim: else a namespace
// could put plugins on another's service. An object is of the tenant's own namespace.
func (b *builder) attach(in ServiceInput) (Set, error) {
	to := *AttachTarget(in.Service)
	parent := to.Kind.Singular()
	if to.Object == "" {
		if err := b.policy.checkIdentity(to.Field(), b.owner.Namespace, to.Name); err != nil {
			return Set{}, err
		}
	}
	if err := b.addGuards(in, parent, AttachedID); err != nil {
		return Set{}, err
	}
	if err := b.addPlugins(in, parent, AttachedID, nil); err != nil {
		return Set{}, err
	}
	return Set{Owner: b.owner, Entities: b.entities, Attach: &to}, nil
}
