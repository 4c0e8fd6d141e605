package jwks

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/address"
)

// Policy bounds where key sets may be fetched from. Its zero value permits https and public addresses.
type Policy struct {
	// URLs that may be used; one that ends in / stands for all below it. Empty: any.
	URLs []string
	// AllowHTTP permits http.
	AllowHTTP bool
	// AllowPrivateAddresses permits addresses that are not public.
	AllowPrivateAddresses bool
}

func refused(format string, args ...any) error {
	return &Error{Kind: ErrRefused, Message: fmt.Sprintf(format, args...)}
}

// Check says why the set at an address may not be fetched. The error is ErrRefused. It does not look up the host:
// CheckAddress judges what is then dialed.
func (p Policy) Check(text string) error {
	target, err := url.Parse(text)
	if err != nil {
		return refused("is no URL; write it as https://host/path")
	}
	return p.check(target)
}

func (p Policy) check(target *url.URL) error {
	switch {
	case target.Scheme != "https" && target.Scheme != "http":
		return refused("has to begin with https://")
	case target.Scheme == "http" && !p.AllowHTTP:
		return refused("is http, and somebody on the way could put in keys (policy.jwks.allowHTTP permits it)")
	case target.Hostname() == "":
		return refused("has no host; write it as https://host/path")
	case target.User != nil:
		return refused("has a user or password in it; remove it")
	case hasDotSegment(target.Path):
		return refused("has . or .. in its path; write the path without")
	}
	if len(p.URLs) == 0 || slices.ContainsFunc(p.URLs, func(allowed string) bool { return permits(allowed, target) }) {
		return nil
	}
	return refused("is not among those of policy.jwks.issuers for this namespace")
}

// hasDotSegment finds what servers would resolve, and a comparison of prefixes would not.
func hasDotSegment(path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.ContainsFunc(segments, func(s string) bool { return s == "." || s == ".." })
}

// permits says whether an entry of Policy.URLs stands for a target.
func permits(entry string, target *url.URL) bool {
	allowed, err := url.Parse(entry)
	if err != nil || allowed.Scheme != target.Scheme || authority(allowed) != authority(target) {
		return false
	}
	if strings.HasSuffix(entry, "/") {
		return strings.HasPrefix(rooted(target), rooted(allowed))
	}
	return rooted(allowed) == rooted(target) && allowed.RawQuery == target.RawQuery
}

// authority is host and port, in one spelling.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + port
}

func rooted(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	return u.Path
}

// describe gives a URL without its query, which may hold what is not to be shown.
func describe(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// CheckAddress says why an address may not be dialed. The error is ErrRefused; the address is not in it, since who
// names a host of the cluster would learn it.
func (p Policy) CheckAddress(ip netip.Addr) error {
	if p.AllowPrivateAddresses || address.Public(ip) {
		return nil
	}
	return refused("the host has an address which is not public (policy.jwks.allowPrivateAddresses permits it)")
}
