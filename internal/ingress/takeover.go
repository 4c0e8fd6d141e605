package ingress

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/takeover"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// takeOver gives the names of the objects that an owner took over before, and of those of a KongConsumer that it takes
// over now: one of its namespace, which nobody's label claims, while the owner has no consumer.
func (e *Engine) takeOver(ctx context.Context, set desired.Set, name string) (takeover.Names, error) {
	names, own := takeover.Names{}, e.held.Of(set.Owner)
	for _, o := range own {
		takeover.Of(o.Object, names)
	}
	if name == "" || slices.ContainsFunc(own, func(o held.Object) bool { return o.Entity == kong.KindConsumer }) {
		return names, nil
	}
	r := objects.Reference{
		APIVersion: objects.GroupKong, Kind: objects.KindConsumer, Namespace: set.Owner.Namespace, Name: name,
	}
	live, err := e.cluster.get(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", r, err)
	}
	if live == nil || live.GetDeletionTimestamp() != nil || live.GetLabels()[objects.LabelScope] != "" {
		return names, nil
	}
	if live.GetAnnotations()[objects.AnnotationClass] != e.settings.Class {
		return nil, e.notTaken(r, takeover.Refusal{
			What: "it has another ingress class", Remedy: "Name one of the class that the KongGateway has",
		})
	}
	consumer, refusal, err := e.readConsumer(ctx, live)
	if err != nil {
		return nil, err
	}
	want, err := e.objects.Beside(set)
	if err != nil {
		return nil, err
	}
	if refusal == nil {
		names, refusal = takeover.Match(consumer, want)
	}
	if refusal != nil {
		return nil, e.notTaken(r, *refusal)
	}
	return names, nil
}

// readConsumer reads a KongConsumer with the Secrets that it names. One that another KongConsumer names too stays with
// both.
func (e *Engine) readConsumer(ctx context.Context, live *unstructured.Unstructured) (
	consumer takeover.Consumer, refusal *takeover.Refusal, err error,
) {
	shared, err := e.cluster.namedByOthers(ctx, live)
	if err != nil {
		return consumer, nil, err
	}
	consumer.Name = live.GetName()
	consumer.Username, _, _ = unstructured.NestedString(live.Object, "username")
	consumer.CustomID, _, _ = unstructured.NestedString(live.Object, "custom_id")
	for _, name := range credentialNames(live) {
		if by, is := shared[name]; is {
			return consumer, &takeover.Refusal{
				What: "KongConsumer " + by + " names its Secret " + name + " too", Remedy: "Give each a Secret of its own",
			}, nil
		}
		r := objects.Reference{APIVersion: "v1", Kind: "Secret", Namespace: live.GetNamespace(), Name: name}
		secret, err := e.cluster.get(ctx, r)
		if err != nil {
			return consumer, nil, fmt.Errorf("get %s: %w", r, err)
		}
		if secret != nil {
			consumer.Secrets = append(consumer.Secrets, takeover.Secret{
				Name: name, Kind: secret.GetLabels()[objects.LabelCredential], Data: dataOf(secret),
			})
		}
	}
	return consumer, nil, nil
}

// dataOf decodes a Secret's content.
func dataOf(secret *unstructured.Unstructured) map[string]string {
	encoded, _, _ := unstructured.NestedStringMap(secret.Object, "data")
	data := map[string]string{}
	for name, text := range encoded {
		if content, err := base64.StdEncoding.DecodeString(text); err == nil {
			data[name] = string(content)
		}
	}
	return data
}

func (e *Engine) notTaken(r objects.Reference, refusal takeover.Refusal) error {
	stalled := status.Stalled(v1alpha1.ReasonConflict,
		"metadata.annotations[kongjwt.dev/take-over]: %s is not taken over, as %s (KongGateway %s). %s.",
		r, refusal.What, e.start.Scope.Gateway, refusal.Remedy)
	stalled.RetryAfter = again
	return stalled
}
