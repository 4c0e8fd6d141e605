package ingress

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestTheCredentialOfABarrierIsAPublicKeyAndNothingThatSigns(t *testing.T) {
	settings := objects.Settings{Scope: desired.Scope{Gateway: "g"}, Namespace: "system", Key: []byte("key")}
	seen := map[string]bool{}
	b := barrierObject{about: about{objects: settings}}
	for range 2 {
		if err := b.renew(); err != nil {
			t.Fatal(err)
		}
		secret, consumer := b.secret, settings.Barrier(b.nonce, "s")
		data, _ := secret.Content["stringData"].(map[string]any)
		public, _ := data["rsa_public_key"].(string)
		block, rest := pem.Decode([]byte(public))
		if len(data) != 3 || block == nil || data["algorithm"] != "ES256" ||
			data["key"] != consumer.Content["custom_id"] || len(rest) > 0 {
			t.Errorf("%v", data)
		}
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			t.Error(err)
		}
		seen[public], seen[secret.Name] = true, true
	}
	if len(seen) != 4 {
		t.Error("two barriers share a key, or a Secret")
	}
}

func TestDataPlanesAreAskedForABarrierOnceTheRouteThatAsksIsInKong(t *testing.T) {
	scope := desired.Scope{Installation: "i", Gateway: "g"}
	var asked []string
	b := &barrierObject{held: held.New(), ask: func(key string) string {
		asked = append(asked, key)
		return "behind"
	}}
	b.start.Scope = scope
	route := held.Object{Epoch: 5, Since: 5, Object: objects.Object{
		Reference: objects.Reference{Kind: "Ingress", Name: "probe"}, Owner: desired.GatewayOwner("g"),
		Entity: kong.KindRoute, ID: desired.ProbeRouteID(scope), Guarded: true,
	}}
	if behind := b.Behind("no route", 9); behind != "" {
		t.Error(behind)
	}
	b.held.Put(route)
	if behind := b.Behind("guarded", 9); behind != "" {
		t.Error(behind)
	}
	route.Guarded = false
	b.held.Put(route)
	if behind := b.Behind("too early", 4); behind != "" {
		t.Error(behind)
	}
	if behind := b.Behind("now", 5); behind != "behind" || !slices.Equal(asked, []string{"now"}) {
		t.Errorf("%q: asked for %v", behind, asked)
	}
	// Somebody changes it.
	route.Epoch, route.Since, route.Stale = 7, 7, true
	b.held.Put(route)
	if behind := b.Behind("edited", 6); behind != "behind" {
		t.Errorf("the controller's word alone counts: %q", behind)
	}
	b.ask = nil
	if behind := b.Behind("nobody", 5); behind != "" {
		t.Error(behind)
	}
}

// barrierCluster is one whose KongConsumers are refused, or written without an answer.
type barrierCluster struct {
	client.WithWatch
	refuses, mute bool
	consumer      *unstructured.Unstructured
}

func newBarrier(t *testing.T) (*barrierObject, *barrierCluster) {
	t.Helper()
	settings := objects.Settings{Scope: desired.Scope{Gateway: "g"}, Namespace: "system", Key: []byte("k")}
	c := &barrierCluster{}
	c.WithWatch = interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Get: func(_ context.Context, kube client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			if c.consumer == nil || o.GetObjectKind().GroupVersionKind().Kind == kindSecret.Kind {
				return kube.Get(t.Context(), key, &corev1.Secret{}) // it is there, or not found
			}
			c.consumer.DeepCopyInto(o.(*unstructured.Unstructured))
			return nil
		},
		Apply: func(_ context.Context, kube client.WithWatch, a runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
			o := &unstructured.Unstructured{Object: raw}
			switch {
			case err != nil:
				return err
			case o.GetKind() == "Secret":
				err := kube.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
					Name: o.GetName(), Namespace: o.GetNamespace(), Labels: o.GetLabels(), CreationTimestamp: metav1.Unix(1000, 0),
				}})
				return client.IgnoreAlreadyExists(err)
			case c.refuses:
				return errors.New("the webhook is down")
			}
			if o.SetGeneration(1); c.consumer != nil {
				o.SetGeneration(c.consumer.GetGeneration() + 1)
			}
			if c.consumer = o; c.mute {
				return errors.New("the answer is lost")
			}
			return nil
		},
	})
	return &barrierObject{
		about: about{cluster: cluster{c}, objects: settings, start: engine.Start{Log: logr.Discard()}}, unswept: true,
	}, c
}

