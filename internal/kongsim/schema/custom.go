package schema

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/postfunction"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// customRules are the rules that Kong has as code: kong/db/schema/typedefs.lua, or the schema of a plugin. Schema
// files name them.
var customRules = map[string]func(value any) string{
	"tag":              onText(tagProblem),
	"name":             onText(nameProblem),
	"host":             onText(hostProblem),
	"route_host":       onText(routeHostProblem),
	"sni":              onText(sniProblem),
	"server_name":      onText(serverNameProblem), // redis.server_name, and before 3.7 a route's SNIs too
	"path":             onText(pathProblem),
	"route_path":       onText(func(text string) string { return routePathProblem(text, "pcre2_compile") }),
	"route_path_pcre":  onText(func(text string) string { return routePathProblem(text, "pcre_compile") }),
	"condition":        onText(conditionProblem),
	"header_name":      onText(headerNameProblem),
	"ip_or_cidr":       onText(addressProblem),
	"url":              onText(urlProblem),
	"key":              onText(keyProblem),
	"regex":            onText(func(text string) string { return regexProblem(text, "'%s' is not a valid regex") }),
	"origin":           onText(originProblem),
	"rate_limits":      onObject(rateLimitsProblem),
	"many_rate_limits": onObject(manyRateLimitsProblem),
	"termination":      onObject(terminationProblem),
	"function":         onText(functionProblem),
}

func customRule(argument any) (rule, error) {
	name, _ := argument.(string)
	if customRules[name] == nil {
		return nil, fmt.Errorf("unknown custom validator %q", name)
	}
	return customRules[name], nil
}

func onText(problem func(string) string) func(any) string {
	return func(value any) string {
		text, _ := value.(string)
		return problem(text)
	}
}

func onObject(problem func(object) string) func(any) string {
	return func(value any) string {
		record, _ := AsRecord(value)
		return problem(record)
	}
}

func utf8Problem(text string) string {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			return "invalid utf-8 character sequence detected at position " + strconv.Itoa(i+1)
		}
		i += size
	}
	return ""
}

// Bytes above 0xF4 do not occur in valid UTF-8.
var (
	tagForm  = regexp.MustCompile(`^[ !-+\-.0-~\x{80}-\x{10FFFF}]+$`)
	nameForm = regexp.MustCompile(`^[0-9A-Za-z.\-_~\x{80}-\x{10FFFF}]+$`)
)

func tagProblem(text string) string {
	if problem := utf8Problem(text); problem != "" {
		return problem
	}
	if !tagForm.MatchString(text) {
		return "invalid tag '" + text + "': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
	}
	return ""
}

func nameProblem(text string) string {
	if problem := utf8Problem(text); problem != "" {
		return problem
	}
	if !nameForm.MatchString(text) {
		return "invalid value '" + text + "': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
	}
	return ""
}

// address is what Kong makes of a host (kong/tools/ip.lua, normalize_ip).
type address struct {
	kind    string // name, ipv4 or ipv6
	hasPort bool
}

const badPort = "invalid port number"

var (
	hostPort   = regexp.MustCompile(`:([0-9]+)$`)
	hostName   = regexp.MustCompile(`^[0-9A-Za-z\-._]+$`)
	dotsDigits = regexp.MustCompile(`^[0-9.]+$`)
)

func parseAddress(text string) (address, string) {
	switch {
	case strings.Count(text, ":") > 1:
		return parseIPv6(text)
	case dotsDigits.MatchString(strings.ReplaceAll(text, ":", "")):
		return parseIPv4(text)
	default:
		return parseHostName(text)
	}
}

func parseIPv4(text string) (address, string) {
	host, port, found := strings.Cut(text, ":")
	if ip, err := netip.ParseAddr(withoutLeadingZeros(host)); err != nil || !ip.Is4() || found && port == "" {
		return address{}, "invalid ipv4 address: " + text
	}
	return address{"ipv4", found}, portProblem(port)
}

// withoutLeadingZeros: Kong reads 010 as ten.
func withoutLeadingZeros(ip string) string {
	parts := strings.Split(ip, ".")
	for i, part := range parts {
		if n, err := strconv.Atoi(part); err == nil && len(part) <= 3 {
			parts[i] = strconv.Itoa(n)
		}
	}
	return strings.Join(parts, ".")
}

func parseIPv6(text string) (address, string) {
	host, port := text, ""
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		end := strings.IndexByte(inner, ']')
		if end < 0 {
			return address{}, "invalid ipv6 address: " + text
		}
		rest := inner[end+1:]
		host = inner[:end]
		if rest != "" {
			after, ok := strings.CutPrefix(rest, ":")
			if !ok {
				return address{}, "invalid ipv6 address"
			}
			port = after
		}
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
		return address{}, "invalid ipv6 address: " + text
	}
	return address{"ipv6", port != ""}, portProblem(port)
}

func parseHostName(text string) (address, string) {
	name, port := text, ""
	if found := hostPort.FindStringSubmatch(text); found != nil {
		port = found[1]
		name = strings.TrimSuffix(text, ":"+port)
		if problem := portProblem(port); problem != "" {
			return address{}, problem
		}
	}
	invalid := "invalid hostname: " + text
	if !hostName.MatchString(name) {
		return address{}, invalid
	}
	labels := strings.Split(name, ".")
	for i, label := range labels {
		if strings.HasSuffix(label, "-") || label == "" && i < len(labels)-1 {
			return address{}, invalid
		}
	}
	return address{"name", port != ""}, ""
}

