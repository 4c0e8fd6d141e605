package canary_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/canary"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// A secret that got into a status, an event, an annotation or a ConfigMap is found, though the object is gone by then.
func TestWatchSeesEveryObject(t *testing.T) {
	g := NewWithT(t)
	config := testenv.For(t)
	scheme := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	kube, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	canaries := canary.New()
	watch, err := canary.Start(t.Context(), config, canaries, path)
	g.Expect(err).NotTo(HaveOccurred())

	const value = "a-canary-of-the-watch"
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "default", Name: name} }
	consumer := &v1alpha1.JwtConsumer{ObjectMeta: meta("caller")}
	written := &v1alpha1.JwtConsumer{ObjectMeta: meta("written"), Spec: v1alpha1.JwtConsumerSpec{Username: value}}
	secret := &corev1.Secret{ObjectMeta: meta("material"), StringData: map[string]string{"secret": value}}
	annotated := &corev1.Secret{ObjectMeta: meta("annotated")}
	annotated.Annotations = map[string]string{"last-applied": value}
	objects := []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta("settings"), Data: map[string]string{"a": value}},
		&corev1.Event{ObjectMeta: meta("event"), InvolvedObject: corev1.ObjectReference{Namespace: "default", Name: "caller"}, Message: "refused: " + value},
		annotated, consumer, written, secret,
	}
	for _, object := range objects {
		g.Expect(kube.Create(t.Context(), object)).To(Succeed())
	}
	consumer.Status.Conditions = []metav1.Condition{{
		Type: "Ready", Status: "False", Reason: "KongRejected", Message: "refused: " + value, LastTransitionTime: metav1.Now(),
	}}
	g.Expect(kube.Status().Update(t.Context(), consumer)).To(Succeed())
	for _, object := range objects {
		g.Expect(kube.Delete(t.Context(), object)).To(Succeed())
	}

	found := func() []string {
		file, err := os.Open(path)
		g.Expect(err).NotTo(HaveOccurred())
		defer func() { _ = file.Close() }()
		findings, err := canaries.Search("objects", file)
		g.Expect(err).NotTo(HaveOccurred())
		var lines []string
		for _, finding := range findings {
			lines = append(lines, finding.Around)
		}
		return lines
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g.Eventually(found).WithContext(ctx).Should(ContainElements(
		HavePrefix(`["ConfigMap","default/settings"`), HavePrefix(`["Event","default/event"`),
		HavePrefix(`["Secret","default/annotated"`), HavePrefix(`["JwtConsumer","default/caller"`),
	))
	g.Expect(found()).NotTo(ContainElement(HavePrefix(`["Secret","default/material"`)), "it is meant for it")
	g.Expect(found()).NotTo(ContainElement(HavePrefix(`["JwtConsumer","default/written"`)), "its author wrote it")
	g.Expect(watch.Names("JwtConsumer")).To(ConsistOf("caller", "written"))
	g.Expect(watch.Stop()).To(Succeed())
}