// secretNames are those of the barrier's Secrets.
func (c *barrierCluster) secretNames(t *testing.T) []string {
	t.Helper()
	var list corev1.SecretList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

func TestWhileABarrierCannotBeWrittenItsSecretStaysTheSame(t *testing.T) {
	b, c := newBarrier(t)
	c.refuses = true
	for range 10 {
		if _, err := b.Write(t.Context()); err == nil {
			t.Fatal("written")
		}
	}
	names := c.secretNames(t)
	if len(names) != 1 {
		t.Errorf("Secrets %v", names)
	}
	c.refuses = false
	if _, err := b.Write(t.Context()); err != nil || !slices.Equal(credentialNames(c.consumer), names) {
		t.Errorf("%v, Secrets %v", err, names)
	}
	if _, err := b.Write(t.Context()); err != nil || !slices.Equal(c.secretNames(t), credentialNames(c.consumer)) {
		t.Errorf("%v, Secrets %v, and the consumer names %v", err, c.secretNames(t), credentialNames(c.consumer))
	}
}

func TestABarrierWhoseAnswerWasLostConfirmsNothingThatWasWrittenSince(t *testing.T) {
	b, c := newBarrier(t)
	c.mute = true
	if _, err := b.Write(t.Context()); err == nil {
		t.Fatal("answered")
	}
	first := c.consumer
	c.mute = false
	generation, err := b.Write(t.Context())
	if err != nil || generation != 2 || slices.Equal(credentialNames(first), credentialNames(c.consumer)) {
		t.Errorf("generation %d, %v", generation, err)
	}
	if names := c.secretNames(t); !slices.Equal(names, credentialNames(c.consumer)) {
		t.Errorf("Secrets %v", names)
	}
}

func TestABarrierThatIsDeletedAtOnceIsNotWritten(t *testing.T) {
	b, c := newBarrier(t)
	b.cluster = cluster{interceptor.NewClient(c, interceptor.Funcs{
		Apply: func(ctx context.Context, kube client.WithWatch, a runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			err := kube.Apply(ctx, a, options...)
			c.consumer = nil
			return err
		},
	})}
	if generation, err := b.Write(t.Context()); err == nil {
		t.Errorf("generation %d, which every answer confirms", generation)
	}
}

func TestTheFirstBarrierSweepsTheSecretsThatNothingNames(t *testing.T) {
	b, c := newBarrier(t)
	for _, namespace := range []string{"system", "elsewhere"} {
		err := c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: "left-" + namespace, Namespace: namespace, Labels: map[string]string{objects.LabelBarrier: b.objects.ScopeLabel()},
			CreationTimestamp: metav1.Unix(900, 0),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	c.refuses = true
	if _, err := b.Write(t.Context()); err == nil {
		t.Fatal("written")
	}
	if names := c.secretNames(t); len(names) != 2 || slices.Contains(names, "left-system") {
		t.Errorf("Secrets %v", names)
	}
}

func TestABarrierLeavesAnotherProcessTheSecretThatThisOneIsAboutToName(t *testing.T) {
	first, c := newBarrier(t)
	second := &barrierObject{about: first.about, unswept: true}
	between := func(then func()) client.WithWatch { // once the first Secret is written
		return interceptor.NewClient(c, interceptor.Funcs{
			Apply: func(ctx context.Context, kube client.WithWatch, a runtime.ApplyConfiguration, options ...client.ApplyOption) error {
				err := kube.Apply(ctx, a, options...)
				if once := then; once != nil {
					then = nil
					once()
				}
				return err
			},
		})
	}
	second.cluster = cluster{between(func() {
		if _, err := first.Write(t.Context()); err != nil {
			t.Error(err)
		}
	})}
	if _, err := second.Write(t.Context()); err != nil {
		t.Error(err)
	}
	if names := c.secretNames(t); !slices.Contains(names, credentialNames(c.consumer)[0]) {
		t.Errorf("the KongConsumer names %v, and there are %v", credentialNames(c.consumer), names)
	}
	for _, b := range []*barrierObject{first, second} {
		if _, err := b.Write(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if names := c.secretNames(t); !slices.Equal(names, credentialNames(c.consumer)) {
		t.Errorf("the KongConsumer names %v, and there are %v", credentialNames(c.consumer), names)
	}
}

func TestABarrierWhoseSecretIsDeletedAtOnceIsNotWritten(t *testing.T) {
	b, c := newBarrier(t)
	b.cluster = cluster{interceptor.NewClient(c, interceptor.Funcs{
		Apply: func(ctx context.Context, kube client.WithWatch, a runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if err := kube.Apply(ctx, a, options...); err != nil {
				return err
			}
			return kube.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace("system"))
		},
	})}
	if generation, err := b.Write(t.Context()); err == nil {
		t.Errorf("generation %d of a consumer without a credential", generation)
	}
}
