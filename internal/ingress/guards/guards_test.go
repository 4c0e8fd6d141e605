package guards_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/guards"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func strs(texts ...any) []any { return texts }

func TestAChangeShutsOutAndLetsIn(t *testing.T) {
	acl := func(list string, groups ...any) kong.Fields { return kong.Fields{list: groups} }
	nobody := kong.Fields{"allow": []string{desired.Nobody}}
	const narrows, widens = 1, 2
	for name, c := range map[string]struct {
		plugin         string
		former, wanted kong.Fields
		change         int
		between        kong.Fields // of what does both
	}{
		"a group comes":  {"acl", acl("allow", "a"), acl("allow", "a", "b"), widens, nil},
		"a group leaves": {"acl", acl("allow", "a", "b"), acl("allow", "a"), narrows, nil},
		"a group takes a place": {
			"acl", acl("allow", "a", "c"), acl("allow", "b", "c"), narrows | widens, kong.Fields{"allow": []string{"c"}},
		},
		"a group is denied no more": {"acl", acl("deny", "a", "b"), acl("deny", "a"), widens, nil},
		"a group is denied":         {"acl", acl("deny", "a"), acl("deny", "a", "b"), narrows, nil},
		"all but some": {
			"acl", acl("allow", "a", "b"), acl("deny", "b"), narrows | widens, nobody,
		},
		"some of those not denied": {"acl", acl("deny", "b"), acl("allow", "a"), narrows | widens, nobody},
		"some of those denied":     {"acl", acl("deny", "b"), acl("allow", "b"), narrows | widens, nobody},
		"anybody without a token":  {"jwt", kong.Fields{}, kong.Fields{"anonymous": "guest"}, widens, nil},
		"nobody without a token":   {"jwt", kong.Fields{"anonymous": "guest"}, kong.Fields{}, narrows, nil},
		"another without a token": {
			"jwt", kong.Fields{"anonymous": "a"}, kong.Fields{"anonymous": "b"}, narrows | widens, kong.Fields{},
		},
		"a realm": {"jwt", kong.Fields{"realm": "a"}, kong.Fields{"realm": "b"}, 0, nil},
		"what Kong takes anyway": {
			"jwt", kong.Fields{}, kong.Fields{"key_claim_name": "iss", "uri_param_names": strs("jwt")}, 0, nil,
		},
		"times are verified": {
			"jwt", kong.Fields{}, kong.Fields{"claims_to_verify": strs("exp")}, narrows, nil,
		},
		"tokens may last longer": {
			"jwt", kong.Fields{"maximum_expiration": 60}, kong.Fields{"maximum_expiration": 90}, widens, nil,
		},
		"tokens may last for ever": {"jwt", kong.Fields{"maximum_expiration": 60}, kong.Fields{}, widens, nil},
		"tokens may last less long": {
			"jwt", kong.Fields{"maximum_expiration": int64(0)}, kong.Fields{"maximum_expiration": 9.0}, narrows, nil,
		},
		"preflights pass": {
			"jwt", kong.Fields{}, kong.Fields{"run_on_preflight": false}, widens, nil,
		},
		"tokens in a cookie": {
			"jwt", kong.Fields{}, kong.Fields{"cookie_names": strs("c")}, widens, nil,
		},
		"tokens of another claim": {
			"jwt", kong.Fields{"anonymous": "a"}, kong.Fields{"anonymous": "a", "key_claim_name": "kid"}, narrows | widens,
			kong.Fields{"key_claim_name": "kid", "header_names": []string{}, "uri_param_names": []string{}},
		},
		"one time in place of another": {
			"jwt", kong.Fields{"claims_to_verify": strs("exp")}, kong.Fields{"claims_to_verify": strs("nbf"), "realm": "r"},
			narrows | widens, kong.Fields{"claims_to_verify": []string{"exp", "nbf"}, "realm": "r"},
		},
		"another program": {
			desired.PluginClaims, kong.Fields{"access": strs("old")}, kong.Fields{"access": strs("new"), "log": strs()},
			narrows | widens, kong.Fields{"access": []string{"new", "old"}, "log": strs()},
		},
		"one program less": {
			desired.PluginClaims, kong.Fields{"access": strs("new", "old")}, kong.Fields{"access": strs("new")}, widens, nil,
		},
		"a range in a range": {
			"ip-restriction", acl("allow", "10.0.0.0/8"), acl("allow", "10.1.0.0/16"), narrows, nil,
		},
		"a range about a range": {
			"ip-restriction", acl("allow", "10.1.2.3"), acl("allow", "10.1.0.0/16"), widens, nil,
		},
		"any address": {"ip-restriction", acl("allow", "10.0.0.0/8"), kong.Fields{}, widens, nil},
		"an address is denied": {
			"ip-restriction", acl("deny", "10.0.0.1"), acl("deny", "10.0.0.0/24"), narrows, nil,
		},
		"no address is denied": {"ip-restriction", acl("deny", "10.0.0.1"), nil, widens, nil},
		"every address is denied": {
			"ip-restriction", acl("allow", "10.0.0.1"), kong.Fields{"deny": strs("::/0", "0.0.0.0/0")}, narrows, nil,
		},
		"a plugin of no concern": {"rate-limiting", kong.Fields{"minute": 1}, kong.Fields{"minute": 2}, 0, nil},
		"other addresses": {
			"ip-restriction", acl("allow", "10.0.0.0/8", "fd00::1"), acl("allow", "10.1.0.0/16", "1.1.1.1"), narrows | widens,
			kong.Fields{"allow": []string{"10.1.0.0/16"}},
		},
		"addresses of which none stays": {
			"ip-restriction", acl("allow", "10.0.0.1"), acl("allow", "10.0.0.2"), narrows | widens,
			kong.Fields{"deny": guards.Everywhere},
		},
	} {
		got := guards.Compare(c.plugin, guards.Guard{Config: c.former}, guards.Guard{Config: c.wanted})
		if got.Narrows != (c.change&narrows > 0) || got.Widens != (c.change&widens > 0) {
			t.Errorf("%s: narrows %v, widens %v", name, got.Narrows, got.Widens)
		}
		if c.between != nil && !reflect.DeepEqual(got.Between.Config, c.between) {
			t.Errorf("%s: between are %#v", name, map[string]any(got.Between.Config))
		}
		// What is between is as it is wanted, but for whom it does not let in yet.
		if after := guards.Compare(c.plugin, got.Between, guards.Guard{Config: c.wanted}); after.Narrows ||
			after.Widens != got.Widens {
			t.Errorf("%s: from between to wanted: narrows %v, widens %v", name, after.Narrows, after.Widens)
		}
	}
}

