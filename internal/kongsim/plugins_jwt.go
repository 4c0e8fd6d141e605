package kongsim

import (
	"net/http"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
)

// jwtAuth is the jwt plugin; the decision itself is jwtplugin's.
type jwtAuth struct{ config jwtplugin.Config }

func compileJWT(view *pluginView) (plugin, error) {
	var c struct {
		URIParamNames     []string `json:"uri_param_names"`
		CookieNames       []string `json:"cookie_names"`
		HeaderNames       []string `json:"header_names"`
		KeyClaimName      string   `json:"key_claim_name"`
		SecretIsBase64    bool     `json:"secret_is_base64"`
		ClaimsToVerify    []string `json:"claims_to_verify"`
		MaximumExpiration float64  `json:"maximum_expiration"`
		Anonymous         string   `json:"anonymous"`
		RunOnPreflight    bool     `json:"run_on_preflight"`
		Realm             string   `json:"realm"`
	}
	if err := decodeConfig(view.Config, &c); err != nil {
		return nil, err
	}
	return &jwtAuth{jwtplugin.Config{
		URIParamNames: c.URIParamNames, CookieNames: c.CookieNames, HeaderNames: c.HeaderNames,
		KeyClaimName: c.KeyClaimName, SecretIsBase64: c.SecretIsBase64, ClaimsToVerify: c.ClaimsToVerify,
		MaximumExpiration: c.MaximumExpiration, Anonymous: c.Anonymous, RunOnPreflight: c.RunOnPreflight,
		Realm: c.Realm,
	}}, nil
}

func (p *jwtAuth) access(x *exchange) *reply {
	req := jwtplugin.Request{Method: x.request.Method, RawQuery: x.request.URL.RawQuery, Header: x.request.Header}
	d := jwtplugin.Decide(p.config, req, x.directory, x.now)
	if !d.Passes() {
		return refusal(x, d.Refusal)
	}
	d.Upstream.Apply(x.upstream)
	if d.Consumer != nil {
		x.consumer = d.Consumer
	}
	if d.Authenticated() {
		x.credentialID = d.CredentialID
	}
	return nil
}

func refusal(x *exchange, r *jwtplugin.Response) *reply {
	if r.Status == http.StatusInternalServerError {
		return x.fail(r.Status, r.Message)
	}
	answer := exit(r.Status, r.Body())
	if r.Challenge != "" {
		answer.header.Set("WWW-Authenticate", r.Challenge)
	}
	return answer
}
