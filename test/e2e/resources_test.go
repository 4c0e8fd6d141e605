package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// newNamespace makes a namespace of this run, and deletes it with everything in it when the spec, or its container,
// ends.
func newNamespace(ctx context.Context, name string) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: named(name)}}
	create(ctx, namespace)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		Expect(client.IgnoreNotFound(env.Client.Delete(ctx, namespace))).To(Succeed())
		awaitGoneWithin(ctx, patience+looksAtNamespace, namespace)
	})
	return namespace.Name
}

// looksAtNamespace is how late the control plane may be to see that a namespace is empty: it looks again after 5, 10,
// 20, 40 and 60 seconds, and a busy machine misses a look.
const looksAtNamespace = 2 * time.Minute

// create makes an object as `kubectl create` does.
func create(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Expect(env.Client.Create(ctx, o)).To(Succeed(), "%T %s", o, o.GetName())
	}
}

// update changes an object's spec, or a Secret's content, whatever else writes to it meanwhile.
func update[T client.Object](ctx context.Context, o T, change func(T)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		change(o)
		g.Expect(env.Client.Update(ctx, o)).To(Succeed())
	}).WithContext(ctx).Should(Succeed())
}

// remove deletes an object and waits until it is gone.
func remove(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(env.Client.Delete(ctx, o))).To(Succeed())
	awaitGone(ctx, o)
}

// removeAll deletes objects at once, and waits until all are gone.
func removeAll(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Expect(client.IgnoreNotFound(env.Client.Delete(ctx, o))).To(Succeed())
	}
	for _, o := range objects {
		awaitGone(ctx, o)
	}
}

func awaitGone(ctx context.Context, o client.Object) {
	GinkgoHelper()
	awaitGoneWithin(ctx, patience, o)
}

func awaitGoneWithin(ctx context.Context, limit time.Duration, o client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		err := env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), func() string { return describe(o) })
	}).WithContext(ctx).WithTimeout(limit).Should(Succeed(), "%T %s goes", o, o.GetName())
}

// state gives what a resource says of itself.
func state(o client.Object) (observed int64, conditions []metav1.Condition) {
	switch o := o.(type) {
	case *v1alpha1.KongGateway:
		return o.Status.ObservedGeneration, o.Status.Conditions
	case *v1alpha1.JwtConsumer:
		return o.Status.ObservedGeneration, o.Status.Conditions
	case *v1alpha1.JwtProtectedService:
		return o.Status.ObservedGeneration, o.Status.Conditions
	case *v1alpha1.JwtToken:
		return o.Status.ObservedGeneration, o.Status.Conditions
	}
	return 0, nil
}

// describe says where a resource stands, for a failure's message.
func describe(o client.Object) string {
	observed, conditions := state(o)
	lines := []string{fmt.Sprintf("%s %s: generation %d, observed %d", kindOf(o), o.GetName(), o.GetGeneration(), observed)}
	for _, c := range conditions {
		lines = append(lines, fmt.Sprintf("  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(lines, "\n")
}

// awaitReady waits until resources are Ready, as kstatus has it: for their present generation, and neither
// reconciling nor stalled.
func awaitReady(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Eventually(func(g Gomega) {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
			observed, conditions := state(o)
			g.Expect(observed).To(Equal(o.GetGeneration()), func() string { return describe(o) })
			g.Expect(meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady)).To(BeTrue(), func() string { return describe(o) })
			g.Expect(meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)).To(BeNil(), func() string { return describe(o) })
			g.Expect(meta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)).To(BeNil(), func() string { return describe(o) })
		}).WithContext(ctx).Should(Succeed(), "%s %s becomes Ready", kindOf(o), o.GetName())
	}
}

// awaitReason waits until a resource of its present generation is not Ready for a reason, with a message that
// contains each of the texts.
func awaitReason(ctx context.Context, o client.Object, reason string, texts ...string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		observed, conditions := state(o)
		g.Expect(observed).To(Equal(o.GetGeneration()), func() string { return describe(o) })
		ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
		g.Expect(ready).NotTo(BeNil())
		g.Expect(ready.Status).To(Equal(metav1.ConditionFalse), func() string { return describe(o) })
		g.Expect(ready.Reason).To(Equal(reason), func() string { return describe(o) })
		for _, text := range texts {
			g.Expect(ready.Message).To(ContainSubstring(text))
		}
	}).WithContext(ctx).Should(Succeed(), "%s %s says %s", kindOf(o), o.GetName(), reason)
}

// newSecret makes a Secret in memory.
func newSecret(namespace, name string, content map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: content}
}

// readSecret waits for a Secret that the operator writes.
func readSecret(ctx context.Context, namespace, name string) *corev1.Secret {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Eventually(func() error {
		return env.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	}).WithContext(ctx).Should(Succeed())
	return secret
}

// newConsumer makes a JwtConsumer in memory, on the shared gateway.
func newConsumer(namespace, name string, change ...func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
	c := &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: gateway.Name}},
	}
	for _, f := range change {
		f(&c.Spec)
	}
	return c
}

// newService makes a JwtProtectedService in memory, on the shared gateway, before the echoing upstream. Its route has
// the path that pathOf gives for the namespace and the name; tokens name their credential in kid and have to expire.
func newService(namespace, name string, change ...func(*v1alpha1.JwtProtectedServiceSpec)) *v1alpha1.JwtProtectedService {
	s := &v1alpha1.JwtProtectedService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.JwtProtectedServiceSpec{
			GatewayRef: v1alpha1.GatewayReference{Name: gateway.Name},
			Upstream:   &v1alpha1.Upstream{URL: env.UpstreamURL},
			Routes: []v1alpha1.Route{{
				Name: "api", Paths: []string{pathOfService(namespace, name)}, Protocols: []v1alpha1.Protocol{"http", "https"},
			}},
			JWT: v1alpha1.JWTPlugin{KeyClaimName: "kid", ClaimsToVerify: []v1alpha1.TimeClaim{"exp"}},
		},
	}
	for _, f := range change {
		f(&s.Spec)
	}
	return s
}

// pathOfService is the path of newService's route.
func pathOfService(namespace, name string) string { return "/" + namespace + "/" + name }

// generated is a credential that the operator makes.
func generated(name string, algorithm v1alpha1.Algorithm, secretName string) v1alpha1.Credential {
	return v1alpha1.Credential{Name: name, Algorithm: algorithm, Generate: &v1alpha1.Generate{SecretName: secretName}}
}

// referenced is a credential from a Secret.
func referenced(name string, algorithm v1alpha1.Algorithm, key, secretName string) v1alpha1.Credential {
	return v1alpha1.Credential{Name: name, Algorithm: algorithm, Key: key, SecretRef: &v1alpha1.CredentialSecretReference{Name: secretName}}
}

// raw writes a value as the JSON of a spec.
func raw(value any) *apiextensionsv1.JSON {
	GinkgoHelper()
	text, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return &apiextensionsv1.JSON{Raw: text}
}

// pointer gives the address of a value.
func pointer[T any](v T) *T { return &v }

// awaitSuspended waits until a resource is left alone, and Ready is as it was.
func awaitSuspended(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		observed, conditions := state(o)
		g.Expect(observed).To(Equal(o.GetGeneration()), func() string { return describe(o) })
		for _, kind := range []string{v1alpha1.ConditionSuspended, v1alpha1.ConditionReady} {
			g.Expect(meta.IsStatusConditionTrue(conditions, kind)).To(BeTrue(), func() string { return describe(o) })
		}
	}).WithContext(ctx).Should(Succeed(), "%s %s is suspended", kindOf(o), o.GetName())
}
