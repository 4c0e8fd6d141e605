package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// front stands before the Admin API, whichever Kong it is: it tells what the operator asked for, and it can be away.
type front struct {
	url     string
	handler http.Handler

	mu     sync.Mutex
	server *http.Server
	writes []string
}

// newFront stands until the spec, or its container, ends.
func newFront() *front {
	GinkgoHelper()
	f := newFrontAt("127.0.0.1:0", env.AdminURL)
	DeferCleanup(f.leave)
	return f
}

// newFrontAt stands at an address, before an Admin API, until it leaves.
func newFrontAt(address, adminURL string) *front {
	GinkgoHelper()
	target, err := url.Parse(adminURL)
	Expect(err).NotTo(HaveOccurred())
	f := &front{}
	forward := httputil.NewSingleHostReverseProxy(target)
	// It is away where the Admin API is.
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			f.mu.Lock()
			f.writes = append(f.writes, r.Method+" "+r.URL.Path)
			f.mu.Unlock()
		}
		forward.ServeHTTP(w, r)
	})
	listener, err := net.Listen("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	f.url = "http://" + listener.Addr().String()
	f.serve(listener)
	return f
}

func (f *front) serve(listener net.Listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = &http.Server{Handler: f.handler, ReadHeaderTimeout: 10 * time.Second}
	server := f.server
	go func() { _ = server.Serve(listener) }() // returns ErrServerClosed once leave is called
}

// leave breaks all connections, and refuses new ones, as an Admin API does whose pod is gone.
func (f *front) leave() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.server.Close()
}

// comeBack answers again at the same address.
func (f *front) comeBack(ctx context.Context) {
	GinkgoHelper()
	address, err := url.Parse(f.url)
	Expect(err).NotTo(HaveOccurred())
	var listener net.Listener
	Eventually(func() (err error) {
		listener, err = net.Listen("tcp", address.Host)
		return err
	}).WithContext(ctx).Should(Succeed(), "the address is free again")
	f.serve(listener)
}

// written gives the writes since the last forget, as "METHOD path".
func (f *front) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.writes...)
}

func (f *front) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = nil
}
