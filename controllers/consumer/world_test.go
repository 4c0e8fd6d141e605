package consumer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/consumer"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

const (
	namespace   = "team"
	gatewayName = "default"
)

var errKilled = errors.New("the operator was killed")

// life is that of one operator process. It ends before a write, or after one whose answer it does not hear: whatever
// it does then has no effect.
type life struct {
	mu sync.Mutex
	// left is how many writes, to Kong and to Kubernetes, are done before the end; negative: there is none. lost
	// says that one more is done, unheard.
	left int
	lost bool
	dead bool
	// writes counts those that were done.
	writes int
}

// do does one request of the process.
func (l *life) do(writes bool, request func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.dead:
		return errKilled
	case writes && l.left == 0:
		l.dead = true
		if l.lost {
			_ = request() // nobody hears what came of it
		}
		return errKilled
	case writes:
		l.left--
		l.writes++
	}
	return request()
}

// simulated is one Kong that all cases share, each under an installation of its own.
type simulated struct {
	*kongsim.Server
	target *url.URL
	cases  int
	// key is a public key in the form of RFC 7517.
	key map[string]any
}

func startKong(t *testing.T) *simulated {
	ctrl.SetLogger(logr.Discard())
	server, err := kongsim.Start(kongsim.Options{DBUpdateFrequency: 5 * time.Second, WorkerStateUpdateFrequency: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	target, err := url.Parse(server.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	return &simulated{Server: server, target: target, key: publicKey(t)}
}

// publicKey makes a key that an issuer signs with.
func publicKey(t *testing.T) map[string]any {
	provider := issuer.Start()
	defer provider.Close()
	if err := provider.Add("one", "ES256"); err != nil {
		t.Fatal(err)
	}
	document, err := provider.Set()
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(document, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%d keys, %v", len(set.Keys), err)
	}
	return set.Keys[0]
}

// propagation is how long a change of the simulated Kong takes to be everywhere, the operator's margin included.
const propagation = 11 * time.Second

// failing is where a case ends: *testing.T and *rapid.T.
type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

// process is an operator: what it knows is lost with it.
type process struct {
	*life
	gateways *engine.Registry
	// told says that an engine has had an event.
	told       <-chan struct{}
	reconciler *consumer.Reconciler
}

// world is a Kubernetes, a Kong and an operator, with one consumer. Its clock stands still unless it is set.
type world struct {
	t            failing
	kong         *simulated
	kube         client.WithWatch
	name         string
	installation string
	mu           sync.Mutex
	now          time.Time
	// away says that Kong does not answer.
	away bool
	// front is how the operator reaches Kong.
	front *httptest.Server
	// planes are asked what they hold; none: nobody is asked.
	planes []*plane
	// kids are those of the keys that an issuer publishes, and issuerAway says that it does not answer. woken says
	// that the consumer has to be looked at again.
	kids       []string
	issuerAway bool
	woken      chan struct{}
	process
}

func newWorld(t failing, sim *simulated, planes int) *world {
	sim.cases++
	w := &world{
		t: t, kong: sim, name: fmt.Sprintf("c%d", sim.cases), installation: fmt.Sprintf("case-%d", sim.cases),
		now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), woken: make(chan struct{}, 1),
	}
	for range planes {
		w.planes = append(w.planes, &plane{})
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatalf("%v", err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.JwtConsumer{})
	_ = index.Each(func(object client.Object, name string, values client.IndexerFunc) error {
		builder.WithIndex(object, name, values)
		return nil
	})
	gateway := &v1alpha1.KongGateway{}
	gateway.Name = gatewayName
	gateway.Spec.AllowedNamespaces.From = v1alpha1.NamespacesAll
	gateway.Spec.Policy.Identities = v1alpha1.IdentitiesAny
	if planes > 0 {
		gateway.Spec.DataPlanes = &v1alpha1.DataPlanes{ServiceRef: &v1alpha1.GatewayServiceReference{}}
	}
	w.kube = builder.WithObjects(gateway).Build()
	w.front = httptest.NewServer(w.toKong())
	w.start()
	return w
}

func (w *world) close() {
	w.gateways.Close()
	w.front.CloseClientConnections()
	w.front.Close()
}

// clock is the operator's.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) setAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
}

// toKong passes on what a process that lives asks of Kong.
func (w *world) toKong() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(w.kong.target) },
		ErrorLog: log.New(io.Discard, "", 0), // an operator that is killed hangs up
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		away, life := w.away, w.life
		w.mu.Unlock()
		if away {
			panic(http.ErrAbortHandler)
		}
		heard := httptest.NewRecorder()
		if life.do(r.Method != http.MethodGet, func() error { proxy.ServeHTTP(heard, r); return nil }) != nil {
			panic(http.ErrAbortHandler)
		}
		for key, values := range heard.Header() {
			rw.Header()[key] = values
		}
		rw.WriteHeader(heard.Code)
		_, _ = rw.Write(heard.Body.Bytes())
	})
}

