package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/stale"
)

// watched are the resources that the operator watches.
var watched = []string{
	"konggateways", "jwtconsumers", "jwtprotectedservices", "jwttokens", "secrets", "services", "namespaces",
}

// newReplica makes a kube-apiserver that may be behind, and is not when the spec ends.
func newReplica() *stale.Replica {
	GinkgoHelper()
	replica, err := stale.New(restConfig)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { replica.Release() })
	return replica
}

// goBack starts the operator anew, by way of a replica that is behind: kinds are there as they were at a version.
func (w *world) goBack(version string, kinds ...string) *stale.Replica {
	GinkgoHelper()
	replica := newReplica()
	w.operator.Stop()
	replica.FreezeAt(version, kinds...)
	w.operator = startOperator(w.name, by(replica))
	return replica
}

// by has an operator ask a replica.
func by(replica *stale.Replica) func(*rest.Config, *ctrl.Options) {
	return func(config *rest.Config, _ *ctrl.Options) { config.Wrap(replica.Through) }
}

// elected has one of the operators of an installation work at a time.
func (w *world) elected(_ *rest.Config, options *ctrl.Options) {
	options.LeaderElection, options.LeaderElectionID, options.LeaderElectionNamespace = true, w.name, operatorNamespace
	options.LeaderElectionReleaseOnCancel, options.RetryPeriod = true, new(100*time.Millisecond)
}

// now is the version of the cluster's state.
func now(ctx context.Context) string {
	GinkgoHelper()
	version, err := newReplica().Now(ctx)
	Expect(err).NotTo(HaveOccurred())
	return version
}

// port80 is a Service with one port.
func (w *world) port80(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: w.meta(name), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
}

// watches waits until somebody watches a kind by way of a replica.
func watches(replica *stale.Replica, kind string) {
	GinkgoHelper()
	Eventually(replica.Watches).WithArguments(kind).WithTimeout(soon).WithPolling(poll).ShouldNot(BeZero(), kind)
}

// remains holds for a while, until time goes on at a replica, and then ends.
func remains(ctx context.Context, replica *stale.Replica, holds func(Gomega)) {
	GinkgoHelper()
	Consistently(holds).WithTimeout(quiet).WithPolling(poll).Should(Succeed())
	replica.Release()
	Eventually(holds).WithContext(ctx).WithTimeout(soon).WithPolling(poll).Should(Succeed())
}

