package dataplane

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// cors is the cors plugin.
type cors struct {
	Origins           []string `json:"origins"`
	Headers           []string `json:"headers"`
	ExposedHeaders    []string `json:"exposed_headers"`
	Methods           []string `json:"methods"`
	MaxAge            *int64   `json:"max_age"`
	Credentials       bool     `json:"credentials"`
	PrivateNetwork    bool     `json:"private_network"`
	PreflightContinue bool     `json:"preflight_continue"`
	AllowOriginAbsent bool     `json:"allow_origin_absent"`
}

// plainOrigin is an origin that is not taken for an expression.
var plainOrigin = regexp.MustCompile(`^[A-Za-z0-9.:/-]+$`)

const allMethods = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

func (p *cors) access(x *exchange) *reply {
	if !isPreflight(x.request) || p.PreflightContinue {
		return nil
	}
	answer := exit(http.StatusOK, nil)
	p.allowOrigin(x.request.Header.Get("Origin"), answer.header)
	if len(p.Headers) > 0 {
		answer.header.Set("Access-Control-Allow-Headers", strings.Join(p.Headers, ","))
	} else if asked := x.request.Header.Get("Access-Control-Request-Headers"); asked != "" {
		answer.header.Set("Access-Control-Allow-Headers", asked)
	}
	methods := allMethods
	if p.Methods != nil {
		methods = strings.Join(p.Methods, ",")
	}
	answer.header.Set("Access-Control-Allow-Methods", methods)
	if p.MaxAge != nil {
		answer.header.Set("Access-Control-Max-Age", strconv.FormatInt(*p.MaxAge, 10))
	}
	if p.PrivateNetwork && x.request.Header.Get("Access-Control-Request-Private-Network") == "true" {
		answer.header.Set("Access-Control-Allow-Private-Network", "true")
	}
	return answer
}

func (p *cors) filter(x *exchange, answer http.Header) {
	origin := x.request.Header.Get("Origin")
	if isPreflight(x.request) || origin == "" && !p.AllowOriginAbsent {
		return
	}
	p.allowOrigin(origin, answer)
	if len(p.ExposedHeaders) > 0 {
		answer.Set("Access-Control-Expose-Headers", strings.Join(p.ExposedHeaders, ","))
	}
}

// allowOrigin sets the origin that is let in, if any, and whether with credentials.
func (p *cors) allowOrigin(origin string, h http.Header) {
	allowed := p.allowed(origin)
	all := allowed == "*"
	if len(p.Origins) > 0 && (len(p.Origins) > 1 || !all) {
		h.Add("Vary", "Origin")
	}
	if allowed == "" {
		h.Del("Access-Control-Allow-Origin")
	} else {
		h.Set("Access-Control-Allow-Origin", allowed)
	}
	switch {
	case !p.Credentials:
	case !all:
		h.Set("Access-Control-Allow-Credentials", "true")
	case origin != "":
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

func (p *cors) allowed(origin string) string {
	if len(p.Origins) == 0 {
		return "*"
	}
	if len(p.Origins) == 1 && (p.Origins[0] == "*" || plainOrigin.MatchString(p.Origins[0])) {
		return p.Origins[0]
	}
	domain, host := normalizeOrigin(origin)
	if origin == "" {
		return ""
	}
	for _, o := range p.Origins {
		if o == "*" {
			return "*"
		}
		if plainOrigin.MatchString(o) {
			if wanted, _ := normalizeOrigin(o); wanted == domain {
				return domain
			}
			continue
		}
		subject := domain
		if !strings.Contains(o, ":") {
			subject = host
		}
		re, err := regexp.Compile("^(?:" + strings.TrimSuffix(strings.TrimPrefix(o, "^"), "$") + ")$")
		if err == nil && re.MatchString(subject) {
			return domain
		}
	}
	return ""
}

// normalizeOrigin drops the scheme's default port.
func normalizeOrigin(origin string) (domain, host string) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return origin, origin
	}
	host = u.Hostname()
	if port := u.Port(); port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return u.Scheme + "://" + host, host
	}
	return u.Scheme + "://" + u.Host, host
}
