package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/holders"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// cluster reads and writes objects at the API server, past any cache.
type cluster struct{ kube client.WithWatch }

// page is how many objects are listed at once.
const page = 500

// written are the kinds that this operator writes.
var written = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "Service"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Group: "configuration.konghq.com", Version: "v1", Kind: objects.KindConsumer},
	{Group: "configuration.konghq.com", Version: "v1", Kind: objects.KindClusterPlugin},
}

// list gives all objects of a gateway: their metadata, which says all that is needed.
func (c cluster) list(ctx context.Context, s objects.Settings) ([]held.Object, error) {
	var all []held.Object
	for _, kind := range written {
		labels := client.MatchingLabels{objects.LabelScope: s.ScopeLabel()}
		err := c.pages(ctx, kind, []client.ListOption{labels},
			func(m *metav1.PartialObjectMetadata) {
				r := objects.Reference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: m.Namespace,
					Name: m.Name}
				if o, ok := s.Read(r, m.Labels, m.Annotations); ok {
					all = append(all, held.Object{Object: o, Print: fingerprint(m)})
				}
			})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
	}
	return all, nil
}

// plugins gives the KongPlugins of a namespace, or of all: where one has the name of a KongClusterPlugin, the controller
// takes it for the objects of its namespace. One in deletion it does not take.
func (c cluster) plugins(ctx context.Context, namespace string) (map[objects.Reference]bool, error) {
	found := map[objects.Reference]bool{}
	kind := schema.GroupVersionKind{Group: "configuration.konghq.com", Version: "v1", Kind: objects.KindPlugin}
	err := c.pages(ctx, kind, []client.ListOption{client.InNamespace(namespace)}, func(m *metav1.PartialObjectMetadata) {
		if m.DeletionTimestamp == nil {
			found[objects.Reference{
				APIVersion: objects.GroupKong, Kind: objects.KindPlugin, Namespace: m.Namespace, Name: m.Name,
			}] = true
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
	}
	return found, nil
}

func (c cluster) pages(
	ctx context.Context, kind schema.GroupVersionKind, options []client.ListOption,
	each func(*metav1.PartialObjectMetadata),
) error {
	for next := ""; ; {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		asked := append(slices.Clone(options), client.Limit(page), client.Continue(next))
		if err := c.kube.List(ctx, list, asked...); err != nil {
			return err
		}
		for i := range list.Items {
			each(&list.Items[i])
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// fingerprint changes with whatever somebody changes of an object, its status apart.
func fingerprint(m metav1.Object) string {
	return fmt.Sprint(m.GetGeneration(), m.GetLabels(), m.GetAnnotations(), m.GetDeletionTimestamp() != nil)
}

// validate has the API server judge an object as it would be applied, its admission among it, and writes nothing.
func (c cluster) validate(ctx context.Context, o objects.Object) error {
	u := &unstructured.Unstructured{Object: o.Content}
	return c.kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.ForceOwnership,
		client.FieldOwner(v1alpha1.ManagedBy), client.DryRunAll)
}

// apply writes an object by server-side apply, and gives its fingerprint.
func (c cluster) apply(ctx context.Context, o objects.Object) (string, error) {
	u := &unstructured.Unstructured{Object: o.Content}
	u = u.DeepCopy()
	err := c.kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.ForceOwnership,
		client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil {
		return "", err
	}
	if wanted := credentialNames(&unstructured.Unstructured{Object: o.Content}); len(credentialNames(u)) > len(wanted) {
		// The list is a set: what another manager wrote into it stays there, until the whole list is written.
		raw, err := json.Marshal(map[string]any{"credentials": wanted})
		if err != nil {
			return "", err
		}
		return c.patch(ctx, o.Reference, raw)
	}
	return fingerprint(u), nil
}

// namedByOthers are the Secrets that other KongConsumers of a namespace name, and who names each.
func (c cluster) namedByOthers(ctx context.Context, consumer *unstructured.Unstructured) (map[string]string, error) {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(objects.GroupKong)
	list.SetKind(objects.KindConsumer + "List")
	if err := c.kube.List(ctx, list, client.InNamespace(consumer.GetNamespace())); err != nil {
		return nil, fmt.Errorf("list KongConsumers: %w", err)
	}
	named := map[string]string{}
	for i := range list.Items {
		if other := &list.Items[i]; other.GetUID() != consumer.GetUID() {
			for _, name := range credentialNames(other) {
				named[name] = other.GetName()
			}
		}
	}
	return named, nil
}

// remove deletes an object; one that is gone is no error.
func (c cluster) remove(ctx context.Context, r objects.Reference) error {
	return client.IgnoreNotFound(c.kube.Delete(ctx, empty(r)))
}

// get reads an object; nil where it is not there.
func (c cluster) get(ctx context.Context, r objects.Reference) (*unstructured.Unstructured, error) {
	u := empty(r)
	err := c.kube.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Name}, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return u, err
}

// patch merges fields into an object, and gives its fingerprint.
func (c cluster) patch(ctx context.Context, r objects.Reference, raw []byte) (string, error) {
	u := empty(r)
	err := c.kube.Patch(ctx, u, client.RawPatch(types.MergePatchType, raw), client.FieldOwner(v1alpha1.ManagedBy))
	return fingerprint(u), err
}

func empty(r objects.Reference) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(r.APIVersion)
	u.SetKind(r.Kind)
	u.SetNamespace(r.Namespace)
	u.SetName(r.Name)
	return u
}

// holders gives who has which key and name, as objects have them.
func (c cluster) holders(ctx context.Context, s objects.Settings) (map[desired.UniqueKey]holders.Holder, error) {
	all := map[desired.UniqueKey]holders.Holder{}
	if err := c.credentials(ctx, s, all); err != nil {
		return nil, err
	}
	if err := c.consumers(ctx, s, all); err != nil {
		return nil, err
	}
	return all, nil
}

// consumers adds what the KongConsumers of a class are called.
func (c cluster) consumers(ctx context.Context, s objects.Settings, all map[desired.UniqueKey]holders.Holder) error {
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
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// credentials adds the keys of all jwt credentials' Secrets.
func (c cluster) credentials(ctx context.Context, s objects.Settings, all map[desired.UniqueKey]holders.Holder) error {
	for next := ""; ; {
		var list corev1.SecretList
		err := c.kube.List(ctx, &list, client.MatchingLabels{objects.LabelCredential: "jwt"}, client.Limit(page),
			client.Continue(next))
		if err != nil {
			return fmt.Errorf("list the credentials' Secrets: %w", err)
		}
		for i := range list.Items {
			secret := &list.Items[i]
			if secret.DeletionTimestamp == nil {
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

// complaint is what Kong refused of an object, by an event of the controller's: the field, and no values.
type complaint struct {
	field string
	// event tells the event apart from others, and from itself before it was counted up.
	event string
}

// refused are what Kong refused of objects since a time.
func (c cluster) refused(ctx context.Context, since time.Time) (map[objects.Reference]complaint, error) {
	var list corev1.EventList
	err := c.kube.List(ctx, &list, client.MatchingFields{"reason": "KongConfigurationApplyFailed",
		"type": corev1.EventTypeWarning})
	if err != nil {
		return nil, fmt.Errorf("list the ingress controller's events: %w", err)
	}
	found := map[objects.Reference]complaint{}
	for i := range list.Items {
		event := &list.Items[i]
		on := event.InvolvedObject
		if on.Kind == "Pod" || event.LastTimestamp.Add(time.Second).Before(since) {
			continue
		}
		// After the field's name there may be a value, which may be a secret.
		field, _, _ := strings.Cut(event.Message, ": ")
		r := objects.Reference{Kind: on.Kind, Namespace: on.Namespace, Name: on.Name}
		for _, kind := range written { // an event need not name the version
			if kind.Kind == on.Kind {
				r.APIVersion = kind.GroupVersion().String()
			}
		}
		found[r] = complaint{field: strings.TrimSuffix(field, ":"), event: string(event.UID) + " " + event.ResourceVersion}
	}
	return found, nil
}

// leftOut are the objects that a fallback goes on with though a plugin that they name was left out, by the controllers'
// events. With the last valid configuration in place of what is refused there is no such event.
func (c cluster) leftOut(ctx context.Context) ([]string, error) {
	var list corev1.EventList
	err := c.kube.List(ctx, &list, client.MatchingFields{"reason": "FallbackKongConfigurationTranslationFailed",
		"type": corev1.EventTypeWarning})
	if err != nil {
		return nil, fmt.Errorf("list the ingress controller's events: %w", err)
	}
	var names []string
	for i := range list.Items {
		on := list.Items[i].InvolvedObject
		names = append(names, objects.Reference{Kind: on.Kind, Namespace: on.Namespace, Name: on.Name}.String())
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func isNoKind(err error) bool    { return apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) }
func isForbidden(err error) bool { return apierrors.IsForbidden(err) }
