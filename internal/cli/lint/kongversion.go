package lint

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// ruleKongVersion is what the Kong that manifests are for does not take.
const ruleKongVersion = "kong-version"

// sincePublicKeysAreText is the Kong that takes public keys under secret_is_base64: before, it decodes them as well.
var sincePublicKeysAreText = kong.Version{Major: 3, Minor: 9}

// unsupported is what a Kong of a version does not take of a resource, as the operator would say it.
func unsupported(object any, version string) []Finding {
	if version == "" {
		return nil
	}
	takes := desired.CapabilitiesOf(&v1alpha1.KongGateway{}, version)
	var found []Finding
	add := func(err error) {
		var problem *status.StalledError
		if errors.As(err, &problem) {
			found = append(found, Finding{ruleKongVersion, Error, problem.Message})
		}
	}
	switch typed := object.(type) {
	case *v1alpha1.JwtConsumer:
		for i, c := range typed.Spec.Credentials {
			if c.Algorithm == "" || c.JWKS != nil { // of a key set's keys, each is looked at by itself
				continue
			}
			in := desired.ConsumerInput{Consumer: &v1alpha1.JwtConsumer{}, Kong: takes, Credentials: []desired.Credential{{
				Field: fmt.Sprintf("spec.credentials[%d]", i), Material: credential.Material{Algorithm: c.Algorithm},
			}}}
			add(in.Unsupported(typed.Spec.GatewayRef.Name))
		}
	case *v1alpha1.JwtProtectedService:
		add(desired.ServiceInput{Service: typed, Kong: takes}.Unsupported(typed.Spec.GatewayRef.Name))
		if decodes := typed.Spec.JWT.SecretIsBase64; decodes != nil && *decodes && !kong.ParseVersion(version).AtLeast(sincePublicKeysAreText) {
			found = append(found, Finding{ruleKongVersion, Warning, strings.Join([]string{
				"spec.jwt.secretIsBase64: Kong " + version + " decodes public keys too, and refuses each token of RS256 and its like.",
				"Set it to false, let HMAC secrets alone call this service, or upgrade to Kong 3.9.",
			}, " ")})
		}
	}
	return found
}