func TestAGuardThatIsTurnedOffOrSeesFewerRequestsLetsIn(t *testing.T) {
	on := guards.Guard{Config: kong.Fields{"allow": strs("a")}}
	off := guards.Guard{Config: kong.Fields{"allow": strs("b")}, Off: true}
	web := guards.Guard{Config: on.Config, Protocols: []string{"http"}}
	for name, c := range map[string]struct {
		former, wanted guards.Guard
		narrows, wider bool
	}{
		"it is turned off": {on, off, false, true}, "it is turned on": {off, on, true, false},
		"it stays off":      {off, off, false, false},
		"fewer protocols":   {on, web, false, true},
		"all protocols":     {web, on, true, false},
		"another protocol":  {web, guards.Guard{Config: on.Config, Protocols: []string{"grpc"}}, true, true},
		"the same protocol": {web, web, false, false},
	} {
		if got := guards.Compare("acl", c.former, c.wanted); got.Narrows != c.narrows || got.Widens != c.wider {
			t.Errorf("%s: narrows %v, widens %v", name, got.Narrows, got.Widens)
		}
	}
}

func TestBetweenTwoRestrictionsAreOnlyAddressesOfBoth(t *testing.T) {
	texts := []string{
		"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.2.0.0/16", "0.0.0.0/0", "fd00::/8", "fd00::1",
	}
	var addrs []netip.Addr
	for _, text := range []string{
		"10.1.2.3", "10.1.2.4", "10.1.9.9", "10.2.0.1", "10.9.9.9", "1.1.1.1", "fd00::1", "fd00::2", "fe80::1",
	} {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	in := func(list []string, addr netip.Addr) bool {
		return slices.ContainsFunc(list, func(text string) bool {
			prefix, err := netip.ParsePrefix(text)
			return text == addr.String() || err == nil && prefix.Contains(addr)
		})
	}
	admits := func(config kong.Fields, addr netip.Addr) bool {
		allow := config.Strings("allow")
		return !in(config.Strings("deny"), addr) && (len(allow) == 0 || in(allow, addr))
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) guards.Guard {
			some := rapid.SliceOfNDistinct(rapid.SampledFrom(texts), 0, 3, rapid.ID[string])
			return guards.Guard{Config: kong.Fields{
				"allow": some.Draw(t, name+" allow"), "deny": some.Draw(t, name+" deny"),
			}}
		}
		former, wanted := draw("former"), draw("wanted")
		change := guards.Compare("ip-restriction", former, wanted)
		for _, addr := range addrs {
			was, is, between := admits(former.Config, addr), admits(wanted.Config, addr), admits(change.Between.Config, addr)
			if between && (!was || !is) || was && !is && !change.Narrows || is && !was && !change.Widens {
				t.Fatalf("%s: %v, then %v, between %v; %+v", addr, was, is, between, change)
			}
		}
	})
}
