// Package e2e runs the operator's binary, as a process of its own, against a real control plane and a Kong, and looks
// at them as a user does: through the Kubernetes API, the proxy and the Admin API. The Kong is a simulated one unless
// KONG_ADMIN_URL and KONG_PROXY_URL name a real one, which may hold other things: every name and path that the specs
// claim is this run's own, and what they made is gone when they end. KONG_NODES names the nodes of a Kong that has
// several, for the specs with traffic at each.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

const (
	// busy is what anything may take on a busy machine, Kong's own delays aside.
	busy = 45 * time.Second
	// delays is how many propagation delays of Kong the slowest step takes: a change waits until the new plugins
	// stand, until the former routes are gone, and until the last worker has it. One is for good measure.
	delays = 4
	// interval between two looks.
	interval = 100 * time.Millisecond
	// calm is how long is watched for something that must not happen.
	calm = 2 * time.Second
	// driftInterval is how often the operator compares what Kong holds.
	driftInterval = 5 * time.Second
	// simulatedUpdate is the simulated Kong's db_update_frequency and worker_state_update_frequency.
	simulatedUpdate = 500 * time.Millisecond
	// startup bounds the start of everything.
	startup = 5 * time.Minute
)

var (
	// run is in every name and path that this run claims.
	run string
	// env is what runs.
	env *stack.Stack
	// operator is the operator's process, in the first of ginkgo's. Specs that restart it are Serial, and so run
	// there.
	operator *stack.Operator
	// gateway is the KongGateway that specs share.
	gateway *v1alpha1.KongGateway
	// patience is how long is waited for what has to come; the gateway says how slow Kong may be.
	patience = busy
)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyPollingInterval(interval)
	SetDefaultConsistentlyDuration(calm)
	SetDefaultConsistentlyPollingInterval(interval)
	RunSpecs(t, "End to end")
}

// Specs run in several processes at once: most of their time they wait for Kong's timers. The first process starts
// everything; each has names and a KongGateway of its own.
var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	// Not ginkgo's temporary folder: the operator's log is wanted after a failure.
	dir, err := os.MkdirTemp("", "kong-jwt-e2e-")
	Expect(err).NotTo(HaveOccurred())
	// What it starts lives as long as its context, which has to be longer than this node's.
	living, end := context.WithCancel(context.Background())
	options := stack.Options{Dir: dir, Observed: true, Kubeconfig: os.Getenv(ingressKubeconfig)}
	options.Kong = kongsim.Options{
		Version: takes.Version, DBUpdateFrequency: simulatedUpdate, WorkerStateUpdateFrequency: simulatedUpdate,
		Propagation: dataplane.Slowest(simulatedUpdate, simulatedUpdate),
	}
	first, err := stack.Start(living, options)
	Expect(err).NotTo(HaveOccurred())
	stopEverything = func() {
		defer end()
		Expect(errors.Join(first.Stop(), os.RemoveAll(dir))).To(Succeed())
	}
	env = first
	Expect(env.AnswerForNames(anyPod)).To(Succeed())
	watchForCanaries(living, dir)
	operator, err = env.StartOperator(ctx)
	Expect(err).NotTo(HaveOccurred())
	endpoints, err := json.Marshal(env.Endpoints())
	Expect(err).NotTo(HaveOccurred())
	return endpoints
}, func(ctx SpecContext, content []byte) {
	run = strings.ReplaceAll(uuid.NewString(), "-", "")[:8]
	if env == nil {
		var endpoints stack.Endpoints
		Expect(json.Unmarshal(content, &endpoints)).To(Succeed())
		var err error
		env, err = stack.Attach(endpoints)
		Expect(err).NotTo(HaveOccurred())
	}
	gateway = newGateway("e2e-" + run)
	create(ctx, newSecret(stack.OperatorNamespace, named("redis"), map[string]string{"password": decoy("redis")}), gateway)
	awaitReady(ctx, gateway)
	waitFor(gateway)
}, NodeTimeout(startup))

