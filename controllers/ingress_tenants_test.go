package controllers_test

import (
	"maps"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("a tenant at a Kong of an ingress controller", func() {
	It("has nothing in its namespace by which a group or a key could become another", func(ctx SpecContext) {
		c := newControlled(ctx, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced })
		victim := c.namespace + "-victim"
		create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: victim}})
		service := c.protected("api")
		service.Namespace = victim
		mallory, token := c.generated("mallory"), c.token("mallory")
		create(ctx, service, mallory, token)
		taken(ctx, c.gateway, service, mallory, token)
		Expect(c.answers(ctx, c.authorization(ctx, token))).To(Equal([]int{http.StatusForbidden, http.StatusForbidden}))
		var secrets corev1.SecretList
		Expect(kube.List(ctx, &secrets, client.InNamespace(c.namespace), client.HasLabels{"konghq.com/credential"})).To(Succeed())
		Expect(secrets.Items).To(BeEmpty())
		Expect(c.kongConsumers(ctx, Default)).To(HaveLen(1))
		gone(ctx, service)
	})

	It("keeps nobody from a key by a Secret alone, nor from a host by what it writes into one", func(ctx SpecContext) {
		c := newControlled(ctx, func(g *v1alpha1.KongGateway) { g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced })
		victim := c.namespace + "-victim"
		create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: victim}})
		own := c.protected("own")
		own.Spec.Routes[0].Hosts = []string{"own." + c.name + ".example"}
		create(ctx, own)
		taken(ctx, c.gateway, own)
		var routes networkingv1.IngressList
		Expect(kube.List(ctx, &routes, client.InNamespace(c.namespace), client.HasLabels{"kongjwt.dev/scope"})).To(Succeed())
		Expect(routes.Items).To(HaveLen(1))
		forged := maps.Clone(routes.Items[0].Annotations)
		Expect(forged["kongjwt.dev/unique"]).To(ContainSubstring("own." + c.name))
		forged["kongjwt.dev/unique"] = strings.ReplaceAll(forged["kongjwt.dev/unique"], "own."+c.name, c.name)
		create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: c.namespace, Name: "squat", Annotations: forged, Labels: map[string]string{
					"konghq.com/credential": "jwt", "kongjwt.dev/scope": routes.Items[0].Labels["kongjwt.dev/scope"],
				},
			},
			StringData: map[string]string{
				"key": victim + ".app.primary", "algorithm": "HS256", "secret": strings.Repeat("s", 32),
			},
		})
		c.operator.Stop() // a listing of all objects
		c.operator = startOperator(c.name)
		app, api := c.generated("app"), c.protected("api")
		app.Namespace, api.Namespace = victim, victim
		create(ctx, app, api)
		taken(ctx, app, api)
		gone(ctx, app)
		gone(ctx, api)
	})
})