var _ = Describe("An operator that starts from an older state", func() {
	var w *world
	BeforeEach(func(ctx SpecContext) { w = newWorld(ctx, kongsim.Options{}) })

	It("takes back no revocation", func(ctx SpecContext) {
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		before := now(ctx)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		ready(ctx, consumer)
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) { g.Expect(w.list(ctx, "jwts")).To(BeEmpty()) })
		ready(ctx, consumer)
	})

	It("does not end a suspension", func(ctx SpecContext) {
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		before := now(ctx)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = true })
		Eventually(func(g Gomega) {
			g.Expect(apimeta.FindStatusCondition(conditionsOf(ctx, g, consumer), v1alpha1.ConditionSuspended)).NotTo(BeNil())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		for _, jwt := range w.list(ctx, "jwts") {
			path := "/consumers/" + consumer.Status.ConsumerID + "/jwt/" + jwt["id"].(string)
			Expect(w.send(ctx, http.MethodDelete, path, nil)).To(Equal(http.StatusNoContent))
		}
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) { g.Expect(w.list(ctx, "jwts")).To(BeEmpty()) })
	})

	It("lets nobody in again who was shut out, and serves no path again", func(ctx SpecContext) {
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Groups: []string{"readers", "writers"}}
		})
		create(ctx, service)
		ready(ctx, service)
		before := now(ctx)
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access.Groups, s.Spec.Routes[0].Paths = []string{"writers"}, []string{"/new"}
		})
		ready(ctx, service)
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) {
			g.Expect(w.admitted(ctx)).To(ConsistOf("writers"))
			g.Expect(w.values(ctx, "routes", "paths")).To(ConsistOf(ConsistOf("/new")))
		})
		ready(ctx, service)
	})

	It("leads no request to a Service that has come to lead elsewhere", func(ctx SpecContext) {
		target := w.port80("orders")
		service := w.service("orders", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "orders", Port: 80}}
		})
		create(ctx, target, service)
		ready(ctx, service)
		before := now(ctx)
		change(ctx, target, func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "elsewhere.example"
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
		})
		Eventually(w.list).WithContext(ctx).WithArguments("routes").WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		replica := w.goBack(before, "services")
		remains(ctx, replica, func(g Gomega) { g.Expect(w.list(ctx, "routes")).To(BeEmpty()) })
	})

	It("publishes no former key, and takes none out of Kong that is valid", func(ctx SpecContext) {
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		create(ctx, consumer)
		ready(ctx, consumer)
		before := now(ctx)
		for _, revision := range []int{2, 3} {
			annotate(ctx, consumer, v1alpha1.AnnotationRotate, fmt.Sprint(revision))
			Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(w.sayActive(revision)))
		}
		keys, material := w.values(ctx, "jwts", "key"), w.published(ctx, "r-made", "secret")
		Expect(keys).To(HaveLen(3))
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) {
			g.Expect(w.values(ctx, "jwts", "key")).To(ConsistOf(keys...))
			g.Expect(w.published(ctx, "r-made", "secret")).To(Equal(material))
		})
		ready(ctx, consumer)
	})

	It("makes nothing again of what is deleted, and nothing of what was before under its name", func(ctx SpecContext) {
		material := map[string]string{"secret": longSecret}
		create(ctx, w.secret("a-jwt", material), w.secret("b-jwt", material))
		a, b := w.consumer("a"), w.consumer("b", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"admins"} })
		create(ctx, a, b)
		ready(ctx, a, b)
		before := now(ctx)
		gone(ctx, a)
		gone(ctx, b)
		b = w.consumer("b", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"readers"} })
		create(ctx, b)
		ready(ctx, b)
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) {
			g.Expect(w.values(ctx, "consumers", "username")).To(HaveLen(1))
			g.Expect(w.groups(ctx)).To(ConsistOf("readers"))
		})
		ready(ctx, b)
	})

	It("signs no token as a former spec asked for", func(ctx SpecContext) {
		consumer := w.consumer("john")
		token := &v1alpha1.JwtToken{ObjectMeta: w.meta("t"), Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: "john", Credential: "primary"}, SecretName: "t-token", TTL: "1h",
		}}
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer, token)
		ready(ctx, consumer, token)
		before := now(ctx)
		change(ctx, token, func(t *v1alpha1.JwtToken) { t.Spec.TTL = "20m" })
		ready(ctx, token)
		text := w.published(ctx, "t-token", "token")
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) { g.Expect(w.published(ctx, "t-token", "token")).To(Equal(text)) })
		ready(ctx, token)
	})

	It("lists what Kong holds while its cache is late, and writes nothing", func(ctx SpecContext) {
		before, consumer := now(ctx), w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		w.kong.ResetRequests()
		replica := w.goBack(before, "jwtconsumers")
		Eventually(w.kong.Requests).WithTimeout(soon).WithPolling(poll).Should(ContainElement(HaveField("Path", HavePrefix("/consumers?"))))
		remains(ctx, replica, func(g Gomega) { g.Expect(w.writes()).To(BeZero()) })
	})

	It("goes to no Kong that its gateway has left", func(ctx SpecContext) {
		former := w.kong
		consumer := w.consumer("john")
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		before := now(ctx)
		const frequency = 50 * time.Millisecond
		next, err := kongsim.Start(kongsim.Options{DBUpdateFrequency: frequency, WorkerStateUpdateFrequency: frequency})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(next.Close)
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) { g.Spec.AdminAPI.URL = next.AdminURL() })
		there := &world{kong: next}
		Eventually(there.list).WithContext(ctx).WithArguments("jwts").WithTimeout(soon).WithPolling(poll).Should(HaveLen(1))
		ready(ctx, w.gateway, consumer)
		former.ResetRequests()
		replica := w.goBack(before, watched...)
		remains(ctx, replica, func(g Gomega) { g.Expect(former.Requests()).To(BeEmpty()) })
		ready(ctx, w.gateway, consumer)
		gone(ctx, consumer)
		gone(ctx, w.gateway)
	})

	It("takes nothing back where it was a standby that watched late", func(ctx SpecContext) {
		replica := newReplica()
		w.operator.Stop()
		w.operator = startOperator(w.name, w.elected)
		consumer := w.consumer("john", func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"admins", "readers"} })
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}), consumer)
		ready(ctx, consumer)
		standby := startOperator(w.name, w.elected, by(replica))
		watches(replica, "jwtconsumers")
		Expect(replica.Freeze(ctx, watched...)).To(Succeed())
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"readers"} })
		ready(ctx, consumer)
		w.operator.Stop()
		w.operator = standby
		Eventually(func() string { return w.leader(ctx) }).WithTimeout(soon).WithPolling(poll).ShouldNot(BeEmpty())
		remains(ctx, replica, func(g Gomega) { g.Expect(w.groups(ctx)).To(ConsistOf("readers")) })
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"writers"} })
		ready(ctx, consumer)
	})
})

// leader of those that are elected; "" where there is none.
func (w *world) leader(ctx context.Context) string {
	GinkgoHelper()
	lease := &coordinationv1.Lease{}
	Expect(kube.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: w.name}, lease)).To(Succeed())
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

