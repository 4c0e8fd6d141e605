package issuer

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// Proxy is an HTTP proxy that leads to one issuer whatever host it is asked for: names that resolve nowhere can be the
// issuer's. The certificate of an Issuer is for example.com and all names below it.
type Proxy struct {
	server *httptest.Server
	to     string

	mu                 sync.Mutex
	username, password string
	asked              []string
}

// StartProxy serves a proxy to an issuer on this machine, over TLS or not. Close ends it.
func StartProxy(to *Issuer, overTLS bool) *Proxy {
	return startProxy(strings.TrimPrefix(to.Base(), "https://"), overTLS)
}

// StartProxyTo serves a proxy to an address of this machine, without TLS.
func StartProxyTo(address string) *Proxy { return startProxy(address, false) }

func startProxy(to string, overTLS bool) *Proxy {
	p := &Proxy{to: to}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if overTLS {
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	return p
}

// Close ends the proxy.
func (p *Proxy) Close() { p.server.Close() }

// URL of the proxy.
func (p *Proxy) URL() string { return p.server.URL }

// CA is the certificate of a proxy over TLS in PEM.
func (p *Proxy) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// Require has the proxy ask for a username and a password.
func (p *Proxy) Require(username, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.username, p.password = username, password
}

// Asked lists the hosts, each with its port, that connections were asked for and made.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *Proxy) serve(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if !p.admits(request) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	upstream, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = upstream.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go pass(upstream, client)
	go pass(client, upstream)
}

// pass copies until one side ends, and ends the other.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
}

// admits reads who asks, and notes what for.
func (p *Proxy) admits(request *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.username != "" {
		asking := &http.Request{Header: http.Header{"Authorization": request.Header["Proxy-Authorization"]}}
		username, password, found := asking.BasicAuth()
		if !found || username != p.username || password != p.password {
			return false
		}
	}
	p.asked = append(p.asked, request.Host)
	return true
}
