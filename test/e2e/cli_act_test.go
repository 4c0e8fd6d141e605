package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("kubectl kongjwt rotate", func() {
	It("follows a rotation through its five steps, after which the former token is refused", func(ctx SpecContext) {
		asked := newGateway(named("rotated"))
		asked.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{env.ProxyURL}}
		create(ctx, asked)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, asked)
		})
		namespace := newNamespace(ctx, "rotate")
		service := newService(namespace, "orders", func(s *v1alpha1.JwtProtectedServiceSpec) { s.GatewayRef.Name = asked.Name })
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = asked.Name
			s.Credentials = []v1alpha1.Credential{{Name: "made", Generate: &v1alpha1.Generate{
				SecretName: "made", Rotation: &v1alpha1.Rotation{Interval: "1h", Overlap: v1alpha1.Duration(overlapOfRotation.String())},
			}}}
		})
		create(ctx, service, caller)
		awaitReady(ctx, asked, service, caller)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, service)
			remove(ctx, caller)
		})
		orders := at(pathOfService(namespace, "orders"))
		former, _ := kongjwt(ctx, "", "token", "create", "caller", "-n", namespace)
		former = strings.TrimSpace(former)
		expectPassed(ctx, orders.with(former))

		out, code := kongjwt(ctx, "", "rotate", "caller/made", "-n", namespace, "--wait=retired", "--timeout", patience.String())
		Expect(code).To(BeZero())
		Expect(out).To(HavePrefix("jwtconsumer.kongjwt.dev/caller rotation of made requested\n"))
		var steps []string
		for line := range strings.Lines(out) {
			if number, rest, isStep := strings.Cut(line, "/5  made: "); isStep {
				steps = append(steps, number+" "+strings.TrimSpace(rest))
			}
		}
		Expect(steps).To(HaveExactElements(
			MatchRegexp(`^1 revision \d+ is made, key `+namespace+`\.caller\.made\.`), HavePrefix("2 it is in Kong"), HavePrefix("3 every data plane knows it"),
			HavePrefix("4 it is published in Secret made"), HavePrefix("5 the former is gone from Kong"),
		))
		expectRefused(ctx, orders.with(former), http.StatusUnauthorized, "No credentials found")
		fresh, _ := kongjwt(ctx, "", "token", "create", "caller", "-n", namespace)
		expectPassed(ctx, orders.with(strings.TrimSpace(fresh)))
	})
})

var _ = Describe("kubectl kongjwt revoke", func() {
	It("has every token refused, and let in again by --undo", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "revoke")
		service := newService(namespace, "orders")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{generated("made", "HS256", "made")}
		})
		create(ctx, service, caller)
		awaitReady(ctx, service, caller)
		orders := at(pathOfService(namespace, "orders"))
		token, _ := kongjwt(ctx, "", "token", "create", "caller", "-n", namespace)
		token = strings.TrimSpace(token)
		expectPassed(ctx, orders.with(token))

		run := runPlugin(ctx, "caller\n", "revoke", "caller", "-n", namespace)
		Expect(run.code).To(Equal(2), "nobody sits at a terminal")
		Expect(run.stderr).To(ContainSubstring("--yes"))
		Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(caller), caller)).To(Succeed())
		Expect(caller.Spec.Revoked).To(BeFalse())

		out, code := kongjwt(ctx, "", "revoke", "caller", "-n", namespace, "--yes", "--wait", "--timeout", patience.String())
		Expect(code).To(BeZero())
		Expect(out).To(MatchRegexp(`(?s)^jwtconsumer\.kongjwt\.dev/caller revocation requested; .*revoked: Kong refuses its tokens`))
		expectRefused(ctx, orders.with(token), http.StatusUnauthorized, "No credentials found")
		warned := runPlugin(ctx, "", "token", "create", "caller", "-n", namespace)
		Expect(warned.stderr).To(ContainSubstring("is revoked; Kong refuses its tokens"))

		out, code = kongjwt(ctx, "", "revoke", "caller", "-n", namespace, "--undo", "--wait", "--timeout", patience.String())
		Expect(code).To(BeZero())
		Expect(out).To(HavePrefix("jwtconsumer.kongjwt.dev/caller the end of the revocation is requested"))
		expectPassed(ctx, orders.with(token))
	})
})

var _ = Describe("kubectl kongjwt reconcile", func() {
	It("has what somebody took out of Kong put back, long before it is looked for", func(ctx SpecContext) {
		seldom := newGateway(named("reconciled"))
		seldom.Spec.Drift.Interval = "1h"
		create(ctx, seldom)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, seldom)
		})
		namespace := newNamespace(ctx, "reconcile")
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = seldom.Name
			s.Groups = []string{named("reconciled")}
		})
		create(ctx, caller)
		awaitReady(ctx, seldom, caller)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, caller)
		})
		groups := func() ([]entity, error) {
			rows, err := list(ctx, "acls", ownerTag(caller))
			return slices.DeleteFunc(rows, func(row entity) bool { return row["group"] != named("reconciled") }), err
		}
		held, err := groups()
		Expect(err).NotTo(HaveOccurred())
		Expect(held).To(HaveLen(1))
		erase(ctx, fmt.Sprintf("/consumers/%v/acls/%v", held[0].at("consumer.id"), held[0]["id"]))
		Consistently(groups).WithContext(ctx).Should(BeEmpty(), "nobody looks")

		out, code := kongjwt(ctx, "", "reconcile", "jwtc/caller", "-n", namespace)
		Expect(code).To(BeZero())
		Expect(out).To(Equal("jwtconsumer.kongjwt.dev/caller a look is requested\n"))
		Eventually(groups).WithContext(ctx).Should(HaveLen(1))
	})
})
