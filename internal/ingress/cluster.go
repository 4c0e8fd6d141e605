package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/takeover"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// cluster reads and writes objects at the API server, past any cache.
type cluster struct{ kube client.WithWatch }

// page is how many objects are listed at once.
const page = 500

// Kinds that are read, written and watched.
var (
	kindSecret        = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	kindService       = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	kindIngress       = schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}
	kindConsumer      = kongKind(objects.KindConsumer)
	kindClusterPlugin = kongKind(objects.KindClusterPlugin)
	kindPlugin        = kongKind(objects.KindPlugin)
)

func kongKind(kind string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(objects.GroupKong, kind)
}

// written are the kinds that this operator writes.
var written = []schema.GroupVersionKind{kindSecret, kindService, kindIngress, kindConsumer, kindClusterPlugin}

// referenceOf names an object of a kind.
func referenceOf(kind schema.GroupVersionKind, o metav1.Object) objects.Reference {
	return objects.Reference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName(),
	}
}

// list gives all objects of a gateway: their metadata, which says all that is needed.
func (c cluster) list(ctx context.Context, s objects.Settings) ([]held.Object, error) {
	var all []held.Object
	for _, kind := range written {
		labels := client.MatchingLabels{objects.LabelScope: s.ScopeLabel()}
		err := c.pages(ctx, kind, []client.ListOption{labels},
			func(m *metav1.PartialObjectMetadata) {
				if o, ok := s.Read(referenceOf(kind, m), m.Labels, m.Annotations); ok {
					all = append(all, held.Object{Object: o, Print: fingerprint(kind.Kind, m), UID: string(m.UID)})
				}
			})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
	}
	return all, c.findGuarded(ctx, all)
}

// findGuarded reads the routes whose description is not believed: whether anybody gets to one of those decides what
// has to be in Kong before it opens.
func (c cluster) findGuarded(ctx context.Context, all []held.Object) error {
	for i, o := range all {
		if o.Kind != kindIngress.Kind || o.Sum != objects.UnknownSum {
			continue
		}
		live, err := c.get(ctx, o.Reference)
		if err != nil {
			return fmt.Errorf("get %s: %w", o.Reference, err)
		}
		all[i].Guarded = live != nil && objects.IsGuard(live.GetAnnotations(), live.Object)
	}
	return nil
}

// plugins gives the KongPlugins of a namespace, or of all: where one has the name of a KongClusterPlugin, the
// controller takes it for the objects of its namespace. One in deletion it does not take.
func (c cluster) plugins(ctx context.Context, namespace string) (map[objects.Reference]bool, error) {
	found := map[objects.Reference]bool{}
	err := c.pages(ctx, kindPlugin, []client.ListOption{client.InNamespace(namespace)}, func(m *metav1.PartialObjectMetadata) {
		if m.DeletionTimestamp == nil {
			found[referenceOf(kindPlugin, m)] = true
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kindPlugin.Kind, err)
	}
	return found, nil
}

func (c cluster) pages(
	ctx context.Context, kind schema.GroupVersionKind, options []client.ListOption,
	each func(*metav1.PartialObjectMetadata),
) error {
	for next := ""; ; {
		list := metadataOf(kind)
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

// fingerprint changes with whatever somebody changes of an object of a kind, its status apart. A Service has no
// generation: its version changes with its status too, which nobody writes of one without a load balancer.
func fingerprint(kind string, m metav1.Object) string {
	version := ""
	if kind == kindService.Kind {
		version = m.GetResourceVersion()
	}
	return fmt.Sprint(m.GetUID(), m.GetGeneration(), version, m.GetLabels(), m.GetAnnotations(),
		m.GetDeletionTimestamp() != nil)
}

// gone is the fingerprint of an object that is not there.
const gone = "gone"

// validate has the API server judge an object as it would be applied, its admission among it, and writes nothing.
func (c cluster) validate(ctx context.Context, o objects.Object) error {
	u := &unstructured.Unstructured{Object: o.Content}
	return c.kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.ForceOwnership,
		client.FieldOwner(v1alpha1.ManagedBy), client.DryRunAll)
}

// apply writes an object by server-side apply, takes out what others added, and gives its fingerprint and its UID.
func (c cluster) apply(ctx context.Context, o objects.Object) (print string, uid types.UID, err error) {
	u := (&unstructured.Unstructured{Object: o.Content}).DeepCopy()
	err = c.force(ctx, u)
	if apierrors.IsInvalid(err) && o.Rank() == objects.RankBase {
		u, err = c.remake(ctx, o)
	}
	if err != nil {
		return "", "", err
	}
	if surplus := objects.Surplus(o, u.Object); surplus != nil {
		raw, err := json.Marshal(surplus)
		if err != nil {
			return "", "", err
		}
		print, err = c.patch(ctx, o.Reference, raw)
		return print, u.GetUID(), err
	}
	return fingerprint(u.GetKind(), u), u.GetUID(), nil
}

// remake brings an immutable Secret with another content to what is wanted. One that says the same in other words, as
// one that was taken over may, stays, and is described anew: without it requests would be refused for a moment.
func (c cluster) remake(ctx context.Context, o objects.Object) (*unstructured.Unstructured, error) {
	live, err := c.get(ctx, o.Reference)
	if err != nil {
		return nil, err
	}
	u := (&unstructured.Unstructured{Object: o.Content}).DeepCopy()
	kind := u.GetLabels()[objects.LabelCredential]
	if live != nil && (takeover.Secret{Kind: kind, Data: dataOf(live)}).Makes(o) {
		for _, field := range []string{"stringData", "immutable", "type"} {
			delete(u.Object, field)
		}
		return u, c.force(ctx, u)
	}
	if err := c.remove(ctx, o.Reference); err != nil {
		return nil, err
	}
	return u, c.force(ctx, u)
}

// force applies an object, and takes the fields from whoever else has them.
func (c cluster) force(ctx context.Context, u *unstructured.Unstructured) error {
	return c.kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.ForceOwnership,
		client.FieldOwner(v1alpha1.ManagedBy))
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
	return fingerprint(r.Kind, u), err
}

func empty(r objects.Reference) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(r.APIVersion)
	u.SetKind(r.Kind)
	u.SetNamespace(r.Namespace)
	u.SetName(r.Name)
	return u
}

// leftOut are the objects that a fallback goes on with though a plugin that they name was left out, by the
// controllers' events. With the last valid configuration in place of what is refused there is no such event.
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
