package e2e

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// groupsOf gives the groups that a consumer's resource gave it in Kong.
func groupsOf(ctx context.Context, consumer *v1alpha1.JwtConsumer) ([]string, error) {
	rows, err := list(ctx, "acls", ownerTag(consumer))
	if err != nil {
		return nil, err
	}
	groups := make([]string, 0, len(rows))
	for _, row := range rows {
		group, _ := row["group"].(string)
		groups = append(groups, group)
	}
	return groups, nil
}

var _ = Describe("Every field of a JwtConsumer", Ordered, func() {
	var (
		namespace, path, key string
		consumer             *v1alpha1.JwtConsumer
	)
	secret := []byte("a secret of more than thirty-two bytes")
	token := func() string { return sign("HS256", secret, key) }
	shown := func(ctx context.Context) entity {
		GinkgoHelper()
		e, err := get(ctx, "/consumers/"+consumer.Status.ConsumerID)
		Expect(err).NotTo(HaveOccurred())
		Expect(e).NotTo(BeNil())
		return e
	}

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "consumer-fields")
		path, key = pathOfService(namespace, "api"), named("fields-key")
		service := newService(namespace, "api")
		consumer = newConsumer(namespace, "full", func(s *v1alpha1.JwtConsumerSpec) {
			s.Username, s.CustomID = named("full user/1"), named("custom")
			s.Tags = []v1alpha1.Tag{"team-a", "tier-1"}
			s.Groups = []string{named("one"), named("two")}
			s.Credentials = []v1alpha1.Credential{
				referenced("primary", "HS256", key, "material"),
				{Name: "named", Algorithm: "HS256", SecretRef: &v1alpha1.CredentialSecretReference{
					Name: "elsewhere", DataKeys: &v1alpha1.CredentialDataKeys{Secret: "password", Key: "id"},
				}},
			}
			s.Plugins = []v1alpha1.PluginSpec{{
				Name: "size", Plugin: "request-size-limiting", Config: raw(map[string]any{"allowed_payload_size": 1}),
				ConfigFrom: []v1alpha1.ConfigSource{{SecretRef: v1alpha1.LocalSecretKeyReference{Name: "elsewhere", Key: "config"}}},
			}}
		})
		create(ctx,
			newSecret(namespace, "material", map[string]string{"secret": string(secret)}),
			newSecret(namespace, "elsewhere", map[string]string{
				"password": string(secret), "id": named("elsewhere-key"), "config": "size_unit: kilobytes\nallowed_payload_size: 8\n",
			}),
			service, consumer)
		awaitReady(ctx, service, consumer)
		expectPassed(ctx, at(path).with(token()))
	})

	It("is in Kong", func(ctx SpecContext) {
		e := shown(ctx)
		Expect(e["username"]).To(Equal(consumer.Spec.Username))
		Expect(e["custom_id"]).To(Equal(consumer.Spec.CustomID))
		Expect(groupsOf(ctx, consumer)).To(ConsistOf(named("one"), named("two"),
			"kongjwt:"+consumer.Namespace, "kongjwt:"+consumer.Namespace+"."+consumer.Name))

		plugin, err := pluginOf(ctx, consumer, "request-size-limiting")
		Expect(err).NotTo(HaveOccurred())
		Expect(plugin.at("consumer.id")).To(Equal(consumer.Status.ConsumerID))
		Expect(plugin.at("config.allowed_payload_size")).To(holds(8))
		Expect(plugin.at("config.size_unit")).To(Equal("kilobytes"))

		credential, err := part(ctx, "jwts", consumer, "credential:primary")
		Expect(err).NotTo(HaveOccurred())
		Expect(credential["key"]).To(Equal(key))
		Expect(credential["algorithm"]).To(Equal("HS256"))
		Expect(credential.at("consumer.id")).To(Equal(consumer.Status.ConsumerID))
	})

	It("tags everything with its owner and with the user's tags", func(ctx SpecContext) {
		found, err := tagged(ctx, ownerTag(consumer))
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(1+2+4+1), "a consumer, two credentials, two groups and two reserved ones, a plugin")
		for id, e := range found {
			for _, tag := range []string{"kongjwt", gatewayTag(gateway.Name), "team-a", "tier-1"} {
				Expect(e.hasTag(tag)).To(BeTrue(), "%s carries %s", id, tag)
			}
		}
	})

	It("tells the upstream the username and the custom id", func(ctx SpecContext) {
		seen := expectPassed(ctx, at(path).with(token()))
		Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Username", consumer.Spec.Username))
		Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Custom-Id", consumer.Spec.CustomID))
	})

	It("reads key and secret where dataKeys says", func(ctx SpecContext) {
		seen := expectPassed(ctx, at(path).with(sign("HS256", secret, named("elsewhere-key"))))
		Expect(seen.Headers).To(HaveKeyWithValue("X-Credential-Identifier", named("elsewhere-key")))
	})

	It("has a default username and default keys", func(ctx SpecContext) {
		plain := newConsumer(namespace, "plain", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "material")}
		})
		create(ctx, plain)
		awaitReady(ctx, plain)
		Expect(plain.Status.Username).To(Equal(namespace + ".plain"))
		Expect(plain.Status.Credentials).To(ConsistOf(HaveField("Key", namespace+".plain.primary")))
		seen := expectPassed(ctx, at(path).with(sign("HS256", secret, namespace+".plain.primary")))
		Expect(seen.Headers).To(HaveKeyWithValue("X-Consumer-Username", namespace+".plain"))
	})

	It("changes in Kong when it changes", func(ctx SpecContext) {
		id := consumer.Status.ConsumerID
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) {
			c.Spec.Username, c.Spec.CustomID = named("changed user"), ""
			c.Spec.Tags, c.Spec.Groups = []v1alpha1.Tag{"team-b"}, []string{named("two"), named("three")}
			c.Spec.Credentials, c.Spec.Plugins = c.Spec.Credentials[:1], nil
		})
		awaitReady(ctx, consumer)
		e := shown(ctx)
		Expect(consumer.Status.ConsumerID).To(Equal(id), "it is still the same consumer")
		Expect(e["username"]).To(Equal(named("changed user")))
		Expect(e["custom_id"]).To(BeNil())
		Expect(e.hasTag("team-b")).To(BeTrue())
		Expect(e.hasTag("team-a")).To(BeFalse())
		Expect(groupsOf(ctx, consumer)).To(ConsistOf(named("two"), named("three"),
			"kongjwt:"+consumer.Namespace, "kongjwt:"+consumer.Namespace+"."+consumer.Name))
		found, err := tagged(ctx, ownerTag(consumer))
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(1+1+4), "what is not in the spec any more is gone")
		expectRefused(ctx, at(path).with(sign("HS256", secret, named("elsewhere-key"))), http.StatusUnauthorized, "No credentials found")
		expectPassed(ctx, at(path).with(token()),
			HaveKeyWithValue("X-Consumer-Username", named("changed user")), Not(HaveKey("X-Consumer-Custom-Id")))
	})

	It("has its tokens refused while it is revoked, and accepted again after", func(ctx SpecContext) {
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true })
		expectRefused(ctx, at(path).with(token()), http.StatusUnauthorized, "No credentials found")
		Expect(list(ctx, "jwts", ownerTag(consumer))).To(BeEmpty())
		Expect(shown(ctx)["username"]).To(Equal(consumer.Spec.Username), "the consumer stays")
		Expect(groupsOf(ctx, consumer)).To(HaveLen(4), "its groups stay, the two reserved ones too")
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = false })
		awaitReady(ctx, consumer)
		expectPassed(ctx, at(path).with(token()))
	})

	It("stays as it is in Kong while suspended, and follows when it goes on", func(ctx SpecContext) {
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend, c.Spec.Groups = true, nil })
		awaitSuspended(ctx, consumer)
		Consistently(groupsOf).WithContext(ctx).WithArguments(consumer).Should(HaveLen(4))
		expectPassed(ctx, at(path).with(token()))
		update(ctx, consumer, func(c *v1alpha1.JwtConsumer) { c.Spec.Suspend = false })
		awaitReady(ctx, consumer)
		Expect(groupsOf(ctx, consumer)).To(HaveLen(2), "the reserved ones")
	})

	It("says so when its Secret is missing, and goes on by itself when it is there", func(ctx SpecContext) {
		waiting := newConsumer(namespace, "waiting", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", "", "later")}
		})
		create(ctx, waiting)
		awaitReason(ctx, waiting, v1alpha1.ReasonSecretNotFound, namespace+"/later")
		create(ctx, newSecret(namespace, "later", map[string]string{"secret": string(secret)}))
		awaitReady(ctx, waiting)
		Expect(meta.FindStatusCondition(waiting.Status.Conditions, v1alpha1.ConditionWeakSecret)).To(BeNil())
	})

	It("is gone from Kong with the resource, and its tokens are refused", func(ctx SpecContext) {
		remove(ctx, consumer)
		Expect(tagged(ctx, ownerTag(consumer))).To(BeEmpty())
		expectRefused(ctx, at(path).with(token()), http.StatusUnauthorized, "No credentials found")
	})

	It("is left in Kong, working and without the operator's tags, where it is retained", func(ctx SpecContext) {
		retained := newConsumer(namespace, "retained", func(s *v1alpha1.JwtConsumerSpec) {
			s.DeletionPolicy = v1alpha1.DeletionPolicyRetain
			s.Groups = []string{named("kept")}
			s.Credentials = []v1alpha1.Credential{generated("primary", "HS256", "retained")}
		})
		create(ctx, retained)
		awaitReady(ctx, retained)
		made := readSecret(ctx, namespace, "retained")
		kept := sign("HS256", signingKeyOf(made), string(made.Data["key"]))
		expectPassed(ctx, at(path).with(kept))
		left, err := tagged(ctx, ownerTag(retained))
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(HaveLen(5), "a consumer, a credential, a group and two reserved ones")
		DeferCleanup(erase, "/consumers/"+retained.Status.ConsumerID)
		remove(ctx, retained)
		Expect(tagged(ctx, ownerTag(retained))).To(BeEmpty())
		for id := range left {
			e, err := get(ctx, "/"+id)
			Expect(err).NotTo(HaveOccurred())
			Expect(e).NotTo(BeNil(), "%s is still there", id)
			Expect(e["tags"]).To(Or(BeNil(), BeEmpty()), "%s has no tag of the operator's", id)
		}
		expectPassed(ctx, at(path).with(kept))
	})
})
