package stack

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

// AnswerForNames answers for the cluster's DNS and kube-proxy, which there are none of here: what operators that are
// started from now on ask of a Service's name goes through an HTTP proxy, to a pod. Resolve gives the address,
// host:port, of a pod of the Service that a host names, NAME.NAMESPACE.svc; empty where there is none. Requests to the
// pods themselves do not go through it. It ends with the stack.
func (s *Stack) AnswerForNames(resolve func(host string) string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if host := r.In.URL.Hostname(); strings.HasSuffix(host, ".svc") {
				r.Out.URL.Host = resolve(host)
			}
		},
		Transport: &http.Transport{}, // by no proxy, which would be this one
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	server := &http.Server{Handler: forward, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed once Close is called
	s.cleanups = append(s.cleanups, server.Close)
	// What is on this machine's loopback address, the kube-apiserver among it, is never asked for through a proxy.
	s.operatorEnv = []string{"HTTP_PROXY=http://" + listener.Addr().String(), "NO_PROXY=" + PodAddress()}
	return nil
}

// PodAddress is an address of this machine that is not loopback: the kube-apiserver takes no other in an
// EndpointSlice. It is empty where the machine has none.
func PodAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	return ""
}
