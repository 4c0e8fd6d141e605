package ingress

import (
	"context"
	"encoding/base64"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// immutable is a cluster with an immutable Secret, and says how often it was deleted.
func immutable(data map[string]string) (c cluster, deleted *int) {
	deleted = new(int)
	there := true
	return cluster{interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			encoded := map[string]any{}
			for name, text := range data {
				encoded[name] = base64.StdEncoding.EncodeToString([]byte(text))
			}
			o.(*unstructured.Unstructured).Object["data"] = encoded //nolint:forcetypeassert // nothing else is read
			return nil
		},
		Apply: func(_ context.Context, _ client.WithWatch, a runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
			raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
			if err == nil && there && raw["stringData"] != nil {
				return apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "theirs", nil)
			}
			return err
		},
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			*deleted++
			there = false
			return nil
		},
	})}, deleted
}

func TestAnImmutableSecretStaysWhereItSaysWhatIsWanted(t *testing.T) {
	o := objects.Object{
		Entity:    kong.KindJWT,
		Reference: objects.Reference{APIVersion: "v1", Kind: "Secret", Namespace: "team", Name: "theirs"},
		Content: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
			"metadata":   map[string]any{"name": "theirs", "labels": map[string]any{objects.LabelCredential: "jwt"}},
			"stringData": map[string]any{"key": "k", "secret": "s", "algorithm": "HS256"},
		},
	}
	for name, test := range map[string]struct {
		data    map[string]string
		deletes int
	}{
		"without an algorithm": {map[string]string{"key": "k", "secret": "s"}, 0},
		"with another secret":  {map[string]string{"key": "k", "secret": "another"}, 1},
	} {
		c, deleted := immutable(test.data)
		if _, _, err := c.apply(t.Context(), o); err != nil || *deleted != test.deletes {
			t.Errorf("%s: deleted %d times, %v", name, *deleted, err)
		}
	}
}
