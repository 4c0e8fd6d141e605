package ingress

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/holders"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// holders gives who has which key and name, as objects have them.
func (c cluster) holders(ctx context.Context, s objects.Settings) (map[desired.UniqueKey]holders.Holder, error) {
	all, named := map[desired.UniqueKey]holders.Holder{}, map[client.ObjectKey]bool{}
	if err := c.consumers(ctx, s, all, named); err != nil {
		return nil, err
	}
	if err := c.credentials(ctx, s, all, named); err != nil {
		return nil, err
	}
	return all, nil
}

// consumers adds what the KongConsumers of a class are called, and notes the Secrets that they name.
func (c cluster) consumers(
	ctx context.Context, s objects.Settings, all map[desired.UniqueKey]holders.Holder, named map[client.ObjectKey]bool,
) error {
	for next := ""; ; {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(objects.GroupKong)
		list.SetKind(objects.KindConsumer + "List")
		if err := c.kube.List(ctx, list, client.Limit(page), client.Continue(next)); err != nil {
			return fmt.Errorf("list KongConsumers: %w", err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if o.GetAnnotations()[objects.AnnotationClass] != s.Class || o.GetDeletionTimestamp() != nil {
				continue
			}
			by := holderOf(s, objects.Reference{APIVersion: objects.GroupKong, Kind: objects.KindConsumer}, o)
			for field, kind := range map[string]desired.UniqueKind{
				"username": desired.UniqueUsername, "custom_id": desired.UniqueCustomID,
			} {
				if text, _, _ := unstructured.NestedString(o.Object, field); text != "" {
					all[s.Unique(desired.UniqueKey{Kind: kind, Value: text})] = by
				}
			}
			for _, name := range credentialNames(o) {
				named[client.ObjectKey{Namespace: o.GetNamespace(), Name: name}] = true
			}
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// credentials adds the keys of jwt credentials' Secrets. One that no KongConsumer names means nothing to Kong: who may
// write Secrets alone keeps nobody from a key.
func (c cluster) credentials(
	ctx context.Context, s objects.Settings, all map[desired.UniqueKey]holders.Holder, named map[client.ObjectKey]bool,
) error {
	for next := ""; ; {
		var list corev1.SecretList
		err := c.kube.List(ctx, &list, client.MatchingLabels{objects.LabelCredential: "jwt"}, client.Limit(page),
			client.Continue(next))
		if err != nil {
			return fmt.Errorf("list the credentials' Secrets: %w", err)
		}
		for i := range list.Items {
			secret := &list.Items[i]
			if secret.DeletionTimestamp == nil && named[client.ObjectKeyFromObject(secret)] {
				key := s.Unique(desired.UniqueKey{Kind: desired.UniqueCredentialKey, Value: string(secret.Data["key"])})
				all[key] = holderOf(s, objects.Reference{APIVersion: "v1", Kind: "Secret"}, secret)
			}
		}
		if next = list.Continue; next == "" {
			return nil
		}
	}
}

// holderOf gives an object of a kind, and whose it is.
func holderOf(s objects.Settings, kind objects.Reference, o metav1.Object) holders.Holder {
	kind.Namespace, kind.Name = o.GetNamespace(), o.GetName()
	read, _ := s.Read(kind, o.GetLabels(), o.GetAnnotations())
	return holders.Holder{Reference: kind, Owner: read.Owner}
}
