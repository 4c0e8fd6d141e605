package chart

import (
	"context"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/lint"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/manifests"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// warned keeps the warnings that the API server sends along.
type warned struct {
	mu    sync.Mutex
	texts []string
}

func (w *warned) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warned) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// deserving deserve every warning, several, or none.
var deserving = []string{
	"{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}}}",
	"{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, jwt: {claimsToVerify: [nbf], anonymous: guest}}}",
	"{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, access: {from: AnyNamespace}, jwt: {claimsToVerify: [nbf]}}}",
	"{kind: JwtProtectedService, spec: {upstream: {url: 'http://example.com'}, routes: [{name: a, paths: [/a], protocols: [http, https]}, {name: b, paths: [/b], protocols: [https]}, {name: c, paths: [/c], protocols: [grpc]}], jwt: {claimsToVerify: [exp]}}}",
	"{kind: JwtConsumer, spec: {credentials: [{name: a, key: pinned, generate: {secretName: a, rotation: {interval: 20000h}}}, {name: b, generate: {secretName: b, rotation: {interval: 8785h}}}, {name: c, generate: {secretName: c, rotation: {interval: 8784h}}}]}}",
	"{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, claims: {issuers: [a]}}}",
	"{kind: JwtConsumer, spec: {}}",
	"{kind: JwtConsumer}",
}

