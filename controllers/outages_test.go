package controllers_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// made is a consumer with generated credentials that rotate by request.
func (w *world) made(name string, credentials ...string) *v1alpha1.JwtConsumer {
	return w.consumer(name, func(c *v1alpha1.JwtConsumer) {
		c.Spec.Credentials = nil
		for _, credential := range credentials {
			c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
				Name: credential, Algorithm: "HS256", Generate: &v1alpha1.Generate{
					SecretName: name + "-" + credential, Rotation: &v1alpha1.Rotation{Interval: "1h", Overlap: "30m"},
				},
			})
		}
	})
}

var _ = Describe("A consumer of which a part is wrong", func() {
	keys := func(ctx context.Context, w *world) func() []any {
		return func() []any { return w.values(ctx, "jwts", "key") }
	}

	It("is revoked though its gateway no longer takes it, or there is none of the name", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{
				From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"admitted": "yes"}},
			}
		})
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
		change(ctx, namespace, func(n *corev1.Namespace) { n.Labels["admitted"] = "yes" })
		one, other := w.made("one", "made"), w.made("other", "made")
		create(ctx, one, other)
		ready(ctx, one, other)
		change(ctx, other, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name, c.Spec.Revoked = "nowhere", true })
		stalled(ctx, other, v1alpha1.ReasonGatewayNotFound, ContainSubstring("nowhere"))
		Eventually(keys(ctx, w)).WithTimeout(soon).WithPolling(poll).Should(ConsistOf(w.name + ".one.made.1"))
		change(ctx, namespace, func(n *corev1.Namespace) { n.Labels["admitted"] = "no" })
		stalled(ctx, one, v1alpha1.ReasonNamespaceNotAllowed, ContainSubstring(w.namespace))
		change(ctx, one, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		Eventually(keys(ctx, w)).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		change(ctx, other, func(c *v1alpha1.JwtConsumer) { c.Spec.GatewayRef.Name = w.name })
	})

	It("gets a finalizer back that was taken off, and leaves nothing in Kong when it is deleted", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Prune.Policy = v1alpha1.PruneReport })
		consumer := w.made("john", "made")
		create(ctx, consumer)
		ready(ctx, consumer)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Finalizers = nil })
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
			g.Expect(controllerutil.ContainsFinalizer(consumer, v1alpha1.Finalizer)).To(BeTrue())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		gone(ctx, consumer)
		Expect(w.values(ctx, "consumers", "username")).To(BeEmpty())
	})

	It("keeps its Secrets where it is retained: nothing leads the garbage collector to them", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.made("john", "made")
		create(ctx, consumer)
		ready(ctx, consumer)
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		for _, name := range []string{"john-made", "john-kongjwt-state"} {
			Eventually(func(g Gomega) {
				secret := w.secret(name, nil)
				g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
				g.Expect(secret.OwnerReferences).To(BeEmpty())
			}).WithTimeout(soon).WithPolling(poll).Should(Succeed(), name)
		}
	})
})

// failingReads answers reads of a path with no answer, while failing is set.
type failingReads struct {
	next    http.RoundTripper
	path    string
	failing *atomic.Bool
}

func (f failingReads) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.failing.Load() && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, f.path) {
		return nil, errors.New("no answer")
	}
	return f.next.RoundTrip(r)
}

