package ingress

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// attach puts an owner's annotation on somebody else's object. The API server is asked each time what is on it now.
// The annotation is never forced: where another field manager has it, that one decides.
func (r *run) attach(ctx context.Context, o objects.Object) error {
	field := r.target.Field()
	live, err := r.cluster.get(ctx, o.Reference)
	switch {
	case isNoKind(err):
		return r.pause(status.Stalled(v1alpha1.ReasonTargetNotFound,
			"%s: the cluster has no kind %s (KongGateway %s). Install the Gateway API, or name a Service.",
			field, o.Kind, r.start.Scope.Gateway))
	case err != nil:
		return fmt.Errorf("get %s: %w", o.Reference, err)
	case live == nil || live.GetDeletionTimestamp() != nil:
		r.lost(o.Reference)
		return r.pause(status.Stalled(v1alpha1.ReasonTargetNotFound,
			"%s: %s does not exist (KongGateway %s). Create it, or name another.",
			field, o.Reference, r.start.Scope.Gateway))
	case objects.IsOwn(live.GetLabels()):
		return r.pause(status.Stalled(v1alpha1.ReasonConflict, "%s: %s is managed by this operator already (KongGateway %s). "+
			"Change that resource instead: spec.attachTo is for what this operator does not manage.",
			field, o.Reference, r.start.Scope.Gateway))
	}
	r.result.ServedBy = servedBy(live)
	manager := r.objects.AttachManager(o.Owner)
	before, attached := r.own[o.Reference]
	if attached && manages(live, manager) && !isAttached(live, manager, o) && !r.refused && !r.settled(o.Rank(), before) {
		r.open = true // it names other plugins once these are in Kong as they are wanted
		return nil
	}
	if !attached && !r.refused {
		if hidden, err := r.hidden(ctx); hidden || err != nil {
			return err
		}
	}
	if !isAttached(live, manager, o) {
		if before.Sum == o.Sum && pauses(r, before) {
			return nil
		}
		conflict := r.cluster.attach(ctx, live, o, manager)
		if apierrors.IsConflict(conflict) && len(managersOf(conflict)) > 0 {
			r.lost(o.Reference)
			return r.contested(o, managersOf(conflict))
		}
		if conflict != nil {
			return r.failed(o, conflict)
		}
		narrows := attached && r.namesNewGuard(before)
		if before.Epoch = r.barrier.Wrote(); narrows {
			r.held.Withdrew(r.owner, before.Epoch)
		}
		r.result.Writes++
		if r.targets.Taken(r.owner) && !manages(live, manager) {
			r.targets.Lose(r.owner, before.Epoch)
		}
	} else if !attached {
		before.Epoch = r.barrier.Wrote() // written by a process of before
	}
	noteAttached(r, o, before.Epoch)
	return nil
}

// noteAttached records the annotation of an object as it was written in an epoch.
func noteAttached(r *run, o objects.Object, epoch uint64) {
	before := r.own[o.Reference]
	now := held.Object{Object: o, Print: o.Sum, Epoch: epoch, Since: before.Since, Written: before.Written}
	now.Content = nil
	if now.Epoch != before.Epoch {
		now.Written = r.start.Now()
		now.Repaired(before)
	} else if now.Epoch > r.barrier.Confirmed() {
		now.Repairs = before.Repairs
	}
	r.own[o.Reference] = now
	r.held.Put(now)
	r.targets.Take(r.owner)
}

// pause has a stalled owner look again now and then; it is woken, too, when its target changes.
func (r *run) pause(stalled *status.StalledError) error {
	stalled.RetryAfter = r.arbiter.Retry(r.owner)
	return stalled
}

// lost notes that an object no longer has the owner's annotation.
func (r *run) lost(reference objects.Reference) {
	if is, attached := r.own[reference]; attached {
		r.drop(is)
		delete(r.own, reference)
	}
}

// withoutPlugins is what it means that an annotation is not there.
const withoutPlugins = "requests pass without the operator's plugins"

// reattached says that an annotation that somebody took off is written again, and not in Kong yet.
func (r *run) reattached() error {
	return status.Wait(again, v1alpha1.ReasonUnprotected, "%s: %s did not have the annotation %s any more. It is written "+
		"again, and until the ingress controller has taken it %s (KongGateway %s). Look who took it off, or made the object anew.",
		r.target.Field(), objects.Target(r.owner, r.target), objects.AnnotationPlugins, withoutPlugins,
		r.start.Scope.Gateway)
}

// contested says who has the annotation.
func (r *run) contested(o objects.Object, managers []string) error {
	reason, effect := v1alpha1.ReasonConflict, "and the operator does not take it over"
	if r.targets.Taken(r.owner) {
		reason, effect = v1alpha1.ReasonUnprotected, withoutPlugins
	}
	return r.pause(status.Stalled(reason,
		"%s: the annotation %s of %s belongs to the field manager %s, %s (KongGateway %s). "+
			"Take the annotation out of what that manager applies, and name its plugins in spec.plugins.",
		r.target.Field(), objects.AnnotationPlugins, o.Reference, strings.Join(managers, ", "), effect,
		r.start.Scope.Gateway))
}

