package stale_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/kongjwt/kong-jwt-operator/test/stale"
)

// server answers lists of its newest version with the request that it got, and watches with what is told.
type server struct {
	*httptest.Server
	tell chan string
}

func start(t *testing.T) (*server, *stale.Replica, *http.Client) {
	s := &server{tell: make(chan string, 10)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			_, _ = fmt.Fprintf(w, `{"metadata":{"resourceVersion":"100"},"asked":%q}`, r.URL.Path+"?"+r.URL.RawQuery)
			return
		}
		w.(http.Flusher).Flush()
		for {
			select {
			case name := <-s.tell:
				_, _ = fmt.Fprintf(w, "{\"type\":%q}\n", name)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	replica, err := stale.New(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	kube := &http.Client{Transport: replica.Through(http.DefaultTransport)}
	t.Cleanup(kube.CloseIdleConnections)
	return s, replica, kube
}

func (s *server) get(t *testing.T, kube *http.Client, path string) (code int, body io.ReadCloser) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := kube.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response.StatusCode, response.Body
}

func TestReadsOfAFrozenResource(t *testing.T) {
	s, replica, kube := start(t)
	replica.FreezeAt("70", "secrets")
	past := "resourceVersion=70&resourceVersionMatch=Exact"
	for path, want := range map[string]string{
		"/api/v1/secrets?resourceVersion=0":                                 "/api/v1/secrets?" + past,
		"/api/v1/namespaces/a/secrets?resourceVersion=0":                    "/api/v1/namespaces/a/secrets?" + past,
		"/api/v1/secrets?limit=5&resourceVersion=60":                        "/api/v1/secrets?limit=5&" + past,
		"/api/v1/secrets?resourceVersion=71":                                "Too large resource version: 71, current: 70",
		"/api/v1/secrets?watch=true&sendInitialEvents=true":                 "WatchList",
		"/api/v1/secrets?":                                                  "/api/v1/secrets?\"",
		"/api/v1/namespaces/a/secrets/b?resourceVersion=0":                  "/b?resourceVersion=0\"",
		"/api/v1/services?resourceVersion=0":                                "/services?resourceVersion=0\"",
		"/apis/kongjwt.dev/v1alpha1/secrets?resourceVersion=0":              "/secrets?" + past,
		"/apis/kongjwt.dev/v1alpha1/namespaces/a/secrets?resourceVersion=0": "/secrets?" + past,
	} {
		_, body := s.get(t, kube, path)
		content, err := io.ReadAll(body)
		g := NewWithT(t)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(content)).To(ContainSubstring(want), path)
	}
}

func TestAWatchTellsLate(t *testing.T) {
	g := NewWithT(t)
	s, replica, kube := start(t)
	_, body := s.get(t, kube, "/api/v1/secrets?watch=true&resourceVersion=100")
	lines := make(chan string, 10)
	go func() {
		for scanner := bufio.NewScanner(body); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	s.tell <- "first"
	g.Eventually(lines).Should(Receive(ContainSubstring("first")))
	g.Expect(replica.Freeze(t.Context(), "secrets")).To(Succeed())
	for _, name := range []string{"second", "BOOKMARK", "third", "fourth"} {
		s.tell <- name
	}
	g.Consistently(lines, "100ms").ShouldNot(Receive())
	replica.Pass("secrets", 2)
	for _, name := range []string{"second", "BOOKMARK", "third"} {
		g.Eventually(lines).Should(Receive(ContainSubstring(name)))
	}
	g.Consistently(lines, "100ms").ShouldNot(Receive())
	replica.Release()
	g.Eventually(lines).Should(Receive(ContainSubstring("fourth")))
	g.Expect(replica.Skip(t.Context(), "secrets")).To(Succeed())
	g.Eventually(lines).Should(BeClosed(), "the watch ends")
	_, body = s.get(t, kube, "/api/v1/secrets?resourceVersion=99&limit=5")
	content, err := io.ReadAll(body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(content)).To(ContainSubstring("/api/v1/secrets?limit=5\""), "the newest, which a watch can begin at")
	code, _ := s.get(t, kube, "/api/v1/secrets?watch=true&resourceVersion=99")
	g.Expect(code).To(Equal(http.StatusGone))
	code, _ = s.get(t, kube, "/api/v1/secrets?"+url.Values{"watch": {"true"}, "resourceVersion": {"100"}}.Encode())
	g.Expect(code).To(Equal(http.StatusOK))
}
