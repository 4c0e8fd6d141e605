package dataplane

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// protocolReply is the answer to a request that matched a route of another
// protocol; nil when it may go on (kong/runloop/handler.lua, access.before).
func protocolReply(r *http.Request, route *router.Route, requestID string) *reply {
	has := func(p string) bool { return slices.Contains(route.Protocols, p) }
	if has("https") && !has("http") && r.TLS == nil {
		return httpsReply(r, route.RedirectStatus, requestID)
	}
	if !has("grpc") && !has("grpcs") {
		return nil
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return failure(requestID, http.StatusUnsupportedMediaType, "Non-gRPC request matched gRPC route")
	}
	if r.ProtoMajor != 2 {
		answer := failure(requestID, http.StatusUpgradeRequired, "Please use HTTP2 protocol")
		answer.header.Set("Connection", "Upgrade")
		answer.header.Set("Upgrade", "HTTP/2")
		return answer
	}
	if !has("grpc") && r.TLS == nil {
		answer := exit(http.StatusOK, nil)
		answer.header.Set("Content-Type", "application/grpc")
		answer.header.Set("Grpc-Status", "1")
		answer.header.Set("Grpc-Message", "gRPC request matched gRPCs route")
		return answer
	}
	return nil
}

func httpsReply(r *http.Request, redirect int, requestID string) *reply {
	switch redirect {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		host, _ := router.SplitPort(r.Host)
		answer := exit(redirect, nil)
		answer.header.Set("Location", "https://"+host+r.RequestURI)
		return answer
	default:
		answer := failure(requestID, http.StatusUpgradeRequired, "Please use HTTPS protocol")
		answer.header.Set("Connection", "Upgrade")
		answer.header.Set("Upgrade", "TLS/1.2, HTTP/1.1")
		return answer
	}
}
