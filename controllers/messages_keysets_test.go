package controllers_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// follows is a consumer that follows what is at a place.
func follows(place string) string {
	return consumerOf(`credentials: [{name: idp, jwks: {url: "` + place + `", caSecretRef: {name: idp-ca, key: ca.crt}}}]`)
}

var keySetMistakes = []mistake{
	{"An address with nothing at it", follows("<an empty answer>"), v1alpha1.ConditionStalled},
	{"The page to log in on", follows("<a web page>"), v1alpha1.ConditionStalled},
	{"The discovery document", follows("<a discovery document>"), v1alpha1.ConditionStalled},
	{"One key, and no set", follows("<one key>"), v1alpha1.ConditionStalled},
	{"JSON that is something else", follows("<other JSON>"), v1alpha1.ConditionStalled},
	{"A key set in quotes", follows("<a key set in quotes>"), v1alpha1.ConditionStalled},
	{"A key set in base64", follows("<a key set in base64>"), v1alpha1.ConditionStalled},
	{"Half a key set", follows("<half a key set>"), v1alpha1.ConditionStalled},
	{"A PEM", follows("<a PEM>"), v1alpha1.ConditionStalled},
	{"A key set without a key", follows("<a key set without a key>"), v1alpha1.ConditionStalled},
	{"A key set with a shared secret", follows("<a key set with a shared secret>"), v1alpha1.ConditionStalled},
}

// serveKeySets starts an issuer that has a document of each bad form.
func (w *world) serveKeySets(ctx context.Context) {
	GinkgoHelper()
	provider := issuer.Start()
	DeferCleanup(provider.Close)
	create(ctx, w.secret("idp-ca", map[string]string{"ca.crt": provider.CA()}))
	number := 0
	for name, document := range map[string]string{
		"<an empty answer>":                "",
		"<a web page>":                     "<!DOCTYPE html><title>Log in</title>",
		"<a discovery document>":           `{"issuer": "https://login.example.com", "jwks_uri": "https://login.example.com/keys"}`,
		"<one key>":                        `{"kty": "EC", "crv": "P-256", "kid": "one"}`,
		"<other JSON>":                     `{"status": "ok"}`,
		"<a key set in quotes>":            `"{\"keys\": []}"`,
		"<a key set in base64>":            "eyJrZXlzIjogW119",
		"<half a key set>":                 `{"keys": [{"kty": "EC", "crv": "P-2`,
		"<a PEM>":                          "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n",
		"<a key set without a key>":        `{"keys": []}`,
		"<a key set with a shared secret>": `{"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]}`,
	} {
		number++
		path := fmt.Sprintf("/%d", number)
		provider.Serve(path, document)
		placeholders[name] = provider.Base() + path
	}
}

// waitingDeletions are what deleted resources say while they wait, in Markdown. The gateway is gone after it.
func (w *world) waitingDeletions(ctx context.Context) string {
	GinkgoHelper()
	var page strings.Builder
	fmt.Fprintf(&page, "\n## Deletions that wait\n")
	// waits deletes an object, and gives what its condition says then.
	waits := func(title string, object *unstructured.Unstructured, condition, part string) {
		GinkgoHelper()
		Expect(kube.Delete(ctx, object)).To(Succeed())
		told := ""
		Eventually(func() string { told = w.await(ctx, object, condition); return told }).
			WithTimeout(soon).WithPolling(poll).Should(ContainSubstring(part))
		fmt.Fprintf(&page, "\n**%s**\n\nAfter `kubectl delete %s`: %s\n", title, strings.ToLower(object.GetKind()), w.neutral(told))
	}
	held := w.parse(strings.Replace(consumerOf("{}"), "name: orders", "name: held", 1))
	consumer, service := w.parse(consumerOf("{}")), w.parse(serviceOf(routed))
	for _, object := range []*unstructured.Unstructured{held, consumer, service} {
		Expect(kube.Create(ctx, object)).To(Succeed())
		w.await(ctx, object, v1alpha1.ConditionReady)
	}
	suspend := func(on bool) {
		Expect(kube.Patch(ctx, held, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"suspend":%v}}`, on)))).To(Succeed())
	}
	suspend(true)
	waits("A resource that is suspended", held, v1alpha1.ConditionSuspended, "not deleted")
	suspend(false)
	gone(ctx, held)

	w.kong.Faults.SetDatabaseDown(true)
	defer w.kong.Faults.SetDatabaseDown(false)
	stalled(ctx, w.gateway, v1alpha1.ReasonKongUnreachable, ContainSubstring("database"))
	gateway := &unstructured.Unstructured{}
	gateway.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindKongGateway))
	gateway.SetName(w.name)
	waits("A consumer whose Kong is gone for good", consumer, v1alpha1.ConditionStalled, "kubectl patch")
	waits("A service whose Kong is gone for good", service, v1alpha1.ConditionStalled, "kubectl patch")
	waits("A gateway that is in use", gateway, v1alpha1.ConditionReconciling, "in use by")
	return page.String()
}
