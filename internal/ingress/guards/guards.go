// Package guards compares what plugins admit that keep somebody out: whom a change shuts out, and whom it lets in.
//
// A change that lets somebody in may belong to another, of a route for instance, which has to be in Kong before. What
// it shuts somebody out of has to be in Kong before that route. Where a change does both there is a configuration
// between the two, which admits only whom both admit.
package guards

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Guard is a plugin that keeps somebody out, as far as it decides whom.
type Guard struct {
	Config kong.Fields
	// Off says that it is turned off: everybody gets in.
	Off bool
	// Protocols are those of the requests that it looks at; none stands for all.
	Protocols []string
}

// Everywhere are all addresses.
var Everywhere = []string{"0.0.0.0/0", "::/0"}

// Change is what becomes of a guard.
type Change struct {
	// Between admits only whom the former guard and the wanted one admit.
	Between Guard
	// Narrows says that somebody may be shut out, and Widens that somebody may be let in.
	Narrows, Widens bool
}

// Compare gives the change from one guard of a plugin's to another. Of a plugin that keeps nobody out, or of which
// nothing is known, nothing narrows or widens; see desired.KeepsOut.
func Compare(plugin string, former, wanted Guard) Change {
	c := &Change{Between: Guard{Config: maps.Clone(wanted.Config), Protocols: wanted.Protocols}}
	switch {
	case !desired.KeepsOut(plugin):
		c.Between = wanted
		return *c
	case former.Off || wanted.Off:
		c.Between, c.Narrows, c.Widens = wanted, former.Off && !wanted.Off, !former.Off
		if c.Widens {
			c.Between = former
		}
		return *c
	}
	if c.Between.Config == nil {
		c.Between.Config = kong.Fields{}
	}
	c.protocols(former.Protocols, wanted.Protocols)
	switch plugin {
	case "jwt":
		c.jwt(former.Config, wanted.Config)
	case "acl":
		c.acl(former.Config, wanted.Config)
	case "ip-restriction":
		c.addresses(former.Config, wanted.Config)
	case desired.PluginClaims:
		// Each program is run, and the first that answers is the end of the request.
		c.union("access", former.Config.Strings("access"), wanted.Config.Strings("access"))
	}
	return *c
}

func (c *Change) protocols(former, wanted []string) {
	switch {
	case len(former) == 0 || len(wanted) == 0:
		c.Between.Protocols = nil
	default:
		c.Between.Protocols = both(former, wanted)
	}
	is := func(list []string) bool { return len(list) == len(c.Between.Protocols) }
	c.Narrows, c.Widens = !is(former), !is(wanted)
}

// union has a list of what is asked for have what either asks for.
func (c *Change) union(name string, former, wanted []string) {
	all := both(former, wanted)
	c.Narrows, c.Widens = c.Narrows || len(all) > len(former), c.Widens || len(all) > len(wanted)
	if len(all) > len(wanted) {
		c.Between.Config[name] = all
	}
}

// places are where a jwt plugin looks for tokens, with Kong's defaults.
var places = map[string][]string{"header_names": {"authorization"}, "uri_param_names": {"jwt"}, "cookie_names": nil}

func (c *Change) jwt(former, wanted kong.Fields) {
	c.union("claims_to_verify", former.Strings("claims_to_verify"), wanted.Strings("claims_to_verify"))
	if was, now := former.Text("anonymous"), wanted.Text("anonymous"); was != now {
		delete(c.Between.Config, "anonymous")
		c.Narrows, c.Widens = c.Narrows || was != "", c.Widens || now != ""
	}
	// Tokens that last longest; zero is no bound.
	if was, now := number(former["maximum_expiration"]), number(wanted["maximum_expiration"]); was != now {
		if was > 0 && (now == 0 || was < now) {
			c.Between.Config["maximum_expiration"], c.Widens = former["maximum_expiration"], true
		} else {
			c.Narrows = true
		}
	}
	if was, now := preflight(former), preflight(wanted); was != now {
		c.Between.Config["run_on_preflight"] = true
		c.Narrows, c.Widens = c.Narrows || now, c.Widens || was
	}
	// With another claim or another encoding of secrets others are known: between the two nobody is.
	strangers := orText(former.Text("key_claim_name"), "iss") != orText(wanted.Text("key_claim_name"), "iss") ||
		(former["secret_is_base64"] == true) != (wanted["secret_is_base64"] == true)
	if strangers {
		c.Narrows, c.Widens = true, true
		delete(c.Between.Config, "anonymous")
	}
	for name, standard := range places {
		was, now := orList(former, name, standard), orList(wanted, name, standard)
		common := slices.DeleteFunc(slices.Clone(now), func(place string) bool {
			return strangers || !slices.Contains(was, place)
		})
		c.Narrows, c.Widens = c.Narrows || len(common) < len(was), c.Widens || len(common) < len(now)
		if len(common) < len(now) {
			c.Between.Config[name] = common
		}
	}
}

