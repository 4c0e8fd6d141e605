package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// apiServer answers reviews, and counts them.
type apiServer struct {
	reviews int
	down    bool
	now     time.Time
	logged  string
}

const (
	readerToken   = "token-of-the-reader"
	strangerToken = "token-of-a-stranger"
)

func (s *apiServer) review(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
	s.reviews++
	if s.down {
		return errors.New("connection refused")
	}
	switch review := object.(type) {
	case *authenticationv1.TokenReview:
		name, known := map[string]string{readerToken: "reader", strangerToken: "stranger"}[review.Spec.Token]
		review.Status.Authenticated = known
		review.Status.User = authenticationv1.UserInfo{
			Username: name, UID: "1", Groups: []string{"monitoring"}, Extra: map[string]authenticationv1.ExtraValue{"pod": {"a"}},
		}
	case *authorizationv1.SubjectAccessReview:
		asked := review.Spec
		review.Status.Allowed = asked.User == "reader" && asked.UID == "1" && asked.Groups[0] == "monitoring" && asked.Extra["pod"][0] == "a" &&
			*asked.NonResourceAttributes == authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"}
	}
	return nil
}

func (s *apiServer) guard() *guard {
	reviews := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{Create: s.review}).Build()
	log := funcr.New(func(_, args string) { s.logged += args }, funcr.Options{})
	return newGuard(reviews, log, func() time.Time { return s.now }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "figures")
	}))
}

func get(g *guard, method, path, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, nil)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, request)
	return answer
}

func TestWhoReadsTheMetrics(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, authorization string
		status, reviews             int
	}{
		"who may":                    {"GET", "/metrics", "Bearer " + readerToken, http.StatusOK, 2},
		"a scheme in small letters":  {"GET", "/metrics", "bearer  " + readerToken, http.StatusOK, 2},
		"who may not":                {"GET", "/metrics", "Bearer " + strangerToken, http.StatusForbidden, 2},
		"who may not do that":        {"POST", "/metrics", "Bearer " + readerToken, http.StatusForbidden, 2},
		"who may not see that":       {"GET", "/other", "Bearer " + readerToken, http.StatusForbidden, 2},
		"a token of nobody":          {"GET", "/metrics", "Bearer made-up", http.StatusUnauthorized, 1},
		"no token":                   {"GET", "/metrics", "", http.StatusUnauthorized, 0},
		"an empty token":             {"GET", "/metrics", "Bearer ", http.StatusUnauthorized, 0},
		"a password, as it may be":   {"GET", "/metrics", "Basic " + readerToken, http.StatusUnauthorized, 0},
		"a token without its scheme": {"GET", "/metrics", readerToken, http.StatusUnauthorized, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			server := &apiServer{}
			answer := get(server.guard(), c.method, c.path, c.authorization)
			g.Expect(answer.Code).To(Equal(c.status), answer.Body.String())
			if c.status == http.StatusOK {
				g.Expect(answer.Body.String()).To(Equal("figures"))
			} else {
				g.Expect(answer.Body.String()).NotTo(ContainSubstring("figures"))
			}
			g.Expect(server.reviews).To(Equal(c.reviews))
			g.Expect(answer.Body.String()).NotTo(ContainSubstring("token-of"))
		})
	}
}

func TestAReaderIsAskedAboutOnceAMinute(t *testing.T) {
	g := NewWithT(t)
	server := &apiServer{now: now}
	guard := server.guard()
	read := func(path, token string) int { return get(guard, "GET", path, "Bearer "+token).Code }
	for range 3 {
		g.Expect(read("/metrics", readerToken)).To(Equal(http.StatusOK))
	}
	g.Expect(server.reviews).To(Equal(2))
	// What one was allowed is allowed to nobody else, and nothing else to that one.
	g.Expect(read("/metrics", strangerToken)).To(Equal(http.StatusForbidden))
	g.Expect(read("/other", readerToken)).To(Equal(http.StatusForbidden))
	server.now = now.Add(permitLife)
	server.reviews = 0
	g.Expect(read("/metrics", readerToken)).To(Equal(http.StatusOK))
	g.Expect(server.reviews).To(Equal(2))
	// A refusal is not remembered: a right that is given works at once.
	g.Expect(read("/metrics", strangerToken)).To(Equal(http.StatusForbidden))
	g.Expect(server.reviews).To(Equal(4))
}

func TestNobodyReadsWhereTheAPIServerCannotBeAsked(t *testing.T) {
	g := NewWithT(t)
	server := &apiServer{down: true}
	answer := get(server.guard(), "GET", "/metrics", "Bearer "+readerToken)
	g.Expect(answer.Code).To(Equal(http.StatusInternalServerError))
	g.Expect(answer.Body.String()).NotTo(ContainSubstring("refused"))
	g.Expect(server.logged).To(ContainSubstring("refused"))
	g.Expect(server.logged).NotTo(ContainSubstring("token-of"))
}

func TestPermitsAreBounded(t *testing.T) {
	server := &apiServer{now: now}
	guard := server.guard()
	for i := range 3 * permits {
		guard.permit(question{byte(i), byte(i >> 8)})
	}
	NewWithT(t).Expect(len(guard.until)).To(BeNumerically("<=", permits))
}
