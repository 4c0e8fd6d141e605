package metrics

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// permitLife is how long a reader may go on before the API server is asked again.
	permitLife = time.Minute
	// permits is how many are remembered at most.
	permits = 100
	// reviewRate and reviewReserve bound how often the API server is asked, a second, whoever knocks.
	reviewRate, reviewReserve = 10, 20
	// reviewTimeout bounds one request's two questions.
	reviewTimeout = 10 * time.Second
)

// Guard lets those alone read whom the API server lets: a TokenReview says whose a bearer token is, a SubjectAccessReview whether they may GET the path.
// It is a filter for controller-runtime's metrics server. The one that comes with that does the same by the libraries of the API server itself, which
// make the operator's binary half as large again, and 16 MiB of what it holds in memory.
func Guard(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{authenticationv1.AddToScheme, authorizationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	bounded := rest.CopyConfig(config)
	bounded.QPS, bounded.Burst, bounded.RateLimiter = reviewRate, reviewReserve, nil
	reviews, err := client.New(bounded, client.Options{Scheme: scheme, HTTPClient: httpClient})
	if err != nil {
		return nil, fmt.Errorf("make a client for token reviews: %w", err)
	}
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return newGuard(reviews, log, time.Now, next), nil
	}, nil
}

type guard struct {
	reviews client.Client
	log     logr.Logger
	now     func() time.Time
	next    http.Handler

	mu sync.Mutex
	// until are the permits that were given, by what was asked.
	until map[question]time.Time
}

// question is a hash of token, verb and path: the token itself is not kept.
type question [sha256.Size]byte

func newGuard(reviews client.Client, log logr.Logger, now func() time.Time, next http.Handler) *guard {
	return &guard{reviews: reviews, log: log, now: now, next: next, until: map[question]time.Time{}}
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := bearer(r)
	asked := question(sha256.Sum256([]byte(r.Method + "\x00" + r.URL.Path + "\x00" + token)))
	if token != "" && g.permitted(asked) {
		g.next.ServeHTTP(w, r)
		return
	}
	status, err := g.ask(r, token)
	switch {
	case err != nil:
		g.log.Error(err, "Cannot ask the API server who reads the metrics")
		http.Error(w, "the API server cannot be asked now", http.StatusInternalServerError)
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a valid bearer token of the cluster is needed", status)
	case status == http.StatusForbidden:
		http.Error(w, "the token's account may not "+strings.ToLower(r.Method)+" this path", status)
	default:
		g.permit(asked)
		g.next.ServeHTTP(w, r)
	}
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// ask gives the status to answer with: OK, Unauthorized or Forbidden.
func (g *guard) ask(r *http.Request, token string) (status int, err error) {
	if token == "" {
		return http.StatusUnauthorized, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	who := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if err := g.reviews.Create(ctx, who); err != nil {
		return 0, fmt.Errorf("review a token: %w", err)
	}
	if !who.Status.Authenticated || who.Status.Error != "" {
		return http.StatusUnauthorized, nil
	}
	user := who.Status.User
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	may := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: strings.ToLower(r.Method)},
	}}
	if err := g.reviews.Create(ctx, may); err != nil {
		return 0, fmt.Errorf("review the access of %s: %w", user.Username, err)
	}
	if !may.Status.Allowed || may.Status.Denied {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

func (g *guard) permitted(asked question) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now().Before(g.until[asked])
}

func (g *guard) permit(asked question) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	maps.DeleteFunc(g.until, func(_ question, until time.Time) bool { return !now.Before(until) })
	if len(g.until) >= permits {
		clear(g.until)
	}
	g.until[asked] = now.Add(permitLife)
}
