package main

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// apiProxy stands before the kube-apiserver with an address that stays: it passes bytes on, cuts connections, and
// refuses them.
type apiProxy struct {
	listener net.Listener
	// kubeconfig that leads here, and a client that goes the same way.
	kubeconfig string
	client     client.Client

	mu     sync.Mutex
	target string
	open   map[net.Conn]bool
}

func newAPIProxy(env *stack.Stack, dir string) (*apiProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &apiProxy{listener: listener, kubeconfig: filepath.Join(dir, "kubeconfig-by-proxy"), open: map[net.Conn]bool{}}
	p.point(env.Config.Host)
	go p.serve()
	content, err := clientcmd.LoadFromFile(env.Kubeconfig)
	if err != nil {
		return nil, err
	}
	for _, cluster := range content.Clusters {
		cluster.Server = "https://" + listener.Addr().String()
	}
	if err := clientcmd.WriteToFile(*content, p.kubeconfig); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(env.Config)
	config.Host = "https://" + listener.Addr().String()
	config.QPS, config.Burst = -1, -1
	p.client, err = client.New(config, client.Options{Scheme: env.Client.Scheme()})
	return p, err
}

// point leads new connections to a server, and cuts those that are open. Without a server connections are refused.
func (p *apiProxy) point(host string) {
	p.mu.Lock()
	p.target = ""
	if address, err := url.Parse(host); err == nil {
		p.target = address.Host
	}
	p.mu.Unlock()
	p.drop()
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
	return err
}