// toKubernetes is a client of a process.
func (w *world) toKubernetes(l *life) client.Client {
	return interceptor.NewClient(w.kube, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			return l.do(false, func() error { return c.Get(ctx, key, o, options...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			return l.do(false, func() error { return c.List(ctx, list, options...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			return l.do(true, func() error { return c.Create(ctx, o, options...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			return l.do(true, func() error { return c.Update(ctx, o, options...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, options ...client.PatchOption) error {
			return l.do(true, func() error { return c.Patch(ctx, o, p, options...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.DeleteOption) error {
			return l.do(true, func() error { return c.Delete(ctx, o, options...) })
		},
		SubResourcePatch: func(
			ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, options ...client.SubResourcePatchOption,
		) error {
			return l.do(true, func() error { return c.SubResource(sub).Patch(ctx, o, p, options...) })
		},
	})
}

// start starts an operator that lives until kill says otherwise.
func (w *world) start() {
	w.t.Helper()
	l := &life{left: -1}
	w.mu.Lock()
	w.life = l
	w.mu.Unlock()
	w.gateways = engine.NewRegistry(engine.Options{
		Installation: w.installation, Log: logr.Discard(), Now: w.clock, Heartbeat: 10 * time.Millisecond,
	})
	told := make(chan struct{}, 1)
	w.told = told
	w.gateways.Listen(func(engine.Event) {
		select {
		case told <- struct{}{}:
		default: // it is told already that there is something to look at
		}
	})
	if _, err := w.gateways.Ensure(gatewayName, engine.Settings{
		Client: kong.Config{URL: w.front.URL}, DriftInterval: time.Hour,
	}); err != nil {
		w.t.Fatalf("%v", err)
	}
	kube := w.toKubernetes(l)
	store := secrets.NewStore(kube, kube)
	store.SealBy("operator", "seed")
	life := lifecycle.New(kube, resolve.Gateways{Reader: kube, Engines: w.gateways}, &events.FakeRecorder{})
	w.reconciler = consumer.New(life, consumer.Options{
		Inputs: resolve.Inputs{Reader: kube, Secrets: store}, Secrets: store, DataPlanes: w,
		KeySets: jwks.NewRefresher(w.fetch, w.clock), Wake: w.wake, Now: w.clock,
	})
	w.connected()
}

// connected waits until the operator knows what Kong holds.
func (w *world) connected() {
	w.t.Helper()
	running, _ := w.gateways.Get(gatewayName)
	for late := time.After(time.Minute); ; {
		err := running.Usable(desired.ConsumerOwner(namespace, w.name), false)
		if err == nil {
			return
		}
		select {
		case <-w.told:
		case <-late:
			w.t.Fatalf("Kong is not reached: %v", err)
		}
	}
}

// restart ends the operator, as a kill does, and starts another.
func (w *world) restart() {
	w.t.Helper()
	w.life.mu.Lock()
	w.dead = true
	w.life.mu.Unlock()
	w.gateways.Close()
	w.start()
}

// reconcile reconciles the consumer once.
func (w *world) reconcile() (ctrl.Result, error) {
	return w.reconciler.Reconcile(context.Background(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: namespace, Name: w.name}})
}

// killedAfter reconciles with an operator that is killed after some writes, and starts another.
func (w *world) killedAfter(writes int, lost bool) {
	w.t.Helper()
	w.life.mu.Lock()
	w.left, w.lost = writes, lost
	w.life.mu.Unlock()
	_, _ = w.reconcile() // nobody hears what came of it
	w.restart()
}

// inKong are the credentials that Kong holds: keys by secret.
func (w *world) inKong() map[string]string {
	w.t.Helper()
	response, err := http.Get(w.kong.AdminURL() + "/jwts?size=1000&tags=kongjwt-installation:" + w.installation)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	defer func() { _ = response.Body.Close() }()
	var page struct {
		Data []struct{ Key, Secret string }
	}
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		w.t.Fatalf("%v", err)
	}
	held := map[string]string{}
	for _, credential := range page.Data {
		held[credential.Secret] = credential.Key
	}
	return held
}

// secret reads a Secret; nil where there is none.
func (w *world) secret(name string) map[string][]byte {
	var secret corev1.Secret
	if w.kube.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, &secret) != nil {
		return nil
	}
	return secret.Data
}
