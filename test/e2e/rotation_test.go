package e2e

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
)

// Overlaps are longer than the kubelet's delay here, as the documentation asks for, and than the operator and a client
// of a busy machine take until they have read a Secret: of specs that run alone, and of those that run side by side.
const (
	overlapOfRotation = 6 * time.Second
	overlapOfMany     = 12 * time.Second
)

// rotationCase is one way to rotate under traffic.
type rotationCase struct {
	rotations   int
	propagation time.Duration
	// kill ends the operator at a random moment of every rotation.
	kill bool
}

func (c rotationCase) String() string {
	text := fmt.Sprintf("%d rotations, propagation %s", c.rotations, c.propagation)
	if env != nil && env.Real {
		text = fmt.Sprintf("%d rotations, a real Kong", c.rotations)
	}
	if c.kill {
		text += ", the operator killed in each"
	}
	return text
}

// rotating is a consumer under traffic, and the path of the service that it calls.
type rotating struct {
	gateway  *v1alpha1.KongGateway
	consumer *v1alpha1.JwtConsumer
	overlap  time.Duration
	path     string
	url      string
}

// newRotating makes a service and a consumer with a rotating credential, on a Kong whose workers take changes in as
// late as the case says. A real Kong is as it is.
func newRotating(ctx SpecContext, c rotationCase) *rotating {
	GinkgoHelper()
	on, proxyURL := gateway, env.ProxyURL
	if !env.Real {
		on = newGateway(named(unique("rotation")))
		on.Spec.AdminAPI.URL, proxyURL = startSimulated(c.propagation)
		create(ctx, on)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, on)
		})
		awaitReady(ctx, on)
	}
	r := newRotatingOn(ctx, on, overlapOfRotation)
	r.url = strings.TrimSuffix(proxyURL, "/") + r.path
	return r
}

// unique makes a name that each call has to itself.
func unique(name string) string { return name + "-" + strings.ToLower(rand.Text()[:8]) }

// newRotatingOn makes them on a gateway. Where its proxies are is the caller's matter.
func newRotatingOn(ctx SpecContext, on *v1alpha1.KongGateway, overlap time.Duration) *rotating {
	GinkgoHelper()
	r := &rotating{gateway: on, overlap: overlap}
	namespace := newNamespace(ctx, unique("rotation"))
	service := newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = r.gateway.Name })
	r.consumer = newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
		s.GatewayRef.Name = r.gateway.Name
		s.Credentials = []v1alpha1.Credential{{Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{
			SecretName: "caller-made", Rotation: &v1alpha1.Rotation{Interval: "1h", Overlap: v1alpha1.Duration(overlap.String())},
		}}}
	})
	token := newToken(namespace, "caller", "made")
	create(ctx, service, r.consumer, token)
	awaitReady(ctx, service, r.consumer, token)
	r.path = pathOfService(namespace, "api")
	return r
}

// startSimulated starts a Kong of the spec's own.
func startSimulated(propagation time.Duration) (adminURL, proxyURL string) {
	GinkgoHelper()
	simulated, err := kongsim.Start(kongsim.Options{
		DBUpdateFrequency: max(propagation, time.Millisecond), WorkerStateUpdateFrequency: time.Millisecond,
		Propagation: dataplane.Slowest(propagation, 0),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(simulated.Close()).To(Succeed()) })
	return simulated.AdminURL(), simulated.ProxyURL()
}

// rotate asks for a rotation, and waits until it is through.
func (r *rotating) rotate(ctx SpecContext, number int, kill bool) {
	GinkgoHelper()
	r.begin(ctx, number)
	if kill {
		r.killSomewhere(ctx)
	}
	r.through(ctx, number)
}

// begin asks for a rotation.
func (r *rotating) begin(ctx SpecContext, number int) {
	GinkgoHelper()
	update(ctx, r.consumer, func(c *v1alpha1.JwtConsumer) {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[v1alpha1.AnnotationRotate] = strconv.Itoa(number)
	})
}

