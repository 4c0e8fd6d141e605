package controllers_test

import (
	"context"
	"net/http"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("holders on a Kong of an ingress controller", func() {
	It("lets one of two have a username, a route, and wakes the other when it goes", func(ctx SpecContext) {
		c := newControlled(ctx)
		taken(ctx, c.gateway)
		consumers := []*v1alpha1.JwtConsumer{c.generated("one"), c.generated("two")}
		services := []*v1alpha1.JwtProtectedService{c.protected("one"), c.protected("two")}
		for i := range consumers {
			consumers[i].Spec.Username = "shared"
			create(ctx, consumers[i], services[i])
		}
		taken(ctx, consumers[0], services[0])
		stalled(ctx, consumers[1], v1alpha1.ReasonConflict,
			ContainSubstring("username shared is held by JwtConsumer "+c.namespace+"/one"))
		stalled(ctx, services[1], v1alpha1.ReasonConflict,
			ContainSubstring("is held by JwtProtectedService "+c.namespace+"/one"))
		gone(ctx, consumers[0])
		gone(ctx, services[0])
		taken(ctx, consumers[1], services[1])
	})

	It("writes no key that somebody else's KongConsumer has", func(ctx SpecContext) {
		c := newControlled(ctx)
		taken(ctx, c.gateway)
		secret := &corev1.Secret{ObjectMeta: c.meta("theirs"), StringData: map[string]string{
			"key": c.name + "-key", "algorithm": "HS256", "secret": strings.Repeat("s", 32),
		}}
		secret.Labels = map[string]string{"konghq.com/credential": "jwt"}
		other := kongObject("KongConsumer", "other", map[string]any{"username": "theirs", "credentials": []any{"theirs"}})
		other.SetNamespace(c.namespace)
		other.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		create(ctx, secret, other)
		consumer := c.generated("app")
		consumer.Spec.Credentials[0].Key = c.name + "-key"
		create(ctx, consumer)
		stalled(ctx, consumer, v1alpha1.ReasonConflict, And(ContainSubstring("is held by"), ContainSubstring(c.namespace)))
		var written corev1.SecretList
		Expect(kube.List(ctx, &written, client.InNamespace(operatorNamespace), client.MatchingLabels{"konghq.com/credential": "jwt"})).To(Succeed())
		for _, one := range written.Items {
			Expect(one.Annotations["kongjwt.dev/owner"]).NotTo(ContainSubstring(":" + c.namespace + ":"))
		}
		gone(ctx, other)
		taken(ctx, consumer)
	})

	It("sees at once that the controller drops a consumer, and that it takes it again", func(ctx SpecContext) {
		c := newControlled(ctx)
		consumer := c.generated("app")
		create(ctx, consumer)
		taken(ctx, c.gateway, consumer)
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(consumer), consumer)).To(Succeed())
		secret := &corev1.Secret{ObjectMeta: c.meta("theirs"), StringData: map[string]string{
			"key": consumer.Status.Credentials[0].Key, "algorithm": "HS256", "secret": strings.Repeat("s", 32),
		}}
		secret.Labels = map[string]string{"konghq.com/credential": "jwt"}
		other := kongObject("KongConsumer", "other", map[string]any{"username": "theirs", "credentials": []any{"theirs"}})
		other.SetNamespace(c.namespace)
		other.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		create(ctx, secret, other)
		stalled(ctx, consumer, v1alpha1.ReasonConflict, ContainSubstring("the ingress controller drops this consumer"))
		Expect(kube.Delete(ctx, other)).To(Succeed())
		taken(ctx, consumer)
	})

	It("puts right at once a KongConsumer that somebody changed or deleted", func(ctx SpecContext) {
		c := newControlled(ctx)
		consumer := c.generated("app")
		create(ctx, consumer)
		taken(ctx, c.gateway, consumer)
		own := func(g Gomega) *unstructured.Unstructured {
			all := c.kongConsumers(ctx, g)
			g.Expect(all).To(HaveLen(1))
			return &all[0]
		}
		before := own(Default)
		for name, patch := range map[string]string{
			"its class":       `{"metadata":{"annotations":{"kubernetes.io/ingress.class":"another"}}}`,
			"its credentials": `{"credentials":[]}`,
		} {
			By("changing " + name)
			Expect(kube.Patch(ctx, own(Default), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
			Eventually(func(g Gomega) {
				now := own(g)
				g.Expect(now.GetAnnotations()).To(Equal(before.GetAnnotations()))
				g.Expect(now.Object["credentials"]).To(Equal(before.Object["credentials"]))
			}).WithTimeout(soon).Should(Succeed())
		}
		for range 2 {
			By("deleting it")
			former := own(Default)
			Expect(kube.Delete(ctx, former)).To(Succeed())
			Eventually(func(g Gomega) {
				now := own(g)
				g.Expect(now.GetUID()).NotTo(Equal(former.GetUID()))
				g.Expect(now.Object["credentials"]).To(Equal(before.Object["credentials"]))
			}).WithTimeout(soon).Should(Succeed())
		}
		taken(ctx, consumer)
	})

	It("puts right at once what somebody changed or deleted of a service", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		create(ctx, service)
		taken(ctx, c.gateway, service)
		for _, list := range []*unstructured.UnstructuredList{
			listOf("v1", "Service"), listOf("networking.k8s.io/v1", "Ingress"), kongObjects("KongClusterPlugin"),
		} {
			own := func(g Gomega) *unstructured.Unstructured {
				g.Expect(kube.List(ctx, list, client.HasLabels{"kongjwt.dev/scope"})).To(Succeed())
				for i := range list.Items {
					if strings.Contains(list.Items[i].GetAnnotations()["kongjwt.dev/owner"], ":"+c.namespace+":") {
						return &list.Items[i]
					}
				}
				g.Expect(list.Items).To(ContainElement("the object"))
				return nil
			}
			said := func(o *unstructured.Unstructured) []any {
				return []any{o.Object["spec"], o.Object["config"], o.GetAnnotations()}
			}
			before := own(Default)
			right := func(g Gomega) { g.Expect(said(own(g))).To(Equal(said(before))) }
			By("changing the " + before.GetKind())
			for _, patch := range []string{
				map[string]string{
					"Service":           `{"spec":{"externalName":"another.example"}}`,
					"Ingress":           `{"spec":{"ingressClassName":"another"}}`,
					"KongClusterPlugin": `{"config":{"key_claim_name":"another"}}`,
				}[before.GetKind()],
				`{"metadata":{"annotations":{"konghq.com/tags":"another"}}}`,
				// Server-side apply alone leaves what another manager adds.
				`{"metadata":{"annotations":{"konghq.com/plugins":"open","konghq.com/host-header":"another"}}}`,
				map[string]string{
					"Service":           `{"metadata":{"annotations":{"konghq.com/path":"/admin"}}}`,
					"Ingress":           `{"spec":{"defaultBackend":{"service":{"name":"another","port":{"number":80}}}}}`,
					"KongClusterPlugin": `{"config":{"anonymous":"guest"},"disabled":true}`,
				}[before.GetKind()],
			} {
				Expect(kube.Patch(ctx, own(Default), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
				Eventually(right).WithTimeout(soon).Should(Succeed(), patch)
			}
			By("deleting it")
			Expect(kube.Delete(ctx, own(Default))).To(Succeed())
			Eventually(right).WithTimeout(soon).Should(Succeed())
			taken(ctx, service)
		}
	})

	It("puts right what somebody changed while the operator was away", func(ctx SpecContext) {
		c := newControlled(ctx)
		service := c.protected("api")
		create(ctx, service)
		taken(ctx, c.gateway, service)
		c.operator.Stop()
		unprotect := func(o *corev1.Service) { o.Annotations["konghq.com/plugins"] = "" }
		var services corev1.ServiceList
		Expect(kube.List(ctx, &services, client.InNamespace(c.namespace), client.HasLabels{"kongjwt.dev/scope"})).
			To(Succeed())
		Expect(services.Items).To(HaveLen(1))
		change(ctx, &services.Items[0], unprotect)
		Eventually(func() []int { return c.answers(ctx, "") }).WithTimeout(pushed).Should(Equal([]int{200, 200}))
		c.operator = startOperator(c.name)
		Eventually(func() []int { return c.answers(ctx, "") }).WithTimeout(pushed).Should(Equal([]int{401, 401}))
	})
})

// kongConsumers are the operator's of the gateway's resources.
func (c *controlled) kongConsumers(ctx context.Context, g Gomega) (all []unstructured.Unstructured) {
	list := kongObjects("KongConsumer")
	g.Expect(kube.List(ctx, list, client.InNamespace(operatorNamespace))).To(Succeed())
	for _, o := range list.Items {
		if strings.Contains(o.GetAnnotations()["kongjwt.dev/owner"], ":"+c.namespace+":") {
			all = append(all, o)
		}
	}
	return all
}

func kongObject(kind, name string, fields map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: fields}
	o.SetAPIVersion("configuration.konghq.com/v1")
	o.SetKind(kind)
	o.SetName(name)
	return o
}

// flags are the conditions of an object that say what the controller holds up.
func (c *controlled) flags(ctx context.Context, object client.Object) []string {
	GinkgoHelper()
	var found []string
	Eventually(func(g Gomega) {
		conditions := conditionsOf(ctx, g, object)
		found = nil
		for _, kind := range []string{v1alpha1.ConditionAwaitingController, v1alpha1.ConditionRevocationPending} {
			if apimeta.IsStatusConditionTrue(conditions, kind) {
				found = append(found, kind)
			}
		}
	}).WithTimeout(soon).Should(Succeed())
	return found
}

// generated is a consumer whose credential the operator makes.
func (c *controlled) generated(name string) *v1alpha1.JwtConsumer {
	return c.consumer(name, func(o *v1alpha1.JwtConsumer) {
		o.Spec.Credentials = []v1alpha1.Credential{{
			Name: "primary", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: name + "-jwt"},
		}}
	})
}

// underRequests sends requests with the token of the moment while something happens, and says how many were refused.
func (c *controlled) underRequests(ctx context.Context, token *v1alpha1.JwtToken, during func()) (refused func() int) {
	GinkgoHelper()
	count, stop := 0, make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		defer GinkgoRecover()
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, status := range c.answers(ctx, c.authorization(ctx, token)) {
				if status != http.StatusOK {
					count++
				}
			}
		}
	})
	during()
	close(stop)
	done.Wait()
	return func() int { return count }
}

// versions are those of the objects that the operator wrote, without the barrier.
func (c *controlled) versions(ctx context.Context) map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	for _, kind := range []string{"KongConsumer", "KongClusterPlugin"} {
		list := kongObjects(kind)
		Expect(kube.List(ctx, list)).To(Succeed())
		Expect(apimeta.IsListType(list)).To(BeTrue())
		for _, o := range list.Items {
			if o.GetAnnotations()["kubernetes.io/ingress.class"] == c.name && o.GetAnnotations()["kongjwt.dev/owner"] != "" {
				all[kind+" "+o.GetName()] = string(o.GetUID())
			}
		}
	}
	return all
}
