package dataplane

import (
	"net/http"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/postfunction"
)

// postFunction is the post-function plugin, as far as its access phase goes.
type postFunction struct{ functions []*postfunction.Function }

func compilePostFunction(view *PluginView) (plugin, error) {
	var config struct {
		Access []string `json:"access"`
	}
	if err := decodeConfig(view.Config, &config); err != nil {
		return nil, err
	}
	p := &postFunction{}
	for _, source := range config.Access {
		function, err := postfunction.Compile(source)
		if err != nil {
			return nil, err
		}
		p.functions = append(p.functions, function)
	}
	return p, nil
}

func (p *postFunction) access(x *exchange) *reply {
	if x.noLua { // an error of Lua, when the functions are compiled (kong/tools/sandbox.lua)
		return x.fail(http.StatusInternalServerError, "")
	}
	for _, function := range p.functions {
		said, err := function.Run(&postfunction.Request{
			Token: x.token, Method: x.request.Method, HasCredential: x.credentialID != "",
			Upstream: x.upstream, Now: x.now,
		})
		if err != nil {
			return x.fail(http.StatusInternalServerError, "")
		}
		if said != nil {
			answer := exit(said.Status, said.Body)
			for name, values := range said.Header {
				answer.header[name] = values
			}
			return answer
		}
	}
	return nil
}
