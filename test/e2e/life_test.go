package e2e

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// team is a namespace with one of everything, on a gateway of its own.
type team struct {
	front     *front
	gateway   *v1alpha1.KongGateway
	namespace *corev1.Namespace
	secret    *corev1.Secret
	consumer  *v1alpha1.JwtConsumer
	service   *v1alpha1.JwtProtectedService
	token     *v1alpha1.JwtToken
}

// newTeam makes it, and waits until all of it is Ready.
func newTeam(ctx SpecContext, name string) *team {
	GinkgoHelper()
	t := &team{front: newFront(), gateway: newGateway(named(name))}
	t.gateway.Spec.AdminAPI.URL = t.front.url
	create(ctx, t.gateway)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		remove(ctx, t.gateway)
	})
	t.namespace = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: newNamespace(ctx, name)}}
	namespace := t.namespace.Name
	t.secret = newSecret(namespace, "material", map[string]string{"secret": string(newSigningKey("HS256").([]byte))}) //nolint:forcetypeassert // HS256 is bytes.
	t.consumer = newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
		s.GatewayRef.Name = t.gateway.Name
		s.Groups = []string{named(name + "-callers")}
		s.Credentials = []v1alpha1.Credential{referenced("given", "HS256", "", t.secret.Name), generated("made", "ES256", "caller-made")}
	})
	t.service = newService(namespace, "api", func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.GatewayRef.Name = t.gateway.Name
		s.Access = &v1alpha1.Access{Groups: []string{named(name + "-callers")}}
	})
	t.token = newToken(namespace, "caller", "made")
	create(ctx, t.secret, t.consumer, t.service, t.token)
	awaitReady(ctx, t.gateway, t.consumer, t.service, t.token)
	return t
}

func newToken(namespace, consumer, credential string) *v1alpha1.JwtToken {
	return &v1alpha1.JwtToken{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: consumer + "-" + credential},
		Spec: v1alpha1.JwtTokenSpec{
			ConsumerRef: v1alpha1.CredentialReference{Name: consumer, Credential: credential},
			SecretName:  consumer + "-" + credential + "-token",
		},
	}
}

// call is one with the team's token.
func (t *team) call(ctx SpecContext) call {
	GinkgoHelper()
	secret := readSecret(ctx, t.namespace.Name, t.token.Spec.SecretName)
	return at(pathOfService(t.namespace.Name, t.service.Name)).with(string(secret.Data["token"]))
}

// entities are what the team has in Kong.
func (t *team) entities(ctx SpecContext) map[string]entity {
	GinkgoHelper()
	found, err := tagged(ctx, gatewayTag(t.gateway.Name))
	Expect(err).NotTo(HaveOccurred())
	return found
}

// revisions are the resourceVersions of everything that the operator may write to.
func (t *team) revisions(ctx SpecContext) map[string]string {
	GinkgoHelper()
	found := map[string]string{}
	for _, o := range []client.Object{t.gateway, t.consumer, t.service, t.token} {
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		found[kindOf(o)] = o.GetResourceVersion()
	}
	var secrets corev1.SecretList
	Expect(env.Client.List(ctx, &secrets, client.InNamespace(t.namespace.Name))).To(Succeed())
	for i := range secrets.Items {
		found["Secret "+secrets.Items[i].Name] = secrets.Items[i].ResourceVersion
	}
	return found
}

var _ = Describe("The operator's own life", Serial, func() {
	It("starts again without a write, to Kong or to Kubernetes", func(ctx SpecContext) {
		t := newTeam(ctx, "restart")
		expectPassed(ctx, t.call(ctx))
		before := t.revisions(ctx)
		Expect(before).To(HaveLen(4+4), "the team's Secret, the state, the client's and the token's")

		Expect(operator.Stop()).To(Succeed())
		t.front.forget()
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		// A newcomer shows that it is at work: what it had to say of the others, it has said.
		newcomer := newConsumer(t.namespace.Name, "newcomer", func(s *v1alpha1.JwtConsumerSpec) { s.GatewayRef.Name = t.gateway.Name })
		create(ctx, newcomer)
		awaitReady(ctx, newcomer)
		id := newcomer.Status.ConsumerID
		only := ConsistOf("PUT /consumers/"+id, reservedRow(id), reservedRow(id))
		Expect(t.front.written()).To(only)
		Consistently(t.front.written).WithContext(ctx).Should(only, "the consumer that is missing, and nothing else")
		after := t.revisions(ctx)
		// The gateway counts one consumer more.
		delete(before, v1alpha1.KindKongGateway)
		delete(after, v1alpha1.KindKongGateway)
		Expect(after).To(Equal(before), func() string { return "everything is as it was:\n" + describe(t.consumer) + "\n" + describe(t.token) })
	})

	It("goes on where it was killed", func(ctx SpecContext) {
		t := newTeam(ctx, "killed")
		Expect(operator.Kill()).To(Succeed())
		Expect(env.Client.Delete(ctx, t.consumer)).To(Succeed())
		update(ctx, t.service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Access = nil })
		expectPassed(ctx, t.call(ctx)) // Kong needs no operator
		var err error
		operator, err = env.StartOperator(ctx)
		Expect(err).NotTo(HaveOccurred())
		awaitGone(ctx, t.consumer)
		awaitReady(ctx, t.service)
		Expect(tagged(ctx, ownerTag(t.consumer))).To(BeEmpty())
		Expect(pluginOf(ctx, t.service, "acl")).To(BeNil())
	})
})

