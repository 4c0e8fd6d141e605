package ingress

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// AskNodes says which data planes do not hold a credential of BarrierAlgorithm by its key, in words; nothing where each
// holds it, or where the gateway names none. It answers at once: the data planes are asked in the background.
type AskNodes func(key string) (behind string)

// barrierObject is the KongConsumer that the barrier is, with a credential that data planes are asked for.
type barrierObject struct {
	about
	held *held.Store
	ask  AskNodes
}

// Write implements barrier.Object. The Secret of the former credential goes once nothing names it.
func (b barrierObject) Write(ctx context.Context) (generation int64, err error) {
	former, err := b.cluster.get(ctx, b.reference())
	if err != nil {
		return 0, err
	}
	public, err := publicKeyOfNobody()
	if err != nil {
		return 0, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, see its documentation
	nonce := hex.EncodeToString(random[:])
	secret := b.objects.BarrierSecret(nonce, public)
	consumer := b.objects.Barrier(nonce, secret.Name)
	for _, o := range []objects.Object{secret, consumer} {
		if _, err := b.cluster.apply(ctx, o); err != nil {
			return 0, err
		}
	}
	if former != nil {
		for _, name := range credentialNames(former) {
			secret.Name = name
			if err := b.cluster.remove(ctx, secret.Reference); err != nil {
				return 0, err
			}
		}
	}
	live, err := b.cluster.get(ctx, consumer.Reference)
	if err != nil || live == nil {
		return 0, err
	}
	return live.GetGeneration(), nil
}

// publicKeyOfNobody makes a public key whose private key nobody has: with the credential nobody gets in anywhere.
func publicKeyOfNobody() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make a public key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", fmt.Errorf("encode a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

func (b barrierObject) reference() objects.Reference { return b.objects.Barrier("", "").Reference }

// Read implements barrier.Object.
func (b barrierObject) Read(ctx context.Context) (barrier.Answer, error) {
	live, err := b.cluster.get(ctx, b.reference())
	if err != nil || live == nil {
		return barrier.Answer{}, err
	}
	answer := barrier.Answer{
		Taken: live.GetAnnotations()[objects.AnnotationClass] == b.settings.Class, Generation: live.GetGeneration(),
	}
	answer.Key, _, _ = unstructured.NestedString(live.Object, "custom_id")
	if condition := programmed(live); condition["status"] == "True" {
		answer.Programmed, _ = condition["observedGeneration"].(int64)
	}
	return answer, nil
}

// Behind implements barrier.Object: data planes are asked once the route that asks them is in Kong, as far as the
// controller says. That route itself needs a push.
func (b barrierObject) Behind(key string, pushed uint64) string {
	route, found := b.held.Find(desired.ProbeRouteID(b.start.Scope))
	if b.ask == nil || !found || route.Guarded || route.Epoch > pushed {
		return ""
	}
	return b.ask(key)
}

// Remove implements barrier.Object.
func (b barrierObject) Remove(ctx context.Context) error {
	errs := []error{b.cluster.remove(ctx, b.reference())}
	kind := schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	err := b.cluster.pages(ctx, kind, client.MatchingLabels{objects.LabelBarrier: b.objects.ScopeLabel()},
		func(m *metav1.PartialObjectMetadata) {
			if m.Namespace == b.objects.Namespace {
				errs = append(errs, b.cluster.remove(ctx, objects.Reference{
					APIVersion: "v1", Kind: "Secret", Namespace: m.Namespace, Name: m.Name,
				}))
			}
		})
	return errors.Join(append(errs, err)...)
}