// detach takes an owner's annotation off an object.
func (r *run) detach(ctx context.Context, reference objects.Reference) error {
	manager := r.objects.AttachManager(r.owner)
	live, err := r.cluster.get(ctx, reference)
	if isNoKind(err) || err == nil && (live == nil || !manages(live, manager)) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.cluster.attach(ctx, live, objects.Object{}, manager)
}

// attach applies the annotation of an object, or none where the object is zero, under a field manager. It makes no
// object: the UID is that of the one that was read.
func (c cluster) attach(ctx context.Context, live *unstructured.Unstructured, o objects.Object, manager string) error {
	u := &unstructured.Unstructured{Object: o.Content}
	u = u.DeepCopy()
	if u.Object == nil {
		u.Object = map[string]any{}
	}
	u.SetAPIVersion(live.GetAPIVersion())
	u.SetKind(live.GetKind())
	u.SetName(live.GetName())
	u.SetNamespace(live.GetNamespace())
	u.SetUID(live.GetUID())
	return c.kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(manager))
}

// attachments lists the objects that plugins of this operator's are on: by field manager, and by the plugins' names.
func (c cluster) attachments(ctx context.Context, s objects.Settings, found []held.Object) ([]held.Object, error) {
	owners := map[string]desired.Owner{}
	for _, o := range found {
		if o.Kind == objects.KindClusterPlugin {
			owners[o.Name] = o.Owner
		}
	}
	var all []held.Object
	for _, kind := range objects.Attachable() {
		gv, err := schema.ParseGroupVersion(kind.APIVersion)
		if err != nil {
			return nil, err
		}
		err = c.pages(ctx, gv.WithKind(kind.Kind), nil, func(m *metav1.PartialObjectMetadata) {
			for _, name := range objects.Plugins(m.Annotations) {
				owner, known := owners[name]
				if known && owner.Namespace == m.Namespace && manages(m, s.AttachManager(owner)) {
					r := objects.Reference{APIVersion: kind.APIVersion, Kind: kind.Kind, Namespace: m.Namespace, Name: m.Name}
					o := s.Attached(owner, r, objects.Plugins(m.Annotations))
					o.Content = nil
					all = append(all, held.Object{Object: o, Print: o.Sum})
					return
				}
			}
		})
		if err != nil && !isNoKind(err) {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
	}
	return all, nil
}

// isAttached says whether an object has just the annotation that is wanted, and an owner's manager has written it.
func isAttached(live *unstructured.Unstructured, manager string, o objects.Object) bool {
	metadata, _ := o.Content["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	return manages(live, manager) && live.GetAnnotations()[objects.AnnotationPlugins] == annotations[objects.AnnotationPlugins]
}

// manages says whether a field manager has applied the annotation of plugins.
func manages(o metav1.Object, manager string) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == manager && entry.FieldsV1 != nil &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:`+objects.AnnotationPlugins+`"`)
	})
}

// managersOf are the field managers that a conflict names.
func managersOf(err error) []string {
	var refused apierrors.APIStatus
	if !errors.As(err, &refused) || refused.Status().Details == nil {
		return nil
	}
	var managers []string
	for _, cause := range refused.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			_, rest, _ := strings.Cut(cause.Message, `"`)
			name, _, _ := strings.Cut(rest, `"`)
			managers = append(managers, fmt.Sprintf("%q", name))
		}
	}
	slices.Sort(managers)
	return slices.Compact(managers)
}

// servedBy are the Gateways that accepted an HTTPRoute, by its status.
func servedBy(route *unstructured.Unstructured) []string {
	parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
	var names []string
	for _, one := range parents {
		parent, _ := one.(map[string]any)
		ref, _, _ := unstructured.NestedMap(parent, "parentRef")
		kind, given := ref["kind"].(string)
		if given && kind != "Gateway" || !accepted(parent) {
			continue
		}
		namespace, _ := ref["namespace"].(string)
		if namespace == "" {
			namespace = route.GetNamespace()
		}
		name, _ := ref["name"].(string)
		names = append(names, namespace+"/"+name)
	}
	slices.Sort(names)
	const most = 32 // a route has no more parents
	names = slices.Compact(names)
	return names[:min(len(names), most)]
}

func accepted(parent map[string]any) bool {
	raw, _, _ := unstructured.NestedSlice(parent, "conditions")
	return slices.ContainsFunc(raw, func(one any) bool {
		condition, _ := one.(map[string]any)
		return condition["type"] == "Accepted" && condition["status"] == string(metav1.ConditionTrue)
	})
}
