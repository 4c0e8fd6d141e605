package desired

import (
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/address"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// routeFields makes a route's Kong fields but for its name and service.
func routeFields(route v1alpha1.Route) kong.Fields {
	fields := kong.Fields{}
	setStrings(fields, "paths", route.Paths)
	setStrings(fields, "hosts", route.Hosts)
	setStrings(fields, "methods", route.Methods)
	setStrings(fields, "snis", route.SNIs)
	setStrings(fields, "protocols", route.Protocols)
	if len(route.Headers) > 0 {
		headers := make(map[string]any, len(route.Headers))
		for name, values := range route.Headers {
			headers[name] = []string(values)
		}
		fields["headers"] = headers
	}
	setPointer(fields, "strip_path", route.StripPath)
	if slices.Contains(route.Protocols, "grpc") || slices.Contains(route.Protocols, "grpcs") {
		fields["strip_path"] = false // Kong refuses any other on a grpc route
	}
	setPointer(fields, "preserve_host", route.PreserveHost)
	setPointer(fields, "regex_priority", route.RegexPriority)
	setText(fields, "path_handling", string(route.PathHandling))
	setPointer(fields, "https_redirect_status_code", route.HTTPSRedirectStatusCode)
	setPointer(fields, "request_buffering", route.RequestBuffering)
	setPointer(fields, "response_buffering", route.ResponseBuffering)
	if len(route.SNIs) > 0 && len(route.Protocols) == 0 {
		fields["protocols"] = []string{"https"} // Kong takes SNIs on TLS protocols alone
	}
	return withDefaults(fields, routeDefaults)
}

func setStrings[S ~string](into map[string]any, name string, values []S) {
	if len(values) == 0 {
		return
	}
	texts := make([]string, 0, len(values))
	for _, value := range values {
		texts = append(texts, string(value))
	}
	into[name] = texts
}

// routeFields makes a route's Kong fields but for its name and service. Where hosts are shared, its prefixes end at a
// segment. Where tenants do not trust each other, a host is told with a path: Kong prefers a path on any host to a
// wildcard alone.
func (p Policy) routeFields(route v1alpha1.Route) kong.Fields {
	alone := len(route.Paths)+len(route.Methods)+len(route.Headers)+len(route.SNIs) == 0
	if bindsHosts(p) && alone && hasWildcard(route.Hosts) {
		route.Paths = []string{"/"}
	}
	if p.Routes != nil {
		route.Paths = segmentPaths(route.Paths)
	}
	return routeFields(route)
}

func hasWildcard(hosts []string) bool {
	return slices.ContainsFunc(hosts, func(host string) bool { return strings.Contains(host, "*") })
}

// bindsHosts says whether a route of one namespace may not go before those of another by what it matches on. Where
// tenants may claim any identity, they trust each other.
func bindsHosts(p Policy) bool { return p.Identities != v1alpha1.IdentitiesAny }

// hostTags are the tags of routes beside the owner's.
func hostTags(p Policy) []string {
	switch {
	case p.Routes != nil:
		return []string{tagSharedHost}
	case bindsHosts(p):
		return []string{tagBoundHost}
	}
	return nil
}

// Between namespaces a route is judged by its hosts and path prefixes alone. Kong prefers a route that matches on
// more: one with a header, a method or an SNI more, or with a deeper path, takes the requests of the other, with
// their tokens.

// tagSharedHost is on the routes of a gateway with policy.routes: that says who may claim which paths of a host.
// Without it a host is one namespace's.
const tagSharedHost = TagManaged + "-host:shared"

// tagBoundHost is on the routes of a gateway whose tenants do not trust each other, and that has no policy.routes: a
// host of one namespace, and a path on any host of another, are not both had.
const tagBoundHost = TagManaged + "-host:bound"

// anyHost is the value that the keys have in common by which hosts are compared with paths on any host.
const anyHost = "*"

// hostKeys are what the hosts and paths of a route claim against other namespaces.
func hostKeys(f kong.Fields) []UniqueKey {
	owned, ours := ParseTags(f.Tags())
	if !ours || owned.Owner.Namespace == "" {
		return nil // not a tenant's: whoever matches the same requests is found by UniqueRoute
	}
	shared, bound := slices.Contains(f.Tags(), tagSharedHost), slices.Contains(f.Tags(), tagBoundHost)
	var keys []UniqueKey
	seen := map[UniqueKey]bool{}
	for _, host := range orNone(f.Strings("hosts")) {
		for _, path := range orNone(f.Strings("paths")) {
			key := UniqueKey{Kind: UniqueHost, Namespace: owned.Owner.Namespace, Host: hostOf(host), Prefix: literalPrefix(path), Shared: shared}
			key.Value = key.hostBucket()
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	if bound {
		keys = append(keys, anyHostKeys(owned.Owner.Namespace, f)...)
	}
	return keys
}

// anyHostKeys are what a route's paths claim against routes of other namespaces of which either it or they have no
// host. What is / on any host claims nothing: it gets what no other route takes.
func anyHostKeys(namespace string, f kong.Fields) (keys []UniqueKey) {
	host := hostOf(orNone(f.Strings("hosts"))[0]) // one stands for all: with each of them the paths are the same
	for _, claimed := range orNone(f.Strings("paths")) {
		prefix := claimed
		if strings.HasPrefix(claimed, "~") {
			prefix = literalPrefix(claimed)
		}
		key := UniqueKey{Kind: UniqueHost, Value: anyHost, Namespace: namespace, Host: host, Prefix: prefix}
		if (host != "" || strings.Trim(prefix, "/") != "") && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func orNone(values []string) []string {
	if len(values) == 0 {
		return []string{""}
	}
	return values
}

// routeBuckets has one key for each bucket of routeUniqueKeys and hostKeys.
func routeBuckets(route v1alpha1.Route) (keys []UniqueKey) {
	add := func(kind UniqueKind, value string) { keys = append(keys, UniqueKey{Kind: kind, Value: value}) }
	for _, host := range orAny(route.Hosts) {
		add(UniqueRoute, strings.ToLower(host))
	}
	add(UniqueHost, UniqueKey{Kind: UniqueHost, Value: anyHost, Host: hostOf(orNone(route.Hosts)[0])}.Bucket())
	for _, host := range orNone(route.Hosts) {
		if name := hostOf(host); name != "" {
			add(UniqueHost, UniqueKey{Host: name}.hostBucket())
			continue
		}
		for _, path := range orNone(route.Paths) {
			add(UniqueHost, UniqueKey{Prefix: literalPrefix(path)}.hostBucket())
		}
	}
	return keys
}

// hostBucket is what keys of hosts that can overlap have in common: the registered domain of a host, or the first
// segment of a path on any host.
func (c UniqueKey) hostBucket() string {
	if c.Host != "" {
		return address.Parse(strings.Trim(c.Host, "*.")).Domain()
	}
	segment, _, _ := strings.Cut(strings.TrimPrefix(c.Prefix, "/"), "/")
	return "/" + segment
}

// hostOf is the host of a route without its port, in lower case.
func hostOf(claimed string) string {
	if host, _, err := net.SplitHostPort(claimed); err == nil {
		claimed = host
	}
	return address.Parse(claimed).Name
}

// literalPrefix is the path that all requests of a route begin with, by whole segments: of a regular expression, what
// is before its first operator.
func literalPrefix(claimed string) string {
	expression, regular := strings.CutPrefix(claimed, "~")
	if !regular {
		return strings.TrimSuffix(claimed, "/")
	}
	if alternatives.MatchString(expression) {
		return "" // what is behind the | may match alone
	}
	var literal strings.Builder
	for i := 0; i < len(expression); i++ {
		c := expression[i]
		switch {
		case c == '$' && i == len(expression)-1:
			return strings.TrimSuffix(literal.String(), "/")
		case c == '\\' && i+1 < len(expression) && strings.IndexByte(operators, expression[i+1]) >= 0:
			i++
			c = expression[i]
		case c == '\\' || strings.IndexByte(operators, c) >= 0:
			whole := literal.String()
			if whole != "" && strings.IndexByte("?*{", c) >= 0 {
				whole = whole[:len(whole)-1] // it may be there or not
			}
			return whole[:max(strings.LastIndex(whole, "/"), 0)]
		}
		literal.WriteByte(c)
	}
	return literal.String()[:max(strings.LastIndex(literal.String(), "/"), 0)]
}

// alternatives finds a | that is none of the characters that are matched.
var alternatives = regexp.MustCompile(`^([^\\]|\\.)*?\|`)

// operators of regular expressions.
const operators = `\^$.|?*+()[]{}`

// overlapsHost says whether two namespaces cannot both have their claims.
func (c UniqueKey) overlapsHost(d UniqueKey) bool {
	if c.Namespace == d.Namespace {
		return false
	}
	if c.Value == anyHost {
		// Kong's prefixes know no segments, and a host goes before any: /pay on a host takes /payments on it.
		return (c.Host == "") != (d.Host == "") &&
			(strings.HasPrefix(c.Prefix, d.Prefix) || strings.HasPrefix(d.Prefix, c.Prefix))
	}
	if !hostsMeet(c.Host, d.Host) {
		return false
	}
	if c.Host != "" && (!c.Shared || !d.Shared) {
		return true
	}
	return holdsPrefix(c.Prefix, d.Prefix) || holdsPrefix(d.Prefix, c.Prefix)
}

// hostsMeet says whether a request can be for both of two hosts, which may have a wildcard for their first or last
// label.
func hostsMeet(a, b string) bool {
	return a == b || matchesHost(a, b) || matchesHost(b, a)
}

func matchesHost(pattern, host string) bool {
	if suffix, wildcard := strings.CutPrefix(pattern, "*"); wildcard {
		return strings.HasSuffix(host, suffix)
	}
	if prefix, wildcard := strings.CutSuffix(pattern, "*"); wildcard {
		return strings.HasPrefix(host, prefix)
	}
	return false
}

// holdsPrefix says whether a path is at or below a prefix, by whole segments. Both are without a final slash.
func holdsPrefix(prefix, path string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// segmentPaths writes paths so that Kong, whose prefixes know no segments, takes what is at and below each, and
// nothing beside it: /pay is the prefix /pay/ and exactly /pay, but not /payments.
func segmentPaths(paths []string) []string {
	var told []string
	for _, path := range paths {
		if strings.HasPrefix(path, "~") || strings.HasSuffix(path, "/") {
			told = append(told, path)
			continue
		}
		told = append(told, path+"/", "~"+regexp.QuoteMeta(path)+"$")
	}
	return told
}