func (c *Change) acl(former, wanted kong.Fields) {
	if reflect.DeepEqual(former, wanted) {
		return
	}
	if list, groups, narrower := desired.NarrowGroups(wanted, former); list != "" {
		_, _, wider := desired.NarrowGroups(former, wanted)
		c.Narrows, c.Widens, c.Between.Config[list] = c.Narrows || narrower, c.Widens || wider, groups
		return
	}
	// Who is in groups of both lists is let in by the one and kept out by the other, and Kong takes no plugin with
	// both.
	nobody := []string{desired.Nobody}
	c.Narrows, c.Widens = c.Narrows || !slices.Equal(former.Strings("allow"), nobody), true
	c.Between.Config["allow"] = nobody
	delete(c.Between.Config, "deny")
}

func (c *Change) addresses(former, wanted kong.Fields) {
	was, now := former.Strings("deny"), wanted.Strings("deny")
	switch wasShut, isShut := covers(was, Everywhere), covers(now, Everywhere); { // for everybody
	case wasShut:
		c.Between.Config, c.Widens = former, c.Widens || !isShut
		return
	case isShut:
		c.Narrows = true
		return
	}
	denied := both(was, now)
	c.Narrows, c.Widens = c.Narrows || !covers(was, now), c.Widens || !covers(now, was)
	was, now = orList(former, "allow", nil), orList(wanted, "allow", nil)
	var allowed []string
	switch {
	case len(was) == 0:
		allowed, c.Narrows = now, c.Narrows || len(now) > 0
	case len(now) == 0:
		allowed, c.Widens = was, true
	default:
		c.Narrows, c.Widens = c.Narrows || !covers(now, was), c.Widens || !covers(was, now)
		within := func(list, of []string) []string {
			return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return !covers(of, []string{one}) })
		}
		if allowed = both(within(now, was), within(was, now)); len(allowed) == 0 {
			denied = Everywhere
		}
	}
	delete(c.Between.Config, "allow")
	if len(allowed) > 0 {
		c.Between.Config["allow"] = allowed
	}
	delete(c.Between.Config, "deny")
	if len(denied) > 0 {
		c.Between.Config["deny"] = denied
	}
}

// covers says whether each of some addresses and ranges is within one of others.
func covers(all, some []string) bool {
	return !slices.ContainsFunc(some, func(one string) bool {
		inner, err := prefixOf(one)
		return !slices.ContainsFunc(all, func(other string) bool {
			outer, failed := prefixOf(other)
			return one == other || err == nil && failed == nil &&
				outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
		})
	})
}

// prefixOf reads an address, or a range of them.
func prefixOf(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// both gives what is in either of two lists.
func both(one, other []string) []string {
	all := slices.Concat(one, other)
	slices.Sort(all)
	return slices.Compact(all)
}

func orText(text, standard string) string {
	if text == "" {
		return standard
	}
	return text
}

func orList(config kong.Fields, name string, standard []string) []string {
	if config[name] == nil {
		return standard
	}
	return config.Strings(name)
}

func preflight(config kong.Fields) bool { return config["run_on_preflight"] != false }

// number is a number of JSON, or zero.
func number(value any) float64 {
	v := reflect.ValueOf(value)
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanFloat():
		return v.Float()
	}
	return 0
}
