package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// discover finds the key set of an issuer by its discovery document: that of OpenID Connect Discovery 1.0 section 4,
// and where there is none that of RFC 8414 section 3. The policy has to permit the issuer; the documents' addresses
// follow from it.
func (f Fetcher) discover(ctx context.Context, client *http.Client, source Source) (address string, err error) {
	if err := source.Policy.Check(source.Issuer); err != nil {
		return "", err
	}
	openID, oauth, err := discoveryURLs(source.Issuer)
	if err != nil {
		return "", err
	}
	answer, err := f.get(ctx, client, openID, Validators{})
	var failure *Error
	if errors.As(err, &failure) && failure.notFound {
		answer, err = f.get(ctx, client, oauth, Validators{})
		if errors.As(err, &failure) && failure.notFound {
			return "", unreachable("the issuer has no discovery document; name the key set by url instead")
		}
	}
	if err != nil {
		return "", err
	}
	return readDiscovery(answer.Document, source.Issuer)
}

// discoveryURLs are where the documents of an issuer are. A / at its end counts for nothing.
func discoveryURLs(issuer string) (openID, oauth string, err error) {
	base := strings.TrimSuffix(issuer, "/")
	parsed, err := url.Parse(base)
	if err != nil {
		return "", "", refused("is no URL; write it as https://host/path")
	}
	const wellKnown = "/.well-known/"
	host := parsed.Scheme + "://" + parsed.Host
	return base + wellKnown + "openid-configuration", host + wellKnown + "oauth-authorization-server" + strings.TrimPrefix(base, host), nil
}

// readDiscovery gives the key set that a discovery document names. The document has to be that of the issuer, to the
// letter (OpenID Connect Discovery section 4.3, RFC 8414 section 3.3): one that another can write would put in keys.
func readDiscovery(document []byte, issuer string) (address string, err error) {
	var said struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	switch {
	case json.Unmarshal(document, &said) != nil:
		return "", invalid("the issuer's discovery document is no JSON object; look at the issuer")
	case said.Issuer != issuer && strings.TrimSuffix(said.Issuer, "/") == strings.TrimSuffix(issuer, "/"):
		return "", invalid("the issuer's discovery document names it with another / at the end; write it as tokens have it in iss")
	case said.Issuer != issuer:
		return "", invalid("the issuer's discovery document names another issuer; write it as tokens have it in iss")
	case said.JWKSURI == "":
		return "", invalid("the issuer's discovery document names no jwks_uri; name the key set by url instead")
	}
	return said.JWKSURI, nil
}