var _ = Describe("While the Admin API is away", func() {
	It("the gateway and what waits for it say so; Kong serves on, and all goes on when it is back", func(ctx SpecContext) {
		t := newTeam(ctx, "away")
		call := t.call(ctx)
		expectPassed(ctx, call)
		Expect(t.front.leave()).To(Succeed())
		awaitReason(ctx, t.gateway, v1alpha1.ReasonKongUnreachable, t.front.url)
		Expect(env.Client.Delete(ctx, t.consumer)).To(Succeed())
		update(ctx, t.service, func(s *v1alpha1.JwtProtectedService) { s.Spec.Routes[0].Paths[0] += "-moved" })
		awaitReason(ctx, t.consumer, v1alpha1.ReasonKongUnreachable)
		awaitReason(ctx, t.service, v1alpha1.ReasonKongUnreachable)
		expectPassed(ctx, call)

		t.front.comeBack(ctx)
		awaitGone(ctx, t.consumer)
		awaitReady(ctx, t.gateway, t.service)
		expectRefused(ctx, call, http.StatusNotFound, "no Route matched")
		call.path += "-moved"
		expectRefused(ctx, call, http.StatusUnauthorized, "No credentials found")
	})
})

var _ = Describe("Deletion", func() {
	It("of the namespace, the gateway and everything in them at once ends, and leaves nothing in Kong", func(ctx SpecContext) {
		t := newTeam(ctx, "all-at-once")
		Expect(len(t.entities(ctx))).To(BeNumerically(">=", 1+2+1+1+2+1), "consumer, credentials, group, service, plugins, route")
		// What kubectl delete --all would do, in the worst order.
		for _, o := range []client.Object{t.gateway, t.secret, t.token, t.consumer, t.service, t.namespace} {
			Expect(client.IgnoreNotFound(env.Client.Delete(ctx, o))).To(Succeed())
		}
		for _, o := range []client.Object{t.consumer, t.service, t.token, t.gateway, t.namespace} {
			awaitGone(ctx, o)
		}
		Expect(t.entities(ctx)).To(BeEmpty())
	})

	It("of a namespace with hundreds of resources ends, and leaves nothing in Kong", Label("full"), func(ctx SpecContext) {
		const consumers, services = 300, 20
		namespace := newNamespace(ctx, "crowded")
		own := newGateway(named("crowded"))
		create(ctx, own)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, own)
		})
		for i := range consumers {
			create(ctx, newConsumer(namespace, fmt.Sprintf("caller-%d", i), func(s *v1alpha1.JwtConsumerSpec) {
				s.GatewayRef.Name = own.Name
				s.Credentials = []v1alpha1.Credential{generated("made", "HS256", fmt.Sprintf("caller-%d-made", i))}
			}))
		}
		for i := range services {
			create(ctx, newService(namespace, fmt.Sprintf("api-%d", i), func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = own.Name }))
		}
		held := func(ctx context.Context) (int, error) {
			found, err := tagged(ctx, gatewayTag(own.Name))
			return len(found), err
		}
		Eventually(held).WithContext(ctx).Should(BeNumerically(">", consumers), "while some are still on their way")
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		Expect(env.Client.Delete(ctx, object)).To(Succeed())
		Eventually(func() error { return env.Client.Get(ctx, client.ObjectKeyFromObject(object), object) }).
			WithContext(ctx).WithTimeout(5 * time.Minute).Should(MatchError(apierrors.IsNotFound, "the namespace is gone"))
		Expect(held(ctx)).To(BeZero())
	}, SpecTimeout(15*time.Minute))

	It("is blocked by what others hung on it in Kong, which it names, and goes on when that is gone", func(ctx SpecContext) {
		t := newTeam(ctx, "hung-on")
		update(ctx, t.gateway, func(g *v1alpha1.KongGateway) { g.Spec.Drift.Interval = "5s" })
		key := foreign(ctx, "consumers/"+t.consumer.Status.ConsumerID+"/key-auth", entity{"key": named("theirs")})
		route := foreign(ctx, "services/"+t.service.Status.ServiceID+"/routes", entity{"name": named("theirs"), "paths": []string{pathOf("theirs")}})
		for _, o := range []client.Object{t.consumer, t.service} {
			Expect(env.Client.Delete(ctx, o)).To(Succeed())
		}
		awaitReason(ctx, t.consumer, v1alpha1.ReasonConflict, "key-auth credential "+fmt.Sprint(key["id"]))
		Expect(describe(t.consumer)).NotTo(ContainSubstring(named("theirs")), "the key is a secret")
		awaitReason(ctx, t.service, v1alpha1.ReasonConflict, named("theirs"), fmt.Sprint(route["id"]))
		Expect(get(ctx, "/consumers/"+t.consumer.Status.ConsumerID)).NotTo(BeNil())
		Expect(get(ctx, "/services/"+t.service.Status.ServiceID)).NotTo(BeNil())

		erase(ctx, fmt.Sprintf("/consumers/%s/key-auth/%v", t.consumer.Status.ConsumerID, key["id"]))
		erase(ctx, fmt.Sprintf("/routes/%v", route["id"]))
		awaitGone(ctx, t.consumer)
		awaitGone(ctx, t.service)
	})

	It("of a gateway waits for those that use it", func(ctx SpecContext) {
		t := newTeam(ctx, "in-use")
		Expect(env.Client.Delete(ctx, t.gateway)).To(Succeed())
		Consistently(func() error {
			return env.Client.Get(ctx, client.ObjectKeyFromObject(t.gateway), t.gateway)
		}).WithContext(ctx).Should(Succeed(), "two resources are still on it")
		expectPassed(ctx, t.call(ctx))
		remove(ctx, t.consumer)
		remove(ctx, t.service)
		awaitGone(ctx, t.gateway)
		Expect(t.entities(ctx)).To(BeEmpty())
	})
})