// through waits until a rotation is through: the former credential is gone from Kong.
func (r *rotating) through(ctx SpecContext, number int) {
	GinkgoHelper()
	key := fmt.Sprintf("%s.caller.made.%d", r.consumer.Namespace, number+1)
	Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(r.consumer), r.consumer)).To(Succeed())
		g.Expect(r.consumer.Status.Credentials).To(HaveLen(1), "%v", r.consumer.Status.Credentials)
		g.Expect(r.consumer.Status.Credentials[0].Key).To(Equal(key), func() string { return describe(r.consumer) })
		g.Expect(r.consumer.Status.Credentials[0].State).To(Equal(v1alpha1.CredentialActive))
	}).WithContext(ctx).WithPolling(50*time.Millisecond).Should(Succeed(), "rotation %d comes to its end", number)
}

// killSomewhere kills the operator at a random moment of a rotation, and starts it again.
func (r *rotating) killSomewhere(ctx SpecContext) {
	GinkgoHelper()
	r.somewhere(ctx)
	Expect(operator.Kill()).To(Succeed())
	var err error
	operator, err = env.StartOperator(ctx)
	Expect(err).NotTo(HaveOccurred())
}

// somewhere waits until a random moment of a rotation.
func (r *rotating) somewhere(ctx SpecContext) {
	GinkgoHelper()
	gateway := &v1alpha1.KongGateway{}
	Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(r.gateway), gateway)).To(Succeed())
	longest := r.overlap + time.Second
	if delay, err := time.ParseDuration(gateway.Status.PropagationDelay); err == nil {
		longest += delay
	}
	moment := time.NewTimer(mathrand.N(longest))
	select {
	case <-ctx.Done():
	case <-moment.C:
	}
}

var _ = Describe("Rotation under traffic", Serial, func() {
	refusesNothing := func(ctx SpecContext, c rotationCase) {
		if env.Real && c.propagation != 0 {
			Skip("a real Kong has the propagation that it has: one case is enough")
		}
		r := newRotating(ctx, c)
		traffic, living := startTraffic(ctx, r.url)
		DeferCleanup(traffic.stop)
		expectServed(ctx, traffic, r)
		Expect(traffic.add(living, r.consumer.Namespace, "caller-made", signing)).To(Succeed())
		Expect(traffic.add(living, r.consumer.Namespace, "caller-made-token", carrying)).To(Succeed())
		for number := range c.rotations {
			r.rotate(ctx, number+1, c.kill)
		}
		traffic.end(c.String())
		Expect(traffic.refused.Load()).To(BeZero(), traffic.firstRefusal())
		Expect(traffic.requests.Load()).To(BeNumerically(">", 100*c.rotations), "the clients were at work")
	}

	DescribeTable("refuses no request", refusesNothing,
		Entry("5 rotations", rotationCase{rotations: 5}, SpecTimeout(10*time.Minute)),
		Entry("5 rotations, propagation 1 s", rotationCase{rotations: 5, propagation: time.Second}, SpecTimeout(10*time.Minute)),
		Entry("20 rotations", Label("full"), rotationCase{rotations: 20}, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, propagation 1 s", Label("full"), rotationCase{rotations: 20, propagation: time.Second}, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, propagation 5 s", Label("full"), rotationCase{rotations: 20, propagation: 5 * time.Second}, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, killed", Label("full"), rotationCase{rotations: 20, kill: true}, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, propagation 1 s, killed", Label("full"), rotationCase{rotations: 20, propagation: time.Second, kill: true}, SpecTimeout(30*time.Minute)),
		Entry("20 rotations, propagation 5 s, killed", Label("full"), rotationCase{rotations: 20, propagation: 5 * time.Second, kill: true}, SpecTimeout(30*time.Minute)),
	)
})

// expectServed waits until a token passes, again and again: all workers know the service and the consumer.
func expectServed(ctx SpecContext, t *traffic, r *rotating) {
	GinkgoHelper()
	sender := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	Eventually(func(g Gomega) {
		secret := readSecret(ctx, r.consumer.Namespace, "caller-made")
		for range 4 * agreeing {
			g.Expect(t.send(ctx, secret, signing, sender)).To(Succeed())
		}
	}).WithContext(ctx).Should(Succeed())
}