func portProblem(port string) string {
	if port == "" {
		return ""
	}
	if n, err := strconv.Atoi(port); err != nil || n > 65535 {
		return badPort
	}
	return ""
}

func hostProblem(text string) string {
	parsed, problem := parseAddress(text)
	switch {
	case problem == badPort || problem == "" && parsed.hasPort:
		return "must not have a port"
	case problem != "":
		return "invalid value: " + text
	}
	return ""
}

// routeHostProblem: a route's host may have a wildcard, which the schema has looked at, and a port.
func routeHostProblem(text string) string {
	_, problem := parseAddress(strings.ReplaceAll(text, "*", "abc"))
	return problem
}

func sniProblem(text string) string {
	if at := strings.IndexByte(text, '*'); at >= 0 {
		if at != 0 && at != len(text)-1 {
			return "wildcard must be leftmost or rightmost character"
		}
		if strings.Count(text, "*") > 1 {
			return "only one wildcard must be specified"
		}
		text = strings.ReplaceAll(text, "*", "wildcard")
	}
	return serverNameProblem(text)
}

// serverNameProblem looks at a name without a wildcard.
func serverNameProblem(text string) string {
	parsed, problem := parseAddress(text)
	switch {
	case problem == badPort || problem == "" && parsed.kind == "name" && parsed.hasPort:
		return "must not have a port"
	case problem != "":
		return "invalid value: " + text
	case parsed.kind != "name":
		return "must not be an IP"
	}
	return ""
}

var (
	pathForm     = regexp.MustCompile(`^/[0-9A-Za-z.\-_~/%:@!$&'()*+,;=]*$`)
	percentPair  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	percentStart = regexp.MustCompile(`%.?.?`)
)

func pathProblem(text string) string {
	if !pathForm.MatchString(text) {
		return "invalid path: '" + text + "' (characters outside of the reserved list of RFC 3986 found)"
	}
	return percentProblem(text)
}

func percentProblem(text string) string {
	if bad := percentStart.FindString(percentPair.ReplaceAllString(text, "___")); bad != "" {
		return "invalid url-encoded value: '" + bad + "'"
	}
	return ""
}

// routePathProblem looks at a prefix or, after ~, an expression.
func routePathProblem(text, compiler string) string {
	if pathForm.MatchString(text) {
		if problem := percentProblem(text); problem != "" {
			return problem
		}
	}
	expression, isExpression := strings.CutPrefix(text, "~")
	if !isExpression {
		if normal := router.NormalizePath(text); normal != text {
			return "non-normalized path, consider use '" + normal + "' instead"
		}
		return ""
	}
	if problem := pcreProblem(expression); problem != "" {
		return "invalid regex: '" + expression + "' (PCRE returned: " + compiler + "() failed: " + problem + ")"
	}
	return ""
}

var headerNameForm = regexp.MustCompile(`^[a-zA-Z0-9\-_]+$`)

func headerNameProblem(text string) string {
	if text == "" {
		return "no header name provided"
	}
	if !headerNameForm.MatchString(text) {
		return "bad header name '" + text + "', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
	}
	return ""
}

func addressProblem(text string) string {
	host, _, isRange := strings.Cut(text, "/")
	if _, err := netip.ParseAddr(host); err == nil {
		if _, err := netip.ParsePrefix(text); err == nil || !isRange {
			return ""
		}
	}
	return "invalid ip or cidr range: '" + text + "'"
}

func urlProblem(text string) string {
	switch parts := splitURL(text); {
	case parts["host"] == "":
		return "missing host in url"
	case parts["scheme"] == "":
		return "missing scheme in url"
	}
	return ""
}

func regexProblem(text, format string) string {
	if pcreProblem(text) != "" {
		return fmt.Sprintf(format, text)
	}
	return ""
}

func originProblem(text string) string {
	if text == "*" {
		return ""
	}
	return regexProblem(text, "'%s' is not a valid regex")
}

// keyProblem is what the jwt plugin asks of rsa_public_key: that OpenSSL reads it. A private key, or one of another
// type, will do.
func keyProblem(text string) string {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return "invalid key"
		}
		if readableKey(block) {
			return ""
		}
	}
}

func readableKey(block *pem.Block) bool {
	parsers := map[string]func([]byte) error{
		"PUBLIC KEY":      func(der []byte) error { _, err := x509.ParsePKIXPublicKey(der); return err },
		"RSA PUBLIC KEY":  func(der []byte) error { _, err := x509.ParsePKCS1PublicKey(der); return err },
		"PRIVATE KEY":     func(der []byte) error { _, err := x509.ParsePKCS8PrivateKey(der); return err },
		"RSA PRIVATE KEY": func(der []byte) error { _, err := x509.ParsePKCS1PrivateKey(der); return err },
		"EC PRIVATE KEY":  func(der []byte) error { _, err := x509.ParseECPrivateKey(der); return err },
	}
	parse, known := parsers[block.Type]
	return known && parse(block.Bytes) == nil
}

// functionProblem is what post-function's schema says of Lua that cannot be parsed.
func functionProblem(text string) string {
	if _, err := postfunction.Compile(text); err != nil {
		return "error parsing post-function: " + err.Error()
	}
	return ""
}