// waitFor makes what is waited for as long as a gateway's Kong takes.
func waitFor(g *v1alpha1.KongGateway) {
	GinkgoHelper()
	delay, err := time.ParseDuration(g.Status.PropagationDelay)
	Expect(err).NotTo(HaveOccurred())
	patience = busy + delays*delay
	SetDefaultEventuallyTimeout(patience)
}

// stopEverything is set in the process that started everything.
var stopEverything func()

var _ = SynchronizedAfterSuite(func(ctx SpecContext) { removeGateway(ctx) }, func(ctx SpecContext) {
	if stopEverything != nil {
		defer stopEverything()
		expectNoCanary(ctx)
	}
}, NodeTimeout(startup))

// A failure shows what the operator said last: its log goes with the suite.
var _ = JustAfterEach(func() {
	if CurrentSpecReport().Failed() && env != nil {
		AddReportEntry("the operator's log", lastLines(filepath.Join(filepath.Dir(filepath.Dir(env.Kubeconfig)), "operator.log")), ReportEntryVisibilityFailureOrVerbose)
	}
})

// lastLines reads the end of a file.
func lastLines(path string) string {
	const enough = 20_000
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(len(content)-enough, 0):])
}

// newGateway makes a KongGateway on this run's Kong that admits all namespaces and identities.
func newGateway(name string) *v1alpha1.KongGateway {
	return &v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.KongGatewaySpec{
			AdminAPI:          v1alpha1.AdminAPI{URL: env.AdminURL},
			AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			Policy: v1alpha1.GatewayPolicy{
				Identities: v1alpha1.IdentitiesAny,
				// The upstream is on this machine.
				Upstreams:       v1alpha1.UpstreamPolicy{Allow: []v1alpha1.AllowedUpstream{{CIDRs: upstreamNetworks()}}},
				ConsumerPlugins: []string{"cors", "http-log", "request-size-limiting", "rate-limiting", "ip-restriction"}, RegularExpressions: true, Retain: true,
				Redis: []v1alpha1.RedisServer{{
					Name: "limits", Host: "redis.e2e.example.com", Port: 6380, Database: 3, Username: "limiter", SSL: true, SSLVerify: true,
					ServerName: "limits.example.com", Timeout: "500ms",
					PasswordSecretRef: &v1alpha1.SecretKeyReference{
						SecretReference: v1alpha1.SecretReference{Namespace: stack.OperatorNamespace, Name: named("redis")}, Key: "password",
					},
				}},
			},
			Drift: v1alpha1.Drift{Interval: v1alpha1.Duration(driftInterval.String())},
		},
	}
}

// upstreamNetworks are those that the upstream is in.
func upstreamNetworks() []string {
	networks := []string{"127.0.0.0/8"}
	u, err := url.Parse(env.UpstreamURL)
	Expect(err).NotTo(HaveOccurred())
	if address, err := netip.ParseAddr(u.Hostname()); err == nil && !address.IsLoopback() {
		networks = append(networks, netip.PrefixFrom(address, address.BitLen()).String())
	}
	return networks
}

// removeGateway deletes the shared gateway, and asserts that nothing of this run is left in Kong.
func removeGateway(ctx SpecContext) {
	if gateway == nil {
		return
	}
	remove(ctx, gateway)
	Eventually(tagged).WithContext(ctx).WithArguments(gatewayTag(gateway.Name)).
		Should(BeEmpty(), "all that the specs made in Kong is gone when they end")
	Expect(env.Client.Delete(ctx, newSecret(stack.OperatorNamespace, named("redis"), nil))).To(Succeed())
}

// named makes a name in Kong that no other run, and nothing else in Kong, has.
func named(name string) string { return "e2e-" + run + "-" + name }

// pathOf makes a path that is this run's own.
func pathOf(name string) string { return "/e2e-" + run + "/" + name }

// hostOf makes a host that is this run's own.
func hostOf(name string) string { return name + "." + run + ".e2e.example.com" }

// background is for what has to be cleaned up though its spec's time is over.
func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 2*patience+looksAtNamespace)
}
