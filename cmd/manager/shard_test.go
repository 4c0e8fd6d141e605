package main

import (
	"reflect"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestShardsHaveLeasesOfTheirOwn(t *testing.T) {
	g := NewWithT(t)
	g.Expect(shard{}.lease()).To(Equal(leaseName))
	leases := map[string]shard{}
	for _, s := range []shard{{}, {selector: "a=b"}, {selector: "a=c"}, {namespaces: []string{"x"}}, {namespaces: []string{"x", "y"}}, {namespaces: []string{"x"}, selector: "a=b"}} {
		leases[s.lease()] = s
	}
	g.Expect(leases).To(HaveLen(6))
	g.Expect(shard{namespaces: []string{"x", "y"}}.lease()).To(Equal(shard{namespaces: []string{"y", "x"}}.lease()))
}

func TestShardNarrowsTheCache(t *testing.T) {
	g := NewWithT(t)
	var options cache.Options
	g.Expect(shard{namespaces: []string{"team"}, selector: "shard=one"}.narrow(&options, []string{"system"})).To(Succeed())
	kinds := map[string][]string{}
	for object, by := range options.ByObject {
		kind := object.GetObjectKind().GroupVersionKind().Kind
		if kind == "" {
			kind = reflect.TypeOf(object).Elem().Name()
		}
		for namespace := range by.Namespaces {
			kinds[kind] = append(kinds[kind], namespace)
		}
		if slices.Contains([]string{"JwtConsumer", "JwtProtectedService", "JwtToken"}, kind) {
			g.Expect(by.Label.String()).To(Equal("shard=one"), kind)
			g.Expect(kinds[kind]).To(ConsistOf("team"), kind)
		}
	}
	g.Expect(kinds).To(HaveLen(6))
	g.Expect(kinds["Service"]).To(ConsistOf(""), "Kong may be in any namespace")
	g.Expect(kinds["Secret"]).To(ConsistOf("team", "system"), "the gateways' Secrets are in the operator's namespace")
	g.Expect(shard{selector: "a=="}.narrow(&options, nil)).To(Succeed())
	g.Expect(shard{selector: "a b"}.narrow(&options, nil)).To(MatchError(ContainSubstring("--watch-label-selector")))
}

func TestSecretsAreKeptByNameAndVersion(t *testing.T) {
	g := NewWithT(t)
	kept, err := nameAndVersion(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: "jwt", ResourceVersion: "7", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
	}})
	g.Expect(err).NotTo(HaveOccurred())
	seen, ok := kept.(client.Object)
	g.Expect(ok).To(BeTrue())
	g.Expect([]string{seen.GetNamespace(), seen.GetName(), seen.GetResourceVersion()}).To(Equal([]string{"team", "jwt", "7"}))
	g.Expect(seen.GetLabels()).To(BeEmpty())
	g.Expect(seen.GetAnnotations()).To(BeEmpty())
	g.Expect(seen.GetDeletionTimestamp()).To(BeNil())
	accessor, err := meta.Accessor(seen) // as the cache asks
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(accessor.GetName()).To(Equal("jwt"))
	g.Expect(toolscache.MetaNamespaceKeyFunc(kept)).To(Equal("team/jwt"))

	again, err := nameAndVersion(kept) // as a cache may do
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(BeIdenticalTo(kept))
}

func TestASecretThatGoesIsSeenToGo(t *testing.T) {
	g := NewWithT(t)
	since := metav1.Now()
	kept, err := nameAndVersion(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "jwt", DeletionTimestamp: &since}})
	g.Expect(err).NotTo(HaveOccurred())
	seen, ok := kept.(client.Object)
	g.Expect(ok).To(BeTrue())
	g.Expect(seen.GetDeletionTimestamp()).To(Equal(&since))
	twin, ok := seen.DeepCopyObject().(client.Object)
	g.Expect(ok).To(BeTrue())
	g.Expect(twin).To(Equal(seen))
	g.Expect(twin).NotTo(BeIdenticalTo(seen))
}
