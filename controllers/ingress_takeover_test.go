package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("a KongConsumer that is taken over", func() {
	It("keeps an immutable Secret that names no algorithm", func(ctx SpecContext) {
		c := newControlled(ctx)
		isImmutable := true
		theirs := c.secret("theirs", map[string]string{"key": c.name + "-key", "secret": longSecret})
		theirs.Labels, theirs.Immutable = map[string]string{"konghq.com/credential": "jwt"}, &isImmutable
		former := kongObject("KongConsumer", "former", map[string]any{"username": c.name, "credentials": []any{"theirs"}})
		former.SetNamespace(c.namespace)
		former.SetAnnotations(map[string]string{"kubernetes.io/ingress.class": c.name})
		create(ctx, theirs, former)
		consumer := c.consumer("app", func(o *v1alpha1.JwtConsumer) {
			o.Annotations = map[string]string{v1alpha1.AnnotationTakeOver: "former"}
			o.Spec.Username, o.Spec.Credentials[0].Key = c.name, c.name+"-key"
		})
		create(ctx, c.secret("app-jwt", map[string]string{"secret": longSecret}), consumer)
		taken(ctx, c.gateway, consumer)
		var now corev1.Secret
		Expect(kube.Get(ctx, client.ObjectKeyFromObject(theirs), &now)).To(Succeed())
		Expect(now.UID).To(Equal(theirs.UID), "it was never away")
		Expect(now.Labels).To(HaveKey("kongjwt.dev/scope"))
		Expect(now.Data).To(Equal(map[string][]byte{"key": []byte(c.name + "-key"), "secret": []byte(longSecret)}))
		gone(ctx, consumer)
		Expect(apierrors.IsNotFound(kube.Get(ctx, client.ObjectKeyFromObject(theirs), &now))).To(BeTrue())
	})
})
