package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// AskNodes says which data planes do not hold a credential of BarrierAlgorithm by its key, in words; nothing where
// each holds it, or where the gateway names none. It answers at once: the data planes are asked in the background.
type AskNodes func(key string) (behind string)

// barrierObject is the KongConsumer that the barrier is, with a credential that data planes are asked for. It is used
// by one goroutine at a time.
type barrierObject struct {
	about
	held *held.Store
	ask  AskNodes
	// secret is the credential of a KongConsumer that is not written yet, and nonce what both are made of.
	nonce  string
	secret objects.Object
	// asks says that the route by which data planes are asked was in Kong: whatever becomes of it, they are asked.
	asks bool
	// last is the Secret that was written last: another process may have written the KongConsumer since.
	last string
	// unswept says that there may be Secrets that nothing names.
	unswept bool
}

// fresh is how much older than the one that is written now a Secret is that another process cannot be about to name.
const fresh = time.Minute

// Write implements barrier.Object. The Secret of the former credential goes once nothing names it. While the
// KongConsumer cannot be written, its Secret stays the same.
func (b *barrierObject) Write(ctx context.Context) (generation int64, err error) {
	former, err := b.cluster.get(ctx, b.reference())
	if err != nil {
		return 0, err
	}
	var named []string
	if former != nil {
		named = credentialNames(former)
	}
	// One that is named already was written though its answer was lost: nothing that was written since is
	// confirmed by it.
	if b.nonce == "" || slices.Contains(named, b.secret.Name) {
		if err := b.renew(); err != nil {
			return 0, err
		}
	}
	if _, _, err := b.cluster.apply(ctx, b.secret); err != nil {
		return 0, err
	}
	if b.unswept {
		b.unswept = !b.sweep(ctx, append(named, b.secret.Name))
	}
	consumer := b.objects.Barrier(b.nonce, b.secret.Name)
	if _, _, err := b.cluster.apply(ctx, consumer); err != nil {
		return 0, err
	}
	b.nonce = ""
	if b.last != "" && !slices.Contains(named, b.last) {
		named = append(named, b.last)
	}
	if b.last = b.secret.Name; !b.sweepNamed(ctx, named) {
		b.unswept = true
	}
	secret, err := b.cluster.get(ctx, b.secret.Reference)
	if err != nil {
		return 0, err
	}
	live, err := b.cluster.get(ctx, consumer.Reference)
	switch {
	case err != nil:
		return 0, err
	case live == nil, secret == nil && slices.Contains(credentialNames(live), b.secret.Name):
		return 0, errors.New("somebody deleted it at once") // whatever came then would confirm it
	}
	return live.GetGeneration(), nil
}

// renew makes another credential.
func (b *barrierObject) renew() error {
	// Nobody keeps the private key: with the credential nobody gets in anywhere.
	pair, err := credential.Generate(credential.Recipe{Algorithm: objects.BarrierAlgorithm}, "")
	if err != nil {
		return err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, see its documentation
	b.nonce = hex.EncodeToString(random[:])
	b.secret = b.objects.BarrierSecret(b.nonce, pair.PublicKeyPEM)
	return nil
}

// sweep deletes the barrier's Secrets but for some, and says whether all of them are gone. One that is about as young
// as the Secret that is written now may be another process's, which names it in a moment.
func (b *barrierObject) sweep(ctx context.Context, but []string) bool {
	unnamed, now := map[string]time.Time{}, time.Time{}
	err := b.secrets(ctx, func(r objects.Reference, made time.Time) {
		if r.Name == b.secret.Name {
			now = made
		}
		if !slices.Contains(but, r.Name) {
			unnamed[r.Name] = made
		}
	})
	if err != nil {
		b.start.Log.Error(err, "Cannot list the Secrets that the ingress controller was asked with")
		return false
	}
	all := len(unnamed)
	maps.DeleteFunc(unnamed, func(_ string, made time.Time) bool { return now.Sub(made) < fresh })
	return b.sweepNamed(ctx, slices.Sorted(maps.Keys(unnamed))) && len(unnamed) == all
}

// sweepNamed deletes the barrier's Secrets that have names, and says whether all of them are gone.
func (b *barrierObject) sweepNamed(ctx context.Context, names []string) bool {
	swept, r := true, b.objects.BarrierSecret("", "").Reference
	for _, name := range names {
		r.Name = name
		if err := b.cluster.remove(ctx, r); err != nil {
			b.start.Log.Error(err, "Cannot delete a Secret that nothing names", "secret", r.String())
			swept = false
		}
	}
	return swept
}

// secrets lists the barrier's Secrets, and when the API server made each.
func (b *barrierObject) secrets(ctx context.Context, each func(r objects.Reference, made time.Time)) error {
	labels := client.MatchingLabels{objects.LabelBarrier: b.objects.ScopeLabel()}
	return b.cluster.pages(ctx, kindSecret, []client.ListOption{labels},
		func(m *metav1.PartialObjectMetadata) {
			if m.Namespace == b.objects.Namespace {
				each(referenceOf(kindSecret, m), m.CreationTimestamp.Time)
			}
		})
}

func (b *barrierObject) reference() objects.Reference { return b.objects.Barrier("", "").Reference }

// Read implements barrier.Object.
func (b *barrierObject) Read(ctx context.Context) (barrier.Answer, error) {
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
// controller says. That route itself needs a push. Who changes it later makes nobody believe the controller alone.
func (b *barrierObject) Behind(key string, pushed uint64) string {
	route, found := b.held.Find(desired.ProbeRouteID(b.start.Scope))
	there := b.ask != nil && found && !route.Guarded
	if b.asks = there && (b.asks || route.Since <= pushed); !b.asks {
		return ""
	}
	return b.ask(key)
}

// Remove implements barrier.Object.
func (b *barrierObject) Remove(ctx context.Context) error {
	errs := []error{b.cluster.remove(ctx, b.reference())}
	err := b.secrets(ctx, func(r objects.Reference, _ time.Time) { errs = append(errs, b.cluster.remove(ctx, r)) })
	return errors.Join(append(errs, err)...)
}
