package main

import (
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
	"github.com/kongjwt/kong-jwt-operator/test/stale"
)

// apiProxy stands before the kube-apiserver with an address that stays: it passes bytes on, cuts connections, and
// refuses them. Behind it requests are passed on, but for one read of fifty while failReads says so, to a replica that
// may be behind.
type apiProxy struct {
	listener net.Listener
	// reads answers requests, with the rights of an administrator.
	reads   *httptest.Server
	failing atomic.Bool
	env     *stack.Stack
	// kubeconfig that leads here, and a client that goes the same way.
	kubeconfig string
	client     client.Client

	mu     sync.Mutex
	target string
	// forward leads to the kube-apiserver as it runs now, by way of replica.
	forward *httputil.ReverseProxy
	replica *stale.Replica
	open    map[net.Conn]bool
}

// failedReads is how many reads there are to one that fails.
const failedReads = 50

// failReads says whether reads fail. A watch that has begun goes on.
func (p *apiProxy) failReads(fail bool) { p.failing.Store(fail) }

func (p *apiProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	forward := p.forward
	p.mu.Unlock()
	if p.failing.Load() && r.Method == http.MethodGet && rand.IntN(failedReads) == 0 { //nolint:gosec // Faults, not secrets.
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	forward.ServeHTTP(w, r)
}

func newAPIProxy(env *stack.Stack, dir string) (*apiProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &apiProxy{env: env, listener: listener, kubeconfig: filepath.Join(dir, "kubeconfig-by-proxy"), open: map[net.Conn]bool{}}
	p.reads = httptest.NewUnstartedServer(p)
	p.reads.Config.ErrorLog = log.New(io.Discard, "", 0) // connections are meant to break
	p.reads.StartTLS()
	if err := p.point(env.Config.Host); err != nil {
		return nil, err
	}
	go p.serve()
	content, err := clientcmd.LoadFromFile(env.Kubeconfig)
	if err != nil {
		return nil, err
	}
	for _, cluster := range content.Clusters {
		cluster.Server = "https://" + listener.Addr().String()
		cluster.CertificateAuthorityData, cluster.CertificateAuthority, cluster.InsecureSkipTLSVerify = nil, "", true
	}
	if err := clientcmd.WriteToFile(*content, p.kubeconfig); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(env.Config)
	config.Host = "https://" + listener.Addr().String()
	config.Insecure, config.CAData, config.CAFile = true, nil, ""
	config.QPS, config.Burst = -1, -1
	p.client, err = client.New(config, client.Options{Scheme: env.Client.Scheme()})
	return p, err
}

// point leads new connections to a server, and cuts those that are open. Without a server connections are refused.
func (p *apiProxy) point(host string) error {
	defer p.drop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = ""
	address, err := url.Parse(host)
	if err != nil || address.Host == "" {
		return err
	}
	transport, err := rest.TransportFor(p.env.Config)
	if err != nil {
		return err
	}
	if p.replica, err = stale.New(p.env.Config); err != nil {
		return err
	}
	p.target = p.reads.Listener.Addr().String()
	p.forward = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(address) },
		Transport: p.replica.Through(transport), FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
	}
	return nil
}

// drop cuts all connections, and all watches with them.
func (p *apiProxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close() // that is what is wanted
	}
	clear(p.open)
}

func (p *apiProxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		go p.pass(conn)
	}
}

func (p *apiProxy) pass(conn net.Conn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	defer func() { _ = conn.Close() }() // one side has closed it
	if target == "" {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }() // as above
	p.mu.Lock()
	if p.target != target { // it was pointed elsewhere meanwhile, and has cut all that it knew of
		p.mu.Unlock()
		return
	}
	p.open[conn] = true
	p.mu.Unlock()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{conn, server}, {server, conn}} {
		go func() {
			_, _ = io.Copy(way[0], way[1]) // ends with either side
			ended <- struct{}{}
		}()
	}
	<-ended
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
}

func (p *apiProxy) close() error {
	err := p.listener.Close()
	p.drop()
	p.reads.CloseClientConnections()
	p.reads.Close()
	return err
}
