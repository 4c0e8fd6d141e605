package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// proxy asks a data plane.
func (r *run) proxy(ctx context.Context, s step) (string, error) {
	node, rest, _ := strings.Cut(s.Proxy, " ")
	method, path, _ := strings.Cut(rest, " ")
	header, err := r.bearer(s.Token)
	if err != nil {
		return "", err
	}
	if s.XProbe != "" {
		header["X-Probe"] = []string{s.XProbe}
	}
	got, err := r.request(ctx, node, method, path, s.Host, header)
	if err != nil {
		return "", err
	}
	if got.status != s.Answered {
		return fmt.Sprintf("%s: status %d, got %d %s", s.Proxy, s.Answered, got.status, got.body), nil
	}
	return r.answer(s, got), nil
}

func (r *run) answer(s step, got reply) string {
	if text, isText := s.Body.(string); isText && text != string(got.body) {
		return fmt.Sprintf("%s: body %q, got %q", s.Proxy, text, got.body)
	}
	if fields, is := s.Body.(map[string]any); is {
		if wrong := subset("", fields, got.json()); wrong != "" {
			return s.Proxy + ": " + wrong
		}
	}
	for name, want := range map[string]string{"Www-Authenticate": s.WWWAuthenticate, "Ratelimit-Limit": s.RateLimit} {
		if want != "" && got.header.Get(name) != want {
			return fmt.Sprintf("%s: %s %q, got %q", s.Proxy, name, want, got.header.Get(name))
		}
	}
	saw := upstreamSaw{}
	_ = json.Unmarshal(got.body, &saw)
	if s.UpstreamSaw != nil {
		if saw.Path != s.UpstreamSaw.Path {
			return fmt.Sprintf("%s: the upstream saw %s, got %s", s.Proxy, s.UpstreamSaw.Path, saw.Path)
		}
		for name, want := range s.UpstreamSaw.Headers {
			if saw.Headers[http.CanonicalHeaderKey(name)] != want {
				return fmt.Sprintf("%s: the upstream saw %s %q, got %q", s.Proxy, name, want,
					saw.Headers[http.CanonicalHeaderKey(name)])
			}
		}
	}
	if s.From == "upstream" && got.message() != "" {
		return s.Proxy + ": it did not reach the upstream"
	}
	if s.UpstreamHost != "" {
		var request struct{ Host string }
		_ = json.Unmarshal(got.body, &request)
		own := fmt.Sprintf("%s:%d", r.upstream.Host(), r.upstream.Port())
		if want := strings.ReplaceAll(s.UpstreamHost, "localhost:9980", own); request.Host != want {
			return fmt.Sprintf("%s: the upstream was asked for %s, got %s", s.Proxy, want, request.Host)
		}
	}
	return ""
}