var _ = Describe("An operator that is told of changes late", func() {
	var w *world
	var replica *stale.Replica
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx, kongsim.Options{})
		replica = newReplica()
		w.operator.Stop()
		w.operator = startOperator(w.name, by(replica))
		create(ctx, w.secret("john-jwt", map[string]string{"secret": longSecret}))
		ready(ctx, w.gateway)
	})

	It("ends in the last state, whatever it did not see in between", func(ctx SpecContext) {
		john, jane := w.consumer("john"), w.consumer("jane", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].SecretRef.Name = "john-jwt"
		})
		service := w.service("orders")
		create(ctx, john, jane, service)
		ready(ctx, john, jane, service)
		Expect(replica.Freeze(ctx, watched...)).To(Succeed())
		for _, groups := range [][]string{{"admins"}, {"writers"}, {"readers"}} {
			change(ctx, john, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups, c.Spec.Revoked = groups, len(groups[0]) == 6 })
		}
		change(ctx, john, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = []string{"/between"} })
		change(ctx, service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths = []string{"/last"} })
		remove(ctx, jane)
		jane = w.consumer("jane", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].SecretRef.Name, c.Spec.Groups = "john-jwt", []string{"made-again"}
		})
		create(ctx, jane)
		Expect(replica.Skip(ctx, watched...)).To(Succeed())
		ready(ctx, john, jane, service)
		Expect(w.groups(ctx)).To(ConsistOf("readers", "made-again"))
		Expect(w.values(ctx, "routes", "paths")).To(ConsistOf(ConsistOf("/last")))
		Expect(w.list(ctx, "jwts")).To(HaveLen(2))
	})

	It("lets go of what it did not see being deleted", func(ctx SpecContext) {
		consumer := w.consumer("john")
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(replica.Freeze(ctx, watched...)).To(Succeed())
		Expect(kube.Delete(ctx, consumer)).To(Succeed())
		Expect(replica.Skip(ctx, watched...)).To(Succeed())
		gone(ctx, consumer)
		Expect(w.list(ctx, "consumers")).To(BeEmpty())
	})

	It("does nothing again where it is told of all again", func(ctx SpecContext) {
		consumer, service := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"}), w.service("orders")
		create(ctx, consumer, service)
		ready(ctx, consumer, service)
		annotate(ctx, consumer, v1alpha1.AnnotationRotate, "1")
		Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(w.sayActive(2)))
		ready(ctx, consumer)
		// The counts of a gateway are written a heartbeat later.
		Eventually(func() int64 { return w.operator.writes.Swap(0) }).WithTimeout(soon).WithPolling(quiet).Should(BeZero())
		w.kong.ResetRequests()
		for range 2 {
			Expect(replica.Skip(ctx, watched...)).To(Succeed())
			for _, kind := range watched {
				watches(replica, kind)
			}
		}
		Consistently(func(g Gomega) {
			g.Expect(w.writes()).To(BeZero())
			g.Expect(w.operator.writes.Load()).To(BeZero())
		}).WithTimeout(quiet).WithPolling(poll).Should(Succeed())
	})

	It("takes kinds in whatever order they come", func(ctx SpecContext) {
		for _, late := range watched {
			By(late)
			Expect(replica.Freeze(ctx, late)).To(Succeed())
			name := "c-" + late
			secret := w.secret(name+"-jwt", map[string]string{"secret": longSecret})
			consumer := w.consumer(name, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"first"} })
			service := w.service("s-"+late, func(s *v1alpha1.JwtProtectedService) {
				s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: name}}}
				s.Spec.Upstream = &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: name, Port: 80}}
			})
			create(ctx, service, consumer)
			create(ctx, secret, w.port80(name))
			change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Groups = []string{"second"} })
			if late != "jwtconsumers" && late != "secrets" {
				ready(ctx, consumer)
			}
			replica.Pass(late, 1)
			replica.Release()
			ready(ctx, consumer, service)
			Expect(w.admitted(ctx)).To(ConsistOf("kongjwt:" + w.namespace + "." + name))
			Expect(w.groups(ctx)).To(ConsistOf("second"))
			gone(ctx, service)
			gone(ctx, consumer)
		}
	})

	It("keeps what clients read, and what Kong has, while it hears nothing of Secrets", func(ctx SpecContext) {
		consumer := w.rotated("r", &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"})
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(replica.Freeze(ctx, "secrets")).To(Succeed())
		for _, revision := range []int{2, 3} {
			annotate(ctx, consumer, v1alpha1.AnnotationRotate, fmt.Sprint(revision))
			Eventually(phases(ctx, consumer)).WithTimeout(soon).WithPolling(poll).Should(ContainElement(w.sayActive(revision)))
			key, secret := w.published(ctx, "r-made", "key"), w.published(ctx, "r-made", "secret")
			Expect(w.secretsByKey(ctx)).To(HaveKeyWithValue(key, secret))
		}
		Expect(w.list(ctx, "jwts")).To(HaveLen(3))
		material := w.published(ctx, "r-made", "secret")
		remains(ctx, replica, func(g Gomega) {
			g.Expect(w.published(ctx, "r-made", "secret")).To(Equal(material))
			g.Expect(w.list(ctx, "jwts")).To(HaveLen(3))
		})
		ready(ctx, consumer)
	})
})

// remove deletes an object for good, though the operator has put a finalizer on it.
func remove(ctx context.Context, object client.Object) {
	GinkgoHelper()
	Expect(kube.Delete(ctx, object)).To(Succeed())
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	Expect(client.IgnoreNotFound(kube.Patch(ctx, object, patch))).To(Succeed())
	gone(ctx, object)
}
