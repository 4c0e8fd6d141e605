package engine

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// behind has the engine reach its Kong through a front. The front asks before for each request, and forwards it where
// that is not nil; after may change the answers.
func (r *rig) behind(before func(http.Handler) http.Handler, after func(*http.Response) error) {
	r.Helper()
	target, err := url.Parse(r.sim.AdminURL())
	if err != nil {
		r.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }, ModifyResponse: after}
	front := httptest.NewServer(before(proxy))
	r.Cleanup(front.Close)
	if r.gateway, err = r.registry.Ensure("default", Settings{Client: kong.Config{URL: front.URL}, DriftInterval: time.Hour}); err != nil {
		r.Fatal(err)
	}
	r.expect(EventConnected, nil)
}

// A listing that fails after Kong became another version judges nothing: the next is still the first of that version.
func TestAListingThatFailsAfterAnUpgradeMakesNoDrift(t *testing.T) {
	v := newVersionRig(t, "3.9.3", kongsim.Schemas{}, false)
	var faults kongsim.Faults
	v.behind(faults.Wrap, nil)
	sets := v.all()
	for _, set := range sets {
		v.opened(set)
	}
	faults.Set(1, kongsim.Fault{Methods: []string{http.MethodGet}, PathPrefix: "/services", Status: http.StatusInternalServerError, Count: 1})
	v.become("4.0.0", further)
	v.nothing("after the upgrade", sets)
}

// A Kong without a plugin has no entities of it, and no place to list them.
func TestAKongWithoutThePluginIsNotAskedForItsEntities(t *testing.T) {
	r := newRig(t)
	asked := false
	r.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if strings.Contains(request.URL.Path, "/acls") {
				asked = true
				http.Error(w, `{"message":"Not found"}`, http.StatusNotFound)
				return
			}
			next.ServeHTTP(w, request)
		})
	}, func(response *http.Response) error {
		if response.Request.URL.Path != "/" {
			return nil
		}
		var node map[string]any
		if err := json.NewDecoder(response.Body).Decode(&node); err != nil {
			return err
		}
		delete(node["plugins"].(map[string]any)["available_on_server"].(map[string]any), "acl")
		content, err := json.Marshal(node)
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		response.Header.Del("Content-Length")
		return err
	})
	r.opened(r.service("api", "one"))
	if asked {
		t.Error("it was asked for groups")
	}
}
