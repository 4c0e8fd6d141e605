// Package address judges where a connection leads to, by the address or the name that it is told: upstreams and
// plugins of Kong, and the issuers of key sets, are held to the same.
package address

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// special are the networks that are not public (IANA IPv4 and IPv6 Special-Purpose Address Registries). Of IPv6 only
// 2000::/3 is given out at all.
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
	// nat64 addresses have an IPv4 address in their last four bytes (RFC 6052): clusters with IPv6 alone reach the
	// Internet by them.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// Plain is the address that an address stands for: the IPv4 address inside an IPv4-mapped or a NAT64 one, and without
// a zone.
func Plain(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if nat64.Contains(address) {
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return address
}

// Public says whether an address is one of the Internet at large.
func Public(address netip.Addr) bool {
	address = Plain(address)
	if !address.IsValid() || address.Is6() && !globalUnicast.Contains(address) {
		return false
	}
	return !slices.ContainsFunc(special, func(network netip.Prefix) bool { return network.Contains(address) })
}

// Host is a host as a URL or a field names it, in one spelling: lower case, without brackets and the final dot.
type Host struct {
	// Name is the text, also where it is an address.
	Name string
	// Address is invalid where the host is a name.
	Address netip.Addr
}

// Parse reads a host. A literal address is read as Plain gives it.
func Parse(text string) Host {
	text = strings.ToLower(text)
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		text = strings.TrimSuffix(inner, "]")
	}
	host := Host{Name: strings.TrimSuffix(text, ".")}
	if address, err := netip.ParseAddr(host.Name); err == nil {
		host.Address = Plain(address)
	}
	return host
}

// IsAddress says whether the host is a literal address.
func (h Host) IsAddress() bool { return h.Address.IsValid() }

// Ambiguous finds the spellings that resolvers of C libraries take for IPv4 addresses and Go does not: 127.1,
// 0x7f.0.0.1, 2130706433, 0177.0.0.1.
func (h Host) Ambiguous() bool {
	if h.IsAddress() {
		return false
	}
	last := h.Name[strings.LastIndex(h.Name, ".")+1:]
	return strings.HasPrefix(last, "0x") || last != "" && strings.Trim(last, "0123456789") == ""
}

// Loopback says whether the host is the machine itself, by address or by name (RFC 6761 section 6.3).
func (h Host) Loopback() bool {
	if h.IsAddress() {
		return h.Address.IsLoopback() || h.Address.IsUnspecified()
	}
	return h.Name == "localhost" || strings.HasSuffix(h.Name, ".localhost") || strings.HasPrefix(h.Name, "localhost.") || strings.HasPrefix(h.Name, "ip6-")
}

// Domain is the registered domain that a name is in, such as example.co.uk for api.example.co.uk; an address, and a
// name that is in none, is its own.
func (h Host) Domain() string {
	if domain, err := publicsuffix.EffectiveTLDPlusOne(h.Name); err == nil && !h.IsAddress() {
		return domain
	}
	return h.Name
}

// Public says whether the host is a public address, or a name below a top-level domain of the Internet, as the public
// suffix list has them. All other names are found by a resolver's search list (a name of one label, name.namespace, a
// Pod's) or in private zones (.local, .internal, .svc). What a public name resolves to is not looked up.
func (h Host) Public() bool {
	if h.IsAddress() {
		return Public(h.Address)
	}
	if h.Ambiguous() || !strings.Contains(strings.Trim(h.Name, "."), ".") {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(h.Name)
	return icann || strings.Contains(suffix, ".")
}
