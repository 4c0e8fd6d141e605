package controllers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

func (w *world) ref() v1alpha1.GatewayReference { return v1alpha1.GatewayReference{Name: w.name} }

// consumer makes a consumer with one HMAC credential out of the Secret <name>-jwt.
func (w *world) consumer(name string, change ...func(*v1alpha1.JwtConsumer)) *v1alpha1.JwtConsumer {
	c := &v1alpha1.JwtConsumer{
		ObjectMeta: w.meta(name),
		Spec: v1alpha1.JwtConsumerSpec{
			GatewayRef: w.ref(),
			Credentials: []v1alpha1.Credential{{
				Name: "primary", Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{Name: name + "-jwt"},
			}},
		},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func (w *world) service(name string, change ...func(*v1alpha1.JwtProtectedService)) *v1alpha1.JwtProtectedService {
	s := &v1alpha1.JwtProtectedService{
		ObjectMeta: w.meta(name),
		Spec: v1alpha1.JwtProtectedServiceSpec{
			GatewayRef: w.ref(),
			Upstream:   &v1alpha1.Upstream{URL: "http://127.0.0.1:9"},
			Routes:     []v1alpha1.Route{{Name: "api", Paths: []string{"/" + name}}},
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func (w *world) secret(name string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: w.meta(name), StringData: data}
}

const longSecret = "an-hmac-secret-of-32-bytes-or-so"

func create(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Expect(kube.Create(ctx, object)).To(Succeed(), "create %T %s", object, object.GetName())
	}
}

// change alters an object, also where the operator writes its status meanwhile.
func change[T client.Object](ctx context.Context, object T, alter func(T)) {
	GinkgoHelper()
	Eventually(func() error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		alter(object)
		return kube.Update(ctx, object)
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed())
}

// conditionsOf reads an object anew and gives its conditions and how far they speak of it.
func conditionsOf(ctx context.Context, g Gomega, object client.Object) []metav1.Condition {
	g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
	switch typed := object.(type) {
	case *v1alpha1.KongGateway:
		g.Expect(typed.Status.ObservedGeneration).To(Equal(typed.Generation))
		return typed.Status.Conditions
	case *v1alpha1.JwtConsumer:
		g.Expect(typed.Status.ObservedGeneration).To(Equal(typed.Generation))
		return typed.Status.Conditions
	case *v1alpha1.JwtProtectedService:
		g.Expect(typed.Status.ObservedGeneration).To(Equal(typed.Generation))
		return typed.Status.Conditions
	case *v1alpha1.JwtToken:
		g.Expect(typed.Status.ObservedGeneration).To(Equal(typed.Generation))
		return typed.Status.Conditions
	}
	g.Expect(object).To(BeNil(), "a kind without conditions")
	return nil
}

// ready waits until an object is Ready, and holds it to kstatus: neither Reconciling nor Stalled.
func ready(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Eventually(func(g Gomega) {
			conditions := conditionsOf(ctx, g, object)
			condition := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
			g.Expect(condition).NotTo(BeNil())
			g.Expect(condition.Status).To(Equal(metav1.ConditionTrue), "%s: %s", condition.Reason, condition.Message)
			g.Expect(apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)).To(BeNil())
			g.Expect(apimeta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)).To(BeNil())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed(), "%T %s becomes Ready", object, object.GetName())
	}
}

// stalled waits until an object is stalled for a reason, with a message that matches.
func stalled(ctx context.Context, object client.Object, reason string, message gomegatypes.GomegaMatcher) {
	GinkgoHelper()
	blocked(ctx, object, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling, reason, message)
}

// reconciling waits until an object says that it waits for something.
func reconciling(ctx context.Context, object client.Object, reason string, message gomegatypes.GomegaMatcher) {
	GinkgoHelper()
	blocked(ctx, object, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, reason, message)
}

func blocked(ctx context.Context, object client.Object, present, absent, reason string, message gomegatypes.GomegaMatcher) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		conditions := conditionsOf(ctx, g, object)
		for _, kind := range []string{v1alpha1.ConditionReady, present} {
			condition := apimeta.FindStatusCondition(conditions, kind)
			g.Expect(condition).NotTo(BeNil(), kind)
			g.Expect(condition.Reason).To(Equal(reason), condition.Message)
			g.Expect(condition.Message).To(message)
		}
		g.Expect(apimeta.IsStatusConditionFalse(conditions, v1alpha1.ConditionReady)).To(BeTrue())
		g.Expect(apimeta.FindStatusCondition(conditions, absent)).To(BeNil())
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed(), "%T %s is %s for %s", object, object.GetName(), present, reason)
}

// list reads a collection of the Admin API, but for the consumer that holds the revision of a configuration without a
// database.
func (w *world) list(ctx context.Context, collection string) []map[string]any {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.kong.AdminURL()+"/"+collection+"?size=1000", nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(response.Body.Close()).To(Succeed()) }()
	var body struct {
		Data []map[string]any `json:"data"`
	}
	Expect(json.NewDecoder(response.Body).Decode(&body)).To(Succeed())
	return slices.DeleteFunc(body.Data, func(entity map[string]any) bool {
		username, _ := entity["username"].(string)
		return strings.HasPrefix(username, "kongjwt-revision:")
	})
}

// values collects one field of all entities of a collection.
func (w *world) values(ctx context.Context, collection, field string) []any {
	GinkgoHelper()
	found := []any{}
	for _, entity := range w.list(ctx, collection) {
		found = append(found, entity[field])
	}
	return found
}

// groups lists the groups that specs name, one for each consumer and group: each consumer is in two of the operator's
// too.
func (w *world) groups(ctx context.Context) []any {
	GinkgoHelper()
	return slices.DeleteFunc(w.values(ctx, "acls", "group"), func(group any) bool {
		return strings.HasPrefix(group.(string), desired.ReservedGroupPrefix)
	})
}

// admitted lists the groups that the one acl plugin in Kong lets in.
func (w *world) admitted(ctx context.Context) []any {
	GinkgoHelper()
	for _, plugin := range w.list(ctx, "plugins") {
		if plugin["name"] == "acl" {
			return plugin["config"].(map[string]any)["allow"].([]any)
		}
	}
	return nil
}

// send writes to the Admin API as somebody else.
func (w *world) send(ctx context.Context, method, path string, body any) int {
	GinkgoHelper()
	content, err := json.Marshal(body)
	Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(ctx, method, w.kong.AdminURL()+path, bytes.NewReader(content))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.Body.Close()).To(Succeed())
	return response.StatusCode
}

// writes counts the operator's requests to Kong that were to change something.
func (w *world) writes() int {
	count := 0
	for _, request := range w.kong.Requests() {
		if request.Write() {
			count++
		}
	}
	return count
}

func rawJSON(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

// generating gives a consumer credentials whose secrets are generated, each into the Secret r-NAME.
func generating(names ...string) func(*v1alpha1.JwtConsumer) {
	return func(c *v1alpha1.JwtConsumer) {
		c.Spec.Credentials = nil
		for _, name := range names {
			c.Spec.Credentials = append(c.Spec.Credentials, v1alpha1.Credential{
				Name: name, Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "r-" + name},
			})
		}
	}
}
