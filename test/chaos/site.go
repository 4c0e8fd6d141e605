package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// site is a KongGateway of the run and the Kong behind it: simulated, or a real one behind a front that fails in its
// place.
type site struct {
	gateway string
	// api is how the operator reaches it.
	api v1alpha1.AdminAPI
	// database says that its entities are in a database, where others have theirs too. Else each node has a
	// configuration of its own.
	database bool
	mu       sync.Mutex // guards nodes where pods come and go
	nodes    []*node
	// pods says that the nodes are the endpoints of a Service.
	pods bool
	// real is a Kong that goes on living.
	real bool
	// foreign is what is in it that is not ours.
	foreign map[string]string
}

// node is one Kong of a site.
type node struct {
	// truth is where the judge asks, address where the operator does.
	truth, address string
	faults         *kongsim.Faults
	// goAway refuses connections to the operator, comeBack takes them again.
	goAway, comeBack, close func() error
}

const (
	withDatabase, withoutDatabase = "chaos", "chaos-dbless"
	// podsName is the headless Service of the Kong without a database, in the namespace of that name.
	podsName = "kong"
)

func (n *node) url() string { return "http://" + n.address }

// newSites starts the Kongs of a run. A real one stands for the one with a database; the other is then left out,
// unless there is a real one too.
func newSites(ctx context.Context, seed uint64) ([]*site, error) {
	first, err := newDatabaseSite(ctx, seed)
	if err != nil {
		return nil, err
	}
	sites := []*site{first}
	if os.Getenv("KONG_ADMIN_URL") != "" && os.Getenv("KONG_DBLESS_ADMIN_URL") == "" {
		return sites, nil
	}
	second, err := newDeclarativeSite(ctx, seed)
	if err != nil {
		return nil, errors.Join(err, first.close())
	}
	return append(sites, second), nil
}

func newDatabaseSite(ctx context.Context, seed uint64) (*site, error) {
	adminURL := os.Getenv("KONG_ADMIN_URL")
	s := &site{gateway: withDatabase, database: true, real: adminURL != "", api: v1alpha1.AdminAPI{Timeout: "1s"}}
	var n *node
	var err error
	if s.real {
		n, err = newFront(ctx, adminURL)
	} else {
		n, err = newSimulated(kongsim.Options{
			Seed: seed, DBUpdateFrequency: frequency, WorkerStateUpdateFrequency: frequency, Propagation: dataplane.Instant(), ServiceTime: time.Millisecond,
			MaxBodyBytes: tooLarge / 2,
		})
	}
	if err != nil {
		return nil, err
	}
	s.nodes, s.api.URL = []*node{n}, n.url()
	return s, nil
}

// newDeclarativeSite has two pods behind a headless Service, or one by its URL: where it is a real Kong, and where
// this machine has no address that the kube-apiserver takes for a pod's.
func newDeclarativeSite(ctx context.Context, seed uint64) (*site, error) {
	s := &site{gateway: withoutDatabase, api: v1alpha1.AdminAPI{Timeout: "2s"}}
	if adminURL := os.Getenv("KONG_DBLESS_ADMIN_URL"); adminURL != "" {
		n, err := newFront(ctx, adminURL)
		if err != nil {
			return nil, err
		}
		s.nodes, s.api.URL, s.real = []*node{n}, n.url(), true
		return s, nil
	}
	s.pods = stack.PodAddress() != ""
	for range map[bool]int{true: 2, false: 1}[s.pods] {
		n, err := newPod(seed)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.nodes = append(s.nodes, n)
	}
	if s.pods {
		s.api.ServiceRef = &v1alpha1.GatewayServiceReference{Namespace: podsName, Name: podsName, Port: 8001, Scheme: "http"}
	} else {
		s.api.URL = s.nodes[0].url()
	}
	return s, nil
}

func newPod(seed uint64) (*node, error) {
	options := kongsim.Options{Seed: seed, Database: "off", ServiceTime: time.Millisecond, MaxBodyBytes: maxBody}
	if address := stack.PodAddress(); address != "" {
		options.AdminAddress = net.JoinHostPort(address, "0")
	}
	return newSimulated(options)
}

