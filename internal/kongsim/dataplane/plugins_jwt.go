package dataplane

import (
	"net/http"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// jwtAuth is the jwt plugin; the decision itself is jwtplugin's.
type jwtAuth struct{ config jwtplugin.Config }

func compileJWT(view *PluginView) (plugin, error) {
	config, err := pluginconfig.JWTSettings(view.Config)
	return &jwtAuth{config}, err
}

func (p *jwtAuth) access(x *exchange) *reply {
	req := jwtplugin.Request{Method: x.request.Method, RawQuery: x.request.URL.RawQuery, Header: x.request.Header}
	config := p.config
	config.Version = x.version
	d := jwtplugin.Decide(config, req, x.directory, x.now)
	if !d.Passes() {
		return refusal(x, d.Refusal)
	}
	d.Upstream.Apply(x.upstream)
	if d.Consumer != nil {
		x.consumer = d.Consumer
	}
	if d.Authenticated() {
		x.credentialID, x.token = d.CredentialID, d.Token
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