var _ = Describe("Warnings", Ordered, func() {
	heard := &warned{}
	var warning client.Client

	// apply applies a manifest for trial, and gives what was warned of.
	apply := func(ctx context.Context, manifest string) []string {
		GinkgoHelper()
		object := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal([]byte(manifest), &object.Object)).To(Succeed())
		object.SetAPIVersion("kongjwt.dev/v1alpha1")
		object.SetNamespace("team-a")
		object.SetName("trial")
		heard.take()
		Expect(warning.Create(ctx, object, client.DryRunAll)).To(Succeed(), "a warning refuses nothing")
		return heard.take()
	}

	BeforeAll(func(ctx SpecContext) {
		Expect(testenv.InstallCRDs(config)).To(Succeed())
		loud := rest.CopyConfig(config)
		loud.WarningHandler = heard
		var err error
		warning, err = client.New(loud, client.Options{Scheme: kube.Scheme()})
		Expect(err).NotTo(HaveOccurred())
		for _, object := range render(ctx, "values/default.yaml") {
			if object.GroupVersionKind().Group == "admissionregistration.k8s.io" {
				Expect(kube.Create(ctx, object)).To(Succeed())
				DeferCleanup(func(ctx SpecContext) { Expect(kube.Delete(ctx, object)).To(Succeed()) })
			}
		}
		// The API server takes a policy up a moment after it was written.
		Eventually(func() []string { return apply(ctx, "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}}}") }).
			WithContext(ctx).Should(HaveLen(1))
		// It also checks the expressions against the schemas of the kinds.
		policy := &unstructured.Unstructured{}
		policy.SetAPIVersion("admissionregistration.k8s.io/v1")
		policy.SetKind("ValidatingAdmissionPolicy")
		Expect(kube.Get(ctx, client.ObjectKey{Name: release + "-warnings"}, policy)).To(Succeed())
		checked, _, err := unstructured.NestedSlice(policy.Object, "status", "typeChecking", "expressionWarnings")
		Expect(err).NotTo(HaveOccurred())
		Expect(checked).To(BeEmpty())
	}, NodeTimeout(patience))

	DescribeTable("come where something was chosen that deserves a second look", func(ctx SpecContext, manifest string, text string) {
		Expect(apply(ctx, manifest)).To(ConsistOf(ContainSubstring(text)))
	},
		Entry("no expiry", "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, jwt: {claimsToVerify: [nbf]}}}", "Write claimsToVerify: [exp]", SpecTimeout(patience)),
		Entry("an anonymous consumer", "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, jwt: {claimsToVerify: [exp], anonymous: guest}}}",
			"spec.jwt.anonymous lets requests without a valid token in", SpecTimeout(patience)),
		Entry("everybody's consumers", "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, access: {from: AnyNamespace}, jwt: {claimsToVerify: [exp]}}}",
			"spec.access.from AnyNamespace", SpecTimeout(patience)),
		Entry("issuers and no audience", "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, jwt: {claimsToVerify: [exp]}, claims: {issuers: [a]}}}",
			"spec.claims.issuers without audiences", SpecTimeout(patience)),
		Entry("http by choice", "{kind: JwtProtectedService, spec: {upstream: {url: 'http://example.com'}, routes: [{name: a, paths: [/a], protocols: [http, https]}, {name: b, paths: [/b]}], jwt: {claimsToVerify: [exp]}}}",
			"spec.routes a: tokens travel in clear text", SpecTimeout(patience)),
		Entry("a pinned key that rotates", "{kind: JwtConsumer, spec: {credentials: [{name: a, key: pinned, generate: {secretName: a, rotation: {interval: 720h}}}]}}",
			"spec.credentials a: a pinned key is replaced in place", SpecTimeout(patience)),
		Entry("a rare rotation", "{kind: JwtConsumer, spec: {credentials: [{name: a, generate: {secretName: a, rotation: {interval: 20000h}}}]}}",
			"spec.credentials a: material that is kept for over a year", SpecTimeout(patience)),
		Entry("an overlap that pods do not follow", "{kind: JwtConsumer, spec: {credentials: [{name: a, generate: {secretName: a, rotation: {interval: 3m}}}]}}",
			"Write rotation.overlap: 2m, or more", SpecTimeout(patience)),
	)

	It("are what kubectl kongjwt lint says with no cluster", func(ctx SpecContext) {
		samples, err := manifests.Read(nil, []string{"../../config/samples"})
		Expect(err).NotTo(HaveOccurred())
		var texts []string
		for _, sample := range samples {
			content, err := yaml.Marshal(sample.Content)
			Expect(err).NotTo(HaveOccurred())
			if kind := sample.Content["kind"]; kind == "JwtConsumer" || kind == "JwtProtectedService" {
				texts = append(texts, string(content))
			}
		}
		Expect(len(texts)).To(BeNumerically(">", 4), "samples")
		for _, text := range append(texts, deserving...) {
			object := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal([]byte(text), &object.Object)).To(Succeed())
			offline, err := lint.Warnings(object.Object)
			Expect(err).NotTo(HaveOccurred())
			online := []string{}
			for _, warning := range apply(ctx, text) {
				_, message, _ := strings.Cut(warning, "': ")
				online = append(online, message)
			}
			Expect(offline).To(HaveExactElements(online), text)
		}
	}, SpecTimeout(patience))

	DescribeTable("do not come where nothing is amiss", func(ctx SpecContext, manifest string) {
		Expect(apply(ctx, manifest)).To(BeEmpty())
	},
		Entry("a service", "{kind: JwtProtectedService, spec: {upstream: {url: 'http://example.com'}, routes: [{name: a, paths: [/a]}], jwt: {claimsToVerify: [exp]}}}", SpecTimeout(patience)),
		Entry("issuers and an audience", "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, jwt: {claimsToVerify: [exp]}, claims: {issuers: [a], audiences: [b]}}}", SpecTimeout(patience)),
		Entry("an audience alone", "{kind: JwtProtectedService, spec: {attachTo: {serviceName: a}, jwt: {claimsToVerify: [exp]}, claims: {audiences: [b]}}}", SpecTimeout(patience)),
		Entry("a consumer", "{kind: JwtConsumer, spec: {credentials: [{name: a, generate: {secretName: a, rotation: {interval: 8760h}}}, {name: b, key: pinned, secretRef: {name: b}}]}}", SpecTimeout(patience)),
		Entry("an empty consumer", "{kind: JwtConsumer, spec: {}}", SpecTimeout(patience)),
	)
})
