package router

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// matcher is the compiled form of a route's attributes; all that are set must match.
type matcher struct {
	methods  []string
	hosts    []hostPattern
	snis     []hostPattern
	prefixes []string
	paths    []*regexp.Regexp
	headers  []headerPattern
}

// hostPattern is a name, or with a star at one end a suffix or a prefix of names.
type hostPattern struct {
	equal, prefix, suffix string
	port                  int // 0: any
}

// headerPattern wants one of a header's values to be one of the given ones.
type headerPattern struct {
	name    string
	values  []string
	regexes []*regexp.Regexp
}

func compileMatcher(route *Route, paths []string) (matcher, error) {
	m := matcher{methods: route.Methods}
	for _, h := range route.Hosts {
		host, port := SplitPort(h)
		p := newHostPattern(host)
		p.port = port
		m.hosts = append(m.hosts, p)
	}
	for _, s := range route.SNIs {
		m.snis = append(m.snis, newHostPattern(strings.TrimSuffix(s, ".")))
	}
	for _, p := range paths {
		if !isRegexPath(p) {
			m.prefixes = append(m.prefixes, p)
			continue
		}
		re, err := regexp.Compile("^(?:" + p[1:] + ")")
		if err != nil {
			return matcher{}, fmt.Errorf("compile a path of route %s: %w", route.ID, err)
		}
		m.paths = append(m.paths, re)
	}
	for name, values := range route.Headers {
		h, err := newHeaderPattern(name, values)
		if err != nil {
			return matcher{}, fmt.Errorf("compile a header of route %s: %w", route.ID, err)
		}
		m.headers = append(m.headers, h)
	}
	return m, nil
}

func newHostPattern(h string) hostPattern {
	if after, ok := strings.CutPrefix(h, "*"); ok {
		return hostPattern{suffix: after}
	}
	if before, ok := strings.CutSuffix(h, "*"); ok {
		return hostPattern{prefix: before}
	}
	return hostPattern{equal: h}
}

// newHeaderPattern lowers the values, expressions too, as Kong does.
func newHeaderPattern(name string, values []string) (headerPattern, error) {
	h := headerPattern{name: http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))}
	for _, v := range values {
		expr, isRegex := strings.CutPrefix(v, "~*")
		if !isRegex {
			h.values = append(h.values, strings.ToLower(v))
			continue
		}
		re, err := regexp.Compile(strings.ToLower(expr))
		if err != nil {
			return headerPattern{}, err
		}
		h.regexes = append(h.regexes, re)
	}
	return h, nil
}

// matches says whether a request is the route's, and which part of its path matched.
func (m matcher) matches(req Request) (prefix string, ok bool) {
	// Names of a TLS handshake matter to HTTPS requests only.
	if len(m.snis) > 0 && req.HTTPS && !matchesAny(m.snis, req.SNI, req.Port) {
		return "", false
	}
	if len(m.methods) > 0 && !slices.Contains(m.methods, req.Method) {
		return "", false
	}
	host, _ := SplitPort(req.Host)
	if len(m.hosts) > 0 && !matchesAny(m.hosts, host, req.Port) {
		return "", false
	}
	for _, h := range m.headers {
		if !h.matches(req.Headers[h.name]) {
			return "", false
		}
	}
	return m.matchPath(req.Path)
}

func (m matcher) matchPath(path string) (prefix string, ok bool) {
	if len(m.prefixes) == 0 && len(m.paths) == 0 {
		return "", true
	}
	for _, p := range m.prefixes {
		if strings.HasPrefix(path, p) {
			return p, true
		}
	}
	for _, re := range m.paths {
		if at := re.FindStringIndex(path); at != nil {
			return path[:at[1]], true
		}
	}
	return "", false
}

func matchesAny(patterns []hostPattern, host string, port int) bool {
	return slices.ContainsFunc(patterns, func(p hostPattern) bool {
		if p.port != 0 && p.port != port {
			return false
		}
		switch {
		case p.suffix != "":
			return strings.HasSuffix(host, p.suffix)
		case p.prefix != "":
			return strings.HasPrefix(host, p.prefix)
		default:
			return host == p.equal
		}
	})
}

func (h headerPattern) matches(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool {
		v = strings.ToLower(v)
		return slices.Contains(h.values, v) ||
			slices.ContainsFunc(h.regexes, func(re *regexp.Regexp) bool { return re.MatchString(v) })
	})
}

// SplitPort divides host:port; a port that is no number is left where it is.
func SplitPort(host string) (string, int) {
	name, after, found := strings.Cut(host, ":")
	if !found {
		return host, 0
	}
	port, err := strconv.Atoi(after)
	if err != nil {
		return host, 0
	}
	return name, port
}
