package jwtplugin

import (
	"net/http"
	"regexp"
	"strings"
)

// bearer is the plugin's own expression; it is not anchored, so that anything
// before "Bearer" is accepted too.
var bearer = regexp.MustCompile(`\s*[Bb]earer\s+(.+)`)

// maxQueryArgs is how many query parameters nginx's Lua module reads.
const maxQueryArgs = 100

// candidates is the set of distinct tokens in a request. A query parameter
// without "=" counts as one, and no text.
type candidates struct {
	texts map[string]struct{}
	bare  bool
}

func (c *candidates) add(token string) {
	if token != "" {
		c.texts[token] = struct{}{}
	}
}

func (c *candidates) count() int {
	n := len(c.texts)
	if c.bare {
		n++
	}
	return n
}

// single returns the token; call it only when count is 1 and bare is false.
func (c *candidates) single() string {
	for token := range c.texts {
		return token
	}
	return ""
}

// findTokens collects the tokens of the query, the cookies and the headers.
func findTokens(cfg Config, req Request) *candidates {
	found := &candidates{texts: map[string]struct{}{}}
	if len(cfg.URIParamNames) > 0 {
		addFromQuery(found, cfg.URIParamNames, req.RawQuery)
	}
	for _, name := range cfg.CookieNames {
		found.add(cookie(req.Header.Values("Cookie"), name))
	}
	for _, name := range cfg.HeaderNames {
		values := headerValues(req.Header, name)
		if len(values) == 0 {
			continue
		}
		if m := bearer.FindStringSubmatch(strings.TrimRight(values[0], " \t")); m != nil {
			found.add(m[1])
		}
	}
	return found
}

// headerValues looks a header up as ngx.req.get_headers does: any case, and
// an underscore for a dash.
func headerValues(h http.Header, name string) []string {
	return h.Values(strings.ReplaceAll(name, "_", "-"))
}

func addFromQuery(found *candidates, names []string, rawQuery string) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	read := 0
	for rawQuery != "" && read < maxQueryArgs {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		key, value, hasValue := strings.Cut(pair, "=")
		if key == "" {
			continue
		}
		read++
		if !wanted[unescape(key)] {
			continue
		}
		if !hasValue {
			found.bare = true
			continue
		}
		found.add(unescape(value))
	}
}

// unescape decodes a query component; what is not a valid escape stays as it is.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}

// cookie finds a cookie the way nginx's $cookie_NAME does: the first match of
// all Cookie headers, its name without case, parts divided by ";" (and by ","
// before a match), its value up to the next ";" as it is.
func cookie(headers []string, name string) string {
	for _, line := range headers {
		for rest := line; rest != ""; {
			if value, ok := cookieValue(rest, name); ok {
				return value
			}
			next := strings.IndexAny(rest, ";,")
			if next < 0 {
				break
			}
			rest = strings.TrimLeft(rest[next+1:], " ")
		}
	}
	return ""
}

// cookieValue reads `name = value` at the beginning of s.
func cookieValue(s, name string) (string, bool) {
	if len(s) < len(name) || !strings.EqualFold(s[:len(name)], name) {
		return "", false
	}
	s = strings.TrimLeft(s[len(name):], " ")
	if s == "" || s[0] != '=' {
		return "", false
	}
	value, _, _ := strings.Cut(strings.TrimLeft(s[1:], " "), ";")
	return value, true
}
