package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// apiServer answers what a process asks before it starts. The first answers to each request fail.
type apiServer struct {
	mu     sync.Mutex
	fails  int
	asked  map[string]int
	bodies map[string]string
	status int
}

func newAPIServer() *apiServer {
	list := func(group, version string, kinds ...string) string {
		var resources []string
		for _, kind := range kinds {
			resources = append(resources, fmt.Sprintf(`{"name":%q,"kind":%q,"verbs":["get"]}`, strings.ToLower(kind)+"s", kind))
		}
		return fmt.Sprintf(`{"kind":"APIResourceList","apiVersion":"v1","groupVersion":%q,"resources":[%s]}`,
			schema.GroupVersion{Group: group, Version: version}, strings.Join(resources, ","))
	}
	group := func(name, version string) string {
		return fmt.Sprintf(`{"name":%[1]q,"versions":[{"groupVersion":"%[1]s/%[2]s","version":%[2]q}]}`, name, version)
	}
	return &apiServer{asked: map[string]int{}, status: http.StatusInternalServerError, bodies: map[string]string{
		"/api":    `{"kind":"APIVersions","versions":["v1"]}`,
		"/api/v1": list("", "v1", "Secret", "Namespace"),
		"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[` + group("discovery.k8s.io", "v1") + "," +
			group("kongjwt.dev", "v1alpha1") + `]}`,
		"/apis/discovery.k8s.io/v1":      list("discovery.k8s.io", "v1", "EndpointSlice"),
		"/apis/kongjwt.dev/v1alpha1":     list("kongjwt.dev", "v1alpha1", "JwtConsumer"),
		"/api/v1/namespaces/kube-system": `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"the-cluster"}}`,
	}}
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[r.URL.Path]++
	body, found := s.bodies[r.URL.Path]
	switch {
	case s.asked[r.URL.Path] <= s.fails:
		w.WriteHeader(s.status)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body)) // the test reads it
	}
}

func (s *apiServer) reach(t *testing.T, flag string, limit time.Duration) (cluster, error) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	// client-go waits for an answer that says Retry-After; these say nothing.
	return reach(t.Context(), &rest.Config{Host: server.URL, QPS: -1}, scheme, flag, patience{pause: time.Millisecond, limit: limit})
}

func TestAProcessThatStartsWaitsForTheAPIServer(t *testing.T) {
	server := newAPIServer()
	server.fails = 3
	found, err := server.reach(t, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if found.installation != "the-cluster" {
		t.Errorf("the installation is %q", found.installation)
	}
	// What is known is not asked for again.
	clear(server.bodies)
	if err := knowKinds(found.mapper); err != nil {
		t.Error(err)
	}
}

func TestAProcessThatStartsDoesNotWaitForWhatSomebodyHasToMend(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*apiServer)
		is     func(error) bool
	}{
		"the kinds are not installed": {func(s *apiServer) { delete(s.bodies, "/apis/kongjwt.dev/v1alpha1") }, func(err error) bool {
			return meta.IsNoMatchError(err) || apierrors.IsNotFound(err)
		}},
		"rights are missing": {func(s *apiServer) { s.fails, s.status = 1, http.StatusForbidden }, apierrors.IsForbidden},
		"nobody is known":    {func(s *apiServer) { s.fails, s.status = 1, http.StatusUnauthorized }, apierrors.IsUnauthorized},
	} {
		t.Run(what, func(t *testing.T) {
			server := newAPIServer()
			c.change(server)
			if _, err := server.reach(t, "", time.Hour); err == nil || !c.is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAProcessThatStartsGivesUpWithTheCause(t *testing.T) {
	server := newAPIServer()
	server.fails = 1 << 30
	if _, err := server.reach(t, "set", 50*time.Millisecond); !apierrors.IsInternalError(err) {
		t.Errorf("got %v", err)
	}
}