var _ = Describe("A gateway's policy", func() {
	It("admits the namespaces that it names, and says so to the others", func(ctx SpecContext) {
		t := newTeam(ctx, "admits")
		update(ctx, t.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesNone}
		})
		awaitReason(ctx, t.consumer, v1alpha1.ReasonNamespaceNotAllowed, t.gateway.Name, t.namespace.Name)
		awaitReason(ctx, t.service, v1alpha1.ReasonNamespaceNotAllowed, t.gateway.Name, t.namespace.Name)
		update(ctx, t.gateway, func(g *v1alpha1.KongGateway) {
			g.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}
		})
		awaitReady(ctx, t.consumer, t.service)
		Expect(meta.IsStatusConditionTrue(t.consumer.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
	})

	It("refuses a username, a plugin, an upstream and a vault reference that it forbids, and names the field", func(ctx SpecContext) {
		strict := newGateway(named("strict"))
		strict.Spec.Policy = v1alpha1.GatewayPolicy{}
		create(ctx, strict)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, strict)
		})
		namespace := newNamespace(ctx, "strict")
		on := func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.GatewayRef.Name = strict.Name
			s.Upstream.URL = "http://upstream.example.com"
		}
		anybody := newConsumer(namespace, "anybody", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name, s.Username = strict.Name, named("anybody")
		})
		loopback := newService(namespace, "loopback", func(s *v1alpha1.JwtProtectedServiceSpec) { on(s); s.Upstream.URL = "http://127.0.0.1:9" })
		lua := newService(namespace, "lua", func(s *v1alpha1.JwtProtectedServiceSpec) {
			on(s)
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "lua", Plugin: "pre-function"}}}
		})
		vault := newService(namespace, "vault", func(s *v1alpha1.JwtProtectedServiceSpec) {
			on(s)
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", Config: raw(map[string]any{"http_endpoint": "{vault://env/kong-pg-password}"}),
			}}}
		})
		create(ctx, anybody, loopback, lua, vault)
		awaitReason(ctx, anybody, v1alpha1.ReasonPolicyViolation, "spec.username", namespace+".")
		awaitReason(ctx, loopback, v1alpha1.ReasonPolicyViolation, "spec.upstream.url", "127.0.0.1")
		awaitReason(ctx, lua, v1alpha1.ReasonPolicyViolation, "pre-function")
		awaitReason(ctx, vault, v1alpha1.ReasonPolicyViolation, "vault")
		Expect(tagged(ctx, gatewayTag(strict.Name))).To(BeEmpty(), "nothing of them is in Kong")
	})
})