var _ = Describe("A gateway", func() {
	It("goes on with the token that it has while the Secret cannot be read", func(ctx SpecContext) {
		var failing atomic.Bool
		original := restConfig
		restConfig = rest.CopyConfig(original)
		restConfig.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return failingReads{next, "/secrets/admin-unread", &failing}
		})
		DeferCleanup(func() { restConfig = original })
		token := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "admin-unread"}, StringData: map[string]string{"token": "abcdefgh"},
		}
		create(ctx, token)
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, token)).To(Succeed()) })
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.AdminAPI.Auth = &v1alpha1.AdminAuth{Header: "Kong-Admin-Token", SecretRef: v1alpha1.SecretKeyReference{
				SecretReference: v1alpha1.SecretReference{Namespace: operatorNamespace, Name: "admin-unread"}, Key: "token",
			}}
		})
		consumer := w.made("john", "made")
		create(ctx, consumer)
		ready(ctx, consumer, w.gateway)
		failing.Store(true)
		DeferCleanup(func() { failing.Store(false) })
		annotate(ctx, w.gateway, "example.com/look", "again")
		change(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		Eventually(func() []any { return w.values(ctx, "jwts", "key") }).WithTimeout(soon).WithPolling(poll).Should(BeEmpty())
		ready(ctx, w.gateway)
	})

	It("in deletion lets its users go after a restart of the operator", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		consumer := w.made("john", "made")
		create(ctx, consumer)
		ready(ctx, consumer)
		Expect(kube.Delete(ctx, w.gateway)).To(Succeed())
		reconciling(ctx, w.gateway, v1alpha1.ReasonDeleting, ContainSubstring("john"))
		w.operator.Stop()
		w.operator = startOperator(w.name)
		gone(ctx, consumer)
		Expect(w.values(ctx, "consumers", "username")).To(BeEmpty())
		gone(ctx, w.gateway)
	})

	It("in deletion goes on with a token that is rotated", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{})
		var accepted atomic.Value
		accepted.Store("the-first")
		target, err := url.Parse(w.kong.AdminURL())
		Expect(err).NotTo(HaveOccurred())
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
		front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Kong-Admin-Token") != accepted.Load() {
				http.Error(rw, `{"message":"Invalid credentials. Token or User credentials required"}`, http.StatusUnauthorized)
				return
			}
			proxy.ServeHTTP(rw, r)
		}))
		DeferCleanup(front.Close)
		token := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "admin-rotated"}, StringData: map[string]string{"token": "the-first"},
		}
		create(ctx, token)
		DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, token)).To(Succeed()) })
		change(ctx, w.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.AdminAPI.URL = front.URL
			g.Spec.AdminAPI.Auth = &v1alpha1.AdminAuth{Header: "Kong-Admin-Token", SecretRef: v1alpha1.SecretKeyReference{
				SecretReference: v1alpha1.SecretReference{Namespace: operatorNamespace, Name: "admin-rotated"}, Key: "token",
			}}
		})
		consumer := w.made("john", "made")
		create(ctx, consumer)
		ready(ctx, w.gateway, consumer)
		Expect(kube.Delete(ctx, w.gateway)).To(Succeed())
		reconciling(ctx, w.gateway, v1alpha1.ReasonDeleting, ContainSubstring("john"))
		accepted.Store("the-second")
		change(ctx, token, func(s *corev1.Secret) { s.StringData = map[string]string{"token": "the-second"} })
		gone(ctx, consumer)
		Expect(w.values(ctx, "consumers", "username")).To(BeEmpty())
		gone(ctx, w.gateway)
	})

	It("in deletion takes out of Kong what belongs to resources that are gone", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "5s" })
		ready(ctx, w.gateway)
		tags := []string{
			"kongjwt", "kongjwt-installation:" + w.name, "kongjwt-gateway:" + w.name,
			"kongjwt-owner:JwtConsumer:" + w.namespace + ":nobody", "kongjwt-part:consumer",
		}
		Expect(w.send(ctx, http.MethodPut, "/consumers/00000000-0000-4000-8000-000000000099",
			map[string]any{"username": "orphan", "tags": tags})).To(Equal(http.StatusOK))
		annotate(ctx, w.gateway, v1alpha1.AnnotationReconcile, "1")
		Eventually(func(g Gomega) {
			g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(w.gateway), w.gateway)).To(Succeed())
			g.Expect(w.gateway.Status.Managed.Consumers).To(BeEquivalentTo(1))
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
		gone(ctx, w.gateway)
		Expect(w.values(ctx, "consumers", "username")).To(BeEmpty())
	})
})
