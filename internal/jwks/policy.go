package jwks

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
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

// Check says why the set at an address may not be fetched. The error is ErrRefused. It does not look up the host: CheckAddress judges what
// is then dialed.
func (p Policy) Check(address string) error {
	target, err := url.Parse(address)
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
		return refused("is http, and whoever sits on the way could put in keys; use https (policy.jwks.allowHTTP permits http)")
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
	return refused("is not among policy.jwks.urls; ask for it to be added")
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

// special are the networks that are not public (IANA IPv4 and IPv6 Special-Purpose Address Registries). Of IPv6 only 2000::/3 is given out at all.
var special = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared, behind a carrier's NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, with the metadata of clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
	"2001::/23",       // protocol assignments, Teredo
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4: an IPv4 address inside
	"3fff::/20",       // documentation
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// nat64 addresses have an IPv4 address in their last four bytes (RFC 6052): clusters with IPv6 alone reach the Internet by them.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// public says whether an address is one of the Internet at large.
func public(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if nat64.Contains(address) {
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if !address.IsValid() || address.Is6() && !globalUnicast.Contains(address) {
		return false
	}
	return !slices.ContainsFunc(special, func(network netip.Prefix) bool { return network.Contains(address) })
}

// CheckAddress says why an address may not be dialed. The error is ErrRefused.
func (p Policy) CheckAddress(address netip.Addr) error {
	if p.AllowPrivateAddresses || public(address) {
		return nil
	}
	return refused("the host has the address %s, which is not public (policy.jwks.allowPrivateAddresses permits it)", address)
}
