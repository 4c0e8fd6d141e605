// Package e2e runs the operator's binary, as a process of its own, against a real control plane and a Kong, and looks at them as a user does: through
// the Kubernetes API, the proxy and the Admin API. The Kong is a simulated one unless KONG_ADMIN_URL and KONG_PROXY_URL name a real one, which may
// hold other things: every name and path that the specs claim is this run's own, and what they made is gone when they end.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

const (
	// patience fits a stock Kong, where a new service is opened 11 s after it was made, on a busy machine.
	patience = 60 * time.Second
	// interval between two looks.
	interval = 100 * time.Millisecond
	// calm is how long is watched for something that must not happen.
	calm = 2 * time.Second
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
	// operator is the operator's process. Specs that restart it are Serial.
	operator *stack.Operator
	// failed says that a spec failed: the logs are wanted then.
	failed bool
	// gateway is the KongGateway that specs share.
	gateway *v1alpha1.KongGateway
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

var _ = BeforeSuite(func(ctx SpecContext) {
	run = strings.ReplaceAll(uuid.NewString(), "-", "")[:8]
	// Not ginkgo's temporary folder: the operator's log is wanted after a failure.
	dir, err := os.MkdirTemp("", "kong-jwt-e2e-")
	Expect(err).NotTo(HaveOccurred())
	// What it starts lives as long as its context, which has to be longer than this node's.
	living, end := context.WithCancel(context.Background())
	DeferCleanup(end)
	env, err = stack.Start(living, stack.Options{Dir: dir, Kong: kongsim.Options{
		DBUpdateFrequency: simulatedUpdate, WorkerStateUpdateFrequency: simulatedUpdate,
		Propagation: kongsim.Slowest(simulatedUpdate, simulatedUpdate),
	}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(stopEverything, dir)
	operator, err = env.StartOperator(ctx)
	Expect(err).NotTo(HaveOccurred())

	gateway = newGateway("e2e-" + run)
	create(ctx, gateway)
	awaitReady(ctx, gateway)
	// Cleanups run last in, first out: the gateway goes before the processes do.
	DeferCleanup(removeGateway)
}, NodeTimeout(startup))

var _ = AfterEach(func() { failed = failed || CurrentSpecReport().Failed() })

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
				Upstreams: v1alpha1.UpstreamPolicy{Deny: []string{v1alpha1.DenyLinkLocal, v1alpha1.DenyAdminAPI, v1alpha1.DenyExternalName}},
			},
			Drift: v1alpha1.Drift{Interval: "5s"},
		},
	}
}

// removeGateway deletes the shared gateway, and asserts that nothing of this run is left in Kong.
func removeGateway(ctx SpecContext) {
	remove(ctx, gateway)
	Eventually(tagged).WithContext(ctx).WithArguments(gatewayTag(gateway.Name)).
		Should(BeEmpty(), "all that the specs made in Kong is gone when they end")
}

func stopEverything(dir string) {
	err := env.Stop()
	if failed {
		fmt.Fprintf(GinkgoWriter, "logs are kept in %s\n", dir)
	} else {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	Expect(err).NotTo(HaveOccurred())
}

// named makes a name in Kong that no other run, and nothing else in Kong, has.
func named(name string) string { return "e2e-" + run + "-" + name }

// pathOf makes a path that is this run's own.
func pathOf(name string) string { return "/e2e-" + run + "/" + name }

// hostOf makes a host that is this run's own.
func hostOf(name string) string { return name + "." + run + ".e2e.example.com" }

// background is for what has to be cleaned up though its spec's time is over.
func background() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 2*patience)
}
