package index

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// neighbors are two values of an index that share a set.
func neighbors(t *testing.T, in definition) (one, other string) {
	t.Helper()
	seen := map[string]string{}
	for i := range 2 * buckets {
		value := fmt.Sprintf("secret-%d", i)
		if former, found := seen[in.storedAs(value)]; found {
			return former, value
		}
		seen[in.storedAs(value)] = value
	}
	t.Fatal("no two of so many values share a set")
	return "", ""
}

func TestWhoSharesASetIsNotFound(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	one, other := neighbors(t, named(v1alpha1.KindJwtConsumer, Secret))
	naming := func(namespace, name, secret string) client.Object {
		return &v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: v1alpha1.JwtConsumerSpec{Credentials: []v1alpha1.Credential{
				{Name: "p", SecretRef: &v1alpha1.CredentialSecretReference{Name: secret}},
			}},
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		naming("a", "john", one), naming("a", "jane", other), naming("a", "joe", one), naming("b", "jim", one))
	g.Expect(Each(func(object client.Object, name string, values client.IndexerFunc) error {
		builder.WithIndex(object, name, values)
		return nil
	})).To(Succeed())
	reader := builder.Build()
	var all v1alpha1.JwtConsumerList
	g.Expect(reader.List(t.Context(), &all, client.MatchingFields{Secret: named(v1alpha1.KindJwtConsumer, Secret).storedAs(one)})).To(Succeed())
	g.Expect(all.Items).To(HaveLen(4), "all share a set")
	for secret, names := range map[string][]string{one: {"a/joe", "a/john"}, other: {"a/jane"}, "nobody's": nil} {
		var got []string
		for _, request := range Find(t.Context(), reader, v1alpha1.KindJwtConsumer, Secret, "a", secret) {
			got = append(got, request.String())
		}
		g.Expect(got).To(ConsistOf(names), secret)
	}
}

func TestAKindWithoutAnIndexFindsNothing(t *testing.T) {
	g := NewWithT(t)
	g.Expect(named(v1alpha1.KindJwtToken, Gateway).valuesOf(&v1alpha1.JwtToken{})).To(BeEmpty())
	for _, d := range definitions {
		_, known := v1alpha1.KindNamed(d.kind)
		g.Expect(known).To(BeTrue(), d.kind)
	}
}
