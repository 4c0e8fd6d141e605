package address

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestPublicHosts(t *testing.T) {
	for text, want := range map[string]bool{
		"api.example.com":                      true,
		"API.Example.com.":                     true,
		"example.co.uk":                        true,
		"orders.azurewebsites.net":             true,
		"team.github.io":                       true,
		"xn--mnchen-3ya.de":                    true,
		"8.8.8.8":                              true,
		"[2606:4700::1111]":                    true,
		"64:ff9b::808:808":                     true, // NAT64 of 8.8.8.8
		"::ffff:8.8.8.8":                       true,
		"kong-admin":                           false,
		"kong-admin.kong":                      false,
		"kong-admin.kong.svc":                  false,
		"kong-admin.kong.svc.cluster.local":    false,
		"KONG-ADMIN.kong.svc.cluster.local.":   false,
		"pod-0.kafka.streams":                  false,
		"127-0-0-1.default.pod.cluster.local":  false,
		"127-0-0-1.default.pod":                false,
		"kubernetes.default.svc":               false,
		"metadata.google.internal":             false,
		"instance-data.ec2.internal":           false,
		"metadata":                             false,
		"printer.local":                        false,
		"com":                                  false,
		"localhost":                            false,
		"localhost.localdomain":                false,
		"x.localhost":                          false,
		"ip6-localhost":                        false,
		"ip6-loopback":                         false,
		"127.0.0.1":                            false,
		"0.0.0.0":                              false,
		"10.1.2.3":                             false,
		"172.31.0.1":                           false,
		"192.168.1.1":                          false,
		"100.64.0.1":                           false,
		"169.254.169.254":                      false,
		"192.0.0.192":                          false, // a cloud's metadata
		"::":                                   false,
		"::1":                                  false,
		"[::1]":                                false,
		"::7f00:1":                             false,
		"::ffff:127.0.0.1":                     false,
		"::ffff:169.254.169.254":               false,
		"64:ff9b::7f00:1":                      false,
		"64:ff9b::a9fe:a9fe":                   false,
		"64:ff9b:1::7f00:1":                    false,
		"2002:7f00:1::":                        false,
		"2001:0:4136:e378:8000:63bf:3fff:fdd2": false,
		"fd00:ec2::254":                        false,
		"fe80::1%eth0":                         false,
		"ff02::1":                              false,
		"127.1":                                false,
		"2130706433":                           false,
		"0x7f.0.0.0x1":                         false,
		"0x7f000001":                           false,
		"0177.0.0.1":                           false,
		"127.0.0.1.":                           false,
		"1.2.3.4.5":                            false,
		"":                                     false,
		".":                                    false,
	} {
		if got := Parse(text).Public(); got != want {
			t.Errorf("%q: public %v, want %v", text, got, want)
		}
	}
}

func TestAmbiguousSpellings(t *testing.T) {
	for text, want := range map[string]bool{
		"127.1": true, "2130706433": true, "0x7f.0.0.0x1": true, "0177.0.0.1": true, "1.2.3": true,
		"127.0.0.1": false, "::1": false, "a.example.com": false, "a1": false, "0xdeadbeef.example.com": false,
	} {
		if got := Parse(text).Ambiguous(); got != want {
			t.Errorf("%q: ambiguous %v, want %v", text, got, want)
		}
	}
}

func TestLoopbackNames(t *testing.T) {
	for text, want := range map[string]bool{
		"localhost": true, "LocalHost.": true, "a.localhost": true, "localhost.localdomain": true, "localhost4": false, "ip6-localhost": true,
		"127.9.9.9": true, "0.0.0.0": true, "::": true, "64:ff9b::7f00:1": true, "10.0.0.1": false, "localhosts.example.com": false,
	} {
		if got := Parse(text).Loopback(); got != want {
			t.Errorf("%q: loopback %v, want %v", text, got, want)
		}
	}
}

// An IPv4 address is judged alike in each form of IPv6 that a router or a socket turns back into it.
func TestAnIPv4AddressIsJudgedAlikeInsideIPv6(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes"))
		plain := netip.AddrFrom4(four)
		mapped := netip.AddrFrom16(plain.As16())
		translated := nat64.Addr().As16()
		copy(translated[12:], four[:])
		for _, form := range []netip.Addr{mapped, netip.AddrFrom16(translated)} {
			if Public(form) != Public(plain) {
				t.Fatalf("%s is public: %v, %s: %v", form, Public(form), plain, Public(plain))
			}
		}
	})
}

// No spelling of a host makes a public one of one that is not.
func TestSpellingDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.StringMatching(`[A-Za-z0-9-]{1,8}(\.[A-Za-z0-9-]{1,8}){0,4}`).Draw(t, "host")
		if Parse(host).Public() != Parse(host+".").Public() {
			t.Fatalf("%s with a final dot is judged otherwise", host)
		}
	})
}

func TestDomains(t *testing.T) {
	for text, want := range map[string]string{
		"a.b.example.com": "example.com", "example.co.uk": "example.co.uk", "x.example.co.uk.": "example.co.uk", "10.0.0.1": "10.0.0.1", "[::1]": "::1",
		"com": "com", "a.b.corp": "b.corp", "localhost": "localhost",
	} {
		if got := Parse(text).Domain(); got != want {
			t.Errorf("%q is in %q, want %q", text, got, want)
		}
	}
}
