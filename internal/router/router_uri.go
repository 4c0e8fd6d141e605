package router

import (
	"fmt"
	"strings"
)

// reservedInURI stay percent-encoded when a path is normalised: decoding them
// would change what the path means (RFC 3986 2.2).
const reservedInURI = "!*'();:@&=+$,/?%#[]"

// NormalizePath brings a raw request path into the form that routes are
// matched against (kong/tools/uri.lua): escapes of anything but reserved
// characters are decoded, dot segments are resolved, slashes merged.
func NormalizePath(raw string) string {
	path := decodeUnreserved(raw)
	var segments []string
	parts := strings.Split(path, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch part {
		case "..":
			if len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
		case ".", "":
		default:
			segments = append(segments, part)
			continue
		}
		if last {
			return "/" + strings.Join(append(segments, ""), "/")
		}
	}
	return "/" + strings.Join(segments, "/")
}

func decodeUnreserved(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] != '%' || i+2 >= len(s) || !parseHex(s[i+1:i+3], &c) {
			out = append(out, s[i])
			continue
		}
		if strings.IndexByte(reservedInURI, c) >= 0 {
			out = append(out, strings.ToUpper(s[i:i+3])...)
		} else {
			out = append(out, c)
		}
		i += 2
	}
	return string(out)
}

func parseHex(two string, c *byte) bool {
	var v byte
	for i := range 2 {
		d := strings.IndexByte("0123456789abcdef", two[i]|0x20)
		if d < 0 || two[i] < '0' {
			return false
		}
		v = v<<4 | byte(d)
	}
	*c = v
	return true
}

// EscapePath makes a normalised path fit for a request line again.
func EscapePath(path string) string {
	const kept = "!#$&'()*+,/:;=?@[]-_.~%"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// UpstreamPath is the path that a service gets. prefix is what the route
// matched, empty where it matched no path; base is the service's path. These
// are path_handling v0's rules, the only ones of the traditional_compatible
// router, whatever a route says.
func UpstreamPath(base, path, prefix string, strip bool) string {
	if base == "" {
		base = "/"
	}
	root, slashed := strings.CutSuffix(base, "/")
	if !strip {
		if slashed || path != "/" {
			return root + path
		}
		return base
	}
	if prefix == "" {
		prefix = "/"
	}
	rest := withoutDots(path[min(len(prefix), len(path)):])
	if rest != "" {
		return root + "/" + strings.TrimPrefix(rest, "/")
	}
	switch {
	case base == "/":
		return base
	case len(path) > 1 && strings.HasSuffix(path, "/"), slashed && path == "/":
		return root + "/"
	default:
		return root
	}
}

// withoutDots drops a dot segment that stripping a prefix may leave in front.
func withoutDots(rest string) string {
	if rest == "." || rest == ".." {
		return ""
	}
	if after, ok := strings.CutPrefix(rest, "./"); ok {
		return after
	}
	if after, ok := strings.CutPrefix(rest, "../"); ok {
		return after
	}
	return rest
}
