package controllers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

var updatePages = flag.Bool("update", false, "write docs/reference/messages.md anew")

const messagesPage = "../docs/reference/messages.md"

// mistake is something that people write, and what tells them.
type mistake struct {
	title string
	// manifest is what is applied; of several objects, the last is the one that is told. {{shop}} is the
	// namespace.
	manifest string
	// says is the condition that tells it. Empty: the API server refuses it.
	says string
}

// refused are the rows that the API server answers.
const refused = ""

var _ = Describe("The table of mistakes", func() {
	It("has for each a message that says what is wrong and what to do", func(ctx SpecContext) {
		w := newWorld(ctx, kongsim.Options{}, func(g *v1alpha1.KongGateway) {
			g.Spec.Policy.Identities, g.Spec.Policy.RegularExpressions = v1alpha1.IdentitiesNamespaced, false
			// The issuer of the test has one.
			g.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		})
		ready(ctx, w.gateway)
		w.servePlaces()
		w.serveKeySets(ctx)
		var page strings.Builder
		var failures []string
		page.WriteString(messagesHead)
		for _, chapter := range chapters() {
			fmt.Fprintf(&page, "\n## %s\n", chapter.title)
			for _, m := range chapter.mistakes {
				failures = append(failures, InterceptGomegaFailures(func() {
					shown, told := w.make(ctx, m)
					fmt.Fprintf(&page, "\n**%s**\n\n```yaml\n%s\n```\n\n%s\n", m.title, shown, w.neutral(told))
				})...)
			}
		}
		failures = append(failures, InterceptGomegaFailures(func() { page.WriteString(w.waitingDeletions(ctx)) })...)
		Expect(failures).To(BeEmpty())
		if *updatePages {
			Expect(os.WriteFile(messagesPage, []byte(page.String()), 0o644)).To(Succeed())
			return
		}
		want, err := os.ReadFile(messagesPage)
		Expect(err).NotTo(HaveOccurred())
		Expect(page.String()).To(Equal(string(want)),
			"go test ./controllers -ginkgo.focus='table of mistakes' -update writes it anew; read the difference")
	})
})

const messagesHead = `# Mistakes, and what tells you

Each of these was applied to a real API server and a running operator, with the default policy of a ` + "`KongGateway`" + `; below it is what
` + "`kubectl apply`" + ` answers, or the condition of the resource. Written by the test of the controllers.
[Conditions, reasons and events](reasons.md) lists what else there is.
`

// make makes one mistake, and takes it back. told is what the user is told, in Markdown.
func (w *world) make(ctx context.Context, m mistake) (shown, told string) {
	GinkgoHelper()
	parts := strings.Split(strings.TrimSpace(m.manifest), "\n---\n")
	var made []*unstructured.Unstructured
	for i, part := range parts {
		object := w.parse(part)
		err := kube.Create(ctx, object, client.FieldValidation(metav1.FieldValidationStrict))
		if m.says == refused && i == len(parts)-1 {
			Expect(err).To(HaveOccurred(), m.title)
			told = "Refused: " + refusal(err)
			break
		}
		Expect(err).NotTo(HaveOccurred(), m.title)
		made = append(made, object)
		if i < len(parts)-1 && object.GetKind() != "Secret" && object.GetKind() != "Service" {
			told = w.await(ctx, object, v1alpha1.ConditionReady)
		}
	}
	if m.says != refused {
		told = w.await(ctx, made[len(made)-1], m.says)
	}
	for i := len(made) - 1; i >= 0; i-- {
		gone(ctx, made[i])
	}
	return strings.ReplaceAll(strings.TrimSpace(m.manifest), "{{shop}}", "shop"), told
}

