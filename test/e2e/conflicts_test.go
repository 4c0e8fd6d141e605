package e2e

import (
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("What somebody else holds", Ordered, func() {
	var namespace string
	secret := []byte("a secret of more than thirty-two bytes")

	BeforeAll(func(ctx SpecContext) {
		namespace = newNamespace(ctx, "conflicts")
		create(ctx, newSecret(namespace, "material", map[string]string{"secret": string(secret)}))
	})

	keyed := func(name, key string) *v1alpha1.JwtConsumer {
		return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", key, "material")}
		})
	}
	username := func(name, username string) client.Object {
		return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) { s.Username = username })
	}
	customID := func(name, id string) client.Object {
		return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) { s.CustomID = id })
	}
	serviceName := func(name, claimed string) client.Object {
		return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.ServiceName, s.Routes = claimed, nil })
	}
	match := func(name, path string) client.Object {
		return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Routes = []v1alpha1.Route{{Name: "api", Paths: []string{path}, Methods: []string{"GET"}}}
		})
	}

	DescribeTable("another resource keeps it, and the next takes over when it is free",
		func(ctx SpecContext, claim func(name, value string) client.Object, value string) {
			if value[0] != '/' {
				value = named(value)
			} else {
				value = pathOf(value[1:])
			}
			holder, waiting := claim("holder", value), claim("waiting", value)
			create(ctx, holder)
			awaitReady(ctx, holder)
			before, err := tagged(ctx, ownerTag(holder))
			Expect(err).NotTo(HaveOccurred())

			create(ctx, waiting)
			awaitReason(ctx, waiting, v1alpha1.ReasonConflict, value, kindOf(holder)+" "+namespace+"/holder")
			Expect(tagged(ctx, ownerTag(holder))).To(Equal(before), "the holder is not touched")

			remove(ctx, holder)
			awaitReady(ctx, waiting)
			remove(ctx, waiting)
		},
		Entry("a username", username, "held-username"),
		Entry("a custom id", customID, "held-custom-id"),
		Entry("a key", func(name, value string) client.Object { return keyed(name, value) }, "held-key"),
		Entry("a service name", serviceName, "held-service"),
		Entry("a route's match", match, "/held-path"),
	)

	DescribeTable("what is in Kong without the operator's tag keeps it, untouched, and the resource takes over when it is free",
		func(ctx SpecContext, claim func(name, value string) client.Object, collection, field, value string) {
			value = named(value)
			theirs := foreign(ctx, collection, entity{field: value}.with(collection))
			waiting := claim("waiting-for-foreign", value)
			create(ctx, waiting)
			awaitReason(ctx, waiting, v1alpha1.ReasonConflict, value, fmt.Sprint(theirs["id"]))
			Consistently(get).WithContext(ctx).WithArguments(fmt.Sprintf("/%s/%v", collection, theirs["id"])).Should(Equal(theirs))

			erase(ctx, fmt.Sprintf("/%s/%v", collection, theirs["id"]))
			awaitReady(ctx, waiting)
			remove(ctx, waiting)
		},
		Entry("a username", username, "consumers", "username", "foreign-username"),
		Entry("a custom id", customID, "consumers", "custom_id", "foreign-custom-id"),
		Entry("a service name", serviceName, "services", "name", "foreign-service"),
	)

	It("is kept also where it is a key", func(ctx SpecContext) {
		consumer := foreign(ctx, "consumers", entity{"username": named("foreign-holder")})
		key := named("foreign-key")
		path := fmt.Sprintf("consumers/%v/jwt", consumer["id"])
		theirs := foreign(ctx, path, entity{"key": key, "algorithm": "HS256", "secret": "theirs"})
		waiting := keyed("waiting-for-foreign-key", key)
		create(ctx, waiting)
		awaitReason(ctx, waiting, v1alpha1.ReasonConflict, key)
		credential := fmt.Sprintf("/%s/%v", path, theirs["id"])
		Consistently(get).WithContext(ctx).WithArguments(credential).Should(Equal(theirs))
		erase(ctx, credential)
		awaitReady(ctx, waiting)
		remove(ctx, waiting)
	})

	It("is kept also where it is a route's match", func(ctx SpecContext) {
		service := foreign(ctx, "services", entity{"name": named("foreign-router"), "url": "http://foreign.e2e.example.com"})
		path := pathOf("foreign-path")
		theirs := foreign(ctx, "routes", entity{"name": named("foreign-route"), "paths": []string{path}, "service": entity{"id": service["id"]}})
		waiting := match("waiting-for-foreign-match", path)
		create(ctx, waiting)
		awaitReason(ctx, waiting, v1alpha1.ReasonConflict, path, named("foreign-route"))
		Expect(get(ctx, fmt.Sprintf("/routes/%v", theirs["id"]))).To(Equal(theirs))
		erase(ctx, fmt.Sprintf("/routes/%v", theirs["id"]))
		awaitReady(ctx, waiting)
		expectRefused(ctx, at(path), http.StatusUnauthorized, "Unauthorized")
		remove(ctx, waiting)
	})

	It("is left alone when a resource's own name is changed to it and back", func(ctx SpecContext) {
		first, second := keyed("first", named("first-key")), keyed("second", named("second-key"))
		create(ctx, first, second)
		awaitReady(ctx, first, second)
		update(ctx, second, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = named("first-key") })
		awaitReason(ctx, second, v1alpha1.ReasonConflict, named("first-key"), "JwtConsumer "+namespace+"/first")
		credential, err := part(ctx, "jwts", first, "credential:primary")
		Expect(err).NotTo(HaveOccurred())
		Expect(credential["key"]).To(Equal(named("first-key")))
		Expect(credential.at("consumer.id")).To(Equal(first.Status.ConsumerID), "a credential never moves to another consumer")
		update(ctx, second, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = named("second-key") })
		awaitReady(ctx, first, second)
	})

	It("can be swapped between two resources", func(ctx SpecContext) {
		left, right := keyed("left", named("left-key")), keyed("right", named("right-key"))
		create(ctx, left, right)
		awaitReady(ctx, left, right)
		update(ctx, left, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = named("spare-key") })
		update(ctx, right, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = named("left-key") })
		update(ctx, left, func(c *v1alpha1.JwtConsumer) { c.Spec.Credentials[0].Key = named("right-key") })
		awaitReady(ctx, left, right)
		for consumer, key := range map[*v1alpha1.JwtConsumer]string{left: named("right-key"), right: named("left-key")} {
			credential, err := part(ctx, "jwts", consumer, "credential:primary")
			Expect(err).NotTo(HaveOccurred())
			Expect(credential["key"]).To(Equal(key))
		}
	})

	It("is let go by two that ask for each other's", func(ctx SpecContext) {
		consumer := func(name string) *v1alpha1.JwtConsumer {
			return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
				s.Username, s.CustomID = named("place-"+name), named("id-"+name)
				s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", named("place-key-"+name), "material")}
			})
		}
		service := func(name string) *v1alpha1.JwtProtectedService {
			return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) { s.ServiceName = named("place-" + name) })
		}
		a, b, x, y := consumer("a"), consumer("b"), service("x"), service("y")
		create(ctx, a, b, x, y)
		awaitReady(ctx, a, b, x, y)
		update(ctx, a, func(c *v1alpha1.JwtConsumer) { c.Spec = consumer("b").Spec })
		update(ctx, x, func(s *v1alpha1.JwtProtectedService) { s.Spec = service("y").Spec })
		awaitReason(ctx, a, v1alpha1.ReasonConflict, namespace+"/b")
		awaitReason(ctx, x, v1alpha1.ReasonConflict, namespace+"/y")
		update(ctx, b, func(c *v1alpha1.JwtConsumer) { c.Spec = consumer("a").Spec })
		update(ctx, y, func(s *v1alpha1.JwtProtectedService) { s.Spec = service("x").Spec })
		awaitReady(ctx, a, b, x, y)
		for _, c := range []*v1alpha1.JwtConsumer{a, b} {
			shown, err := get(ctx, "/consumers/"+c.Status.ConsumerID)
			Expect(err).NotTo(HaveOccurred())
			Expect(shown).To(And(HaveKeyWithValue("username", c.Spec.Username), HaveKeyWithValue("custom_id", c.Spec.CustomID)))
			credential, err := part(ctx, "jwts", c, "credential:primary")
			Expect(err).NotTo(HaveOccurred())
			Expect(credential["key"]).To(Equal(c.Spec.Credentials[0].Key))
		}
		for _, s := range []*v1alpha1.JwtProtectedService{x, y} {
			shown, err := part(ctx, "routes", s, "route:api")
			Expect(err).NotTo(HaveOccurred())
			Expect(shown).To(And(HaveKeyWithValue("name", s.Spec.ServiceName+".api"), HaveKeyWithValue("paths", ConsistOf(s.Spec.Routes[0].Paths[0]))))
			expectRefused(ctx, at(s.Spec.Routes[0].Paths[0]), http.StatusUnauthorized, "Unauthorized")
		}
	})
})

// with adds what Kong asks for beside the field that a spec is about.
func (e entity) with(collection string) entity {
	if collection == "services" {
		e["url"] = "http://foreign.e2e.example.com"
	}
	return e
}