func newSimulated(options kongsim.Options) (*node, error) {
	kong, err := kongsim.Start(options)
	if err != nil {
		return nil, err
	}
	address := kong.AdminURL()[len("http://"):]
	return &node{
		truth: kong.AdminURL(), address: address, faults: kong.Faults, goAway: kong.StopAdmin, comeBack: kong.StartAdmin, close: kong.Close,
	}, nil
}

// create makes the KongGateway, and the Service of its pods.
func (s *site) create(ctx context.Context, kube client.Client) error {
	if s.pods {
		if err := s.createPods(ctx, kube); err != nil {
			return err
		}
	}
	return kube.Create(ctx, &v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: s.gateway},
		Spec: v1alpha1.KongGatewaySpec{
			AdminAPI:          s.api,
			AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			Drift:             v1alpha1.Drift{Interval: "5s"},
			Policy:            v1alpha1.GatewayPolicy{Plugins: []string{"request-termination"}},
		},
	})
}

func (s *site) createPods(ctx context.Context, kube client.Client) error {
	if err := kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: podsName}}); err != nil {
		return err
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: podsName, Name: podsName},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "admin", Port: 8001}}},
	}
	if err := kube.Create(ctx, service); err != nil {
		return err
	}
	for _, n := range s.nodes {
		if err := n.eachSlice(func(slice *discoveryv1.EndpointSlice) error { return kube.Create(ctx, slice) }); err != nil {
			return err
		}
	}
	return nil
}

// eachSlice gives the pod as EndpointSlices: pods of one address have ports of their own, which is one slice each.
// Each pod has two addresses, of which nothing answers at the second; the Service's first family is the other.
func (n *node) eachSlice(do func(*discoveryv1.EndpointSlice) error) error {
	address, err := net.ResolveTCPAddr("tcp", n.address)
	if err != nil {
		return err
	}
	for family, ip := range map[discoveryv1.AddressType]string{
		discoveryv1.AddressTypeIPv4: address.IP.String(), discoveryv1.AddressTypeIPv6: "fd00:c4a0::1",
	} {
		pod := fmt.Sprintf("%s-%d", podsName, address.Port)
		if err := do(&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: podsName, Name: pod + "-" + strings.ToLower(string(family)),
				Labels: map[string]string{discoveryv1.LabelServiceName: podsName},
			},
			AddressType: family,
			Ports:       []discoveryv1.EndpointPort{{Name: new("admin"), Port: new(int32(address.Port))}},
			Endpoints: []discoveryv1.Endpoint{{
				Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: podsName, Name: pod, UID: types.UID(pod)},
			}},
		}); err != nil {
			return err
		}
	}
	return nil
}

// replacePod lets one of the pods go, and another come in its place, which knows nothing.
func (s *site) replacePod(ctx context.Context, kube client.Client, random *rand.Rand) error {
	i := random.IntN(len(s.nodes))
	former := s.nodes[i]
	next, err := newPod(random.Uint64())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.nodes[i] = next
	s.mu.Unlock()
	return errors.Join(
		former.eachSlice(func(slice *discoveryv1.EndpointSlice) error { return kube.Delete(ctx, slice) }), former.close(),
		next.eachSlice(func(slice *discoveryv1.EndpointSlice) error { return kube.Create(ctx, slice) }),
	)
}

// anyPod is the address of one of the pods, as kube-proxy gives it.
func (s *site) anyPod(string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[rand.IntN(len(s.nodes))].address //nolint:gosec // As kube-proxy does.
}

// empty makes one of the pods what it is after a restart: a Kong without a configuration.
func (s *site) empty(ctx context.Context, random *rand.Rand) error {
	n := s.nodes[random.IntN(len(s.nodes))]
	return n.ask(ctx, http.MethodPost, "/config", map[string]any{"_format_version": "3.0"}, nil)
}

func (s *site) each(do func(*node) error) error {
	for _, n := range s.nodes {
		if err := do(n); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) close() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.close())
	}
	return errors.Join(errs...)
}