// parse reads an object of a manifest and puts it into the world.
func (w *world) parse(manifest string) *unstructured.Unstructured {
	GinkgoHelper()
	for name, text := range placeholders {
		manifest = strings.ReplaceAll(manifest, name, text)
	}
	raw, err := utilyaml.ToJSON([]byte(strings.ReplaceAll(manifest, "{{shop}}", w.namespace)))
	Expect(err).NotTo(HaveOccurred())
	object := &unstructured.Unstructured{}
	Expect(object.UnmarshalJSON(raw)).To(Succeed(), manifest)
	switch object.GetKind() {
	case v1alpha1.KindKongGateway:
		return object
	case v1alpha1.KindJwtConsumer, v1alpha1.KindJwtProtectedService:
		if _, named, _ := unstructured.NestedMap(object.Object, "spec", "gatewayRef"); !named {
			Expect(unstructured.SetNestedField(object.Object, w.name, "spec", "gatewayRef", "name")).To(Succeed())
		}
	}
	object.SetNamespace(w.namespace)
	return object
}

// await waits for a condition, for the generation that was written, and gives it in Markdown.
func (w *world) await(ctx context.Context, object client.Object, kind string) (told string) {
	GinkgoHelper()
	of, known := v1alpha1.KindNamed(object.GetObjectKind().GroupVersionKind().Kind)
	Expect(known).To(BeTrue())
	Eventually(func(g Gomega) {
		resource := of.New()
		g.Expect(kube.Get(ctx, client.ObjectKeyFromObject(object), resource.(client.Object))).To(Succeed())
		condition := apimeta.FindStatusCondition(*resource.GetConditions(), kind)
		g.Expect(condition).NotTo(BeNil(), "%s of %s %s: %v", kind, of.Name, object.GetName(), *resource.GetConditions())
		g.Expect(condition.Status).To(Equal(metav1.ConditionTrue), condition.Message)
		told = fmt.Sprintf("`%s`, reason `%s`: %s", kind, condition.Reason, condition.Message)
	}).WithTimeout(soon).WithPolling(poll).Should(Succeed(), "%s of %s", kind, object.GetName())
	return told
}

// refusal is what the API server says, without what it says before each refusal.
func refusal(err error) string {
	var invalid apierrors.APIStatus
	Expect(err).To(BeAssignableToTypeOf(&apierrors.StatusError{}))
	invalid, _ = err.(apierrors.APIStatus)
	details := invalid.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return err.Error()
	}
	var causes []string
	for _, cause := range details.Causes {
		if strings.Contains(cause.Message, "some validation rules were not checked") {
			continue
		}
		causes = append(causes, strings.TrimPrefix(cause.Field+": "+cause.Message, ": "))
	}
	return strings.Join(causes, "; ")
}

var portOf = regexp.MustCompile(`127\.0\.0\.1:[0-9]{4,5}`)

// neutral is a text without what is different in each run.
func (w *world) neutral(text string) string {
	text = strings.ReplaceAll(text, "KongGateway "+w.name, "KongGateway default")
	text = regexp.MustCompile(`\b`+w.namespace+`\b`).ReplaceAllString(text, "shop")
	// The heartbeat of this suite.
	text = strings.ReplaceAll(text, "it is asked every 200ms", "it is asked every 5s")
	return portOf.ReplaceAllString(text, "127.0.0.1:8001")
}

type chapter struct {
	title    string
	mistakes []mistake
}

// placeholders stand for keys in manifests.
var placeholders = map[string]string{}

func indent(text, by string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
}

// chapters are all mistakes.
func chapters() []chapter {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	public := publicPEM(&key.PublicKey)
	placeholders["<a public key of P-256 in PEM>"] = "|\n    " + indent(public, "    ")
	placeholders["<a private key in PEM>"] = "|\n    " + indent(privatePEM(key), "    ")
	placeholders["<a key in PEM, each line indented>"] = fmt.Sprintf("%q", "  "+strings.ReplaceAll(public, "\n", "\n  "))
	placeholders["<a key in PEM, in quotes>"] = fmt.Sprintf("%q", `"`+public+`"`)
	placeholders["<a key in PEM, in one line>"] = fmt.Sprintf("%q", strings.ReplaceAll(public, "\n", " "))
	placeholders["<half a key in PEM>"] = fmt.Sprintf("%q", public[:len(public)/2])
	return []chapter{
		{"Refused by kubectl apply", refusedMistakes}, {"Consumers and Secrets", consumerMistakes},
		{"Key sets", keySetMistakes},
		{"Services", serviceMistakes}, {"Tokens", tokenMistakes}, {"Gateways", gatewayMistakes},
	}
}
