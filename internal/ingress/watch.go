package ingress

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// watches has the API server tell of what somebody else does at once: the next look at all objects is minutes away.
// What a watch misses, that look finds. Nothing is kept of what it tells.
func (m *monitor) watches(ctx context.Context) {
	consumers := &unstructured.UnstructuredList{}
	consumers.SetAPIVersion(objects.GroupKong)
	consumers.SetKind(objects.KindConsumer + "List")
	scope := client.MatchingLabels{objects.LabelScope: m.objects.ScopeLabel()}
	go m.watch(ctx, consumers, m.seeConsumer, scope)
	for _, kind := range []schema.GroupVersionKind{kindSecret, kindClusterPlugin} {
		go m.watch(ctx, metadataOf(kind), func(o client.Object, there bool) { m.seeOwn(kind, o, there) }, scope)
	}
	go m.watch(ctx, metadataOf(kindPlugin), m.seePlugin)
	for _, kind := range objects.Attachable() {
		gv, _ := schema.ParseGroupVersion(kind.APIVersion) // a constant of ours
		go m.watch(ctx, metadataOf(gv.WithKind(kind.Kind)), func(o client.Object, there bool) {
			m.seeOwn(gv.WithKind(kind.Kind), o, there)
			kind.Namespace, kind.Name = o.GetNamespace(), o.GetName()
			for _, owner := range m.targets.Owners(kind) {
				m.wake(owner, engine.EventDrift)
			}
		})
	}
}

// metadataOf is an empty list of the metadata of a kind.
func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	return list
}

// rewatch is the pause before a watch that ended, or that cannot be, is begun again.
const rewatch = 10 * time.Second

// watch calls see for each object that comes, changes or goes, and says whether it is there, until ctx ends.
func (m *monitor) watch(ctx context.Context, list client.ObjectList, see func(o client.Object, there bool),
	options ...client.ListOption) {
	for refused := false; ctx.Err() == nil; {
		begun := m.start.Now()
		watcher, err := m.cluster.kube.Watch(ctx, list, options...)
		if err != nil && !refused && !isNoKind(err) && ctx.Err() == nil {
			m.start.Log.Error(err, "Cannot watch objects of this gateway; what somebody changes is found by the next listing",
				"list", list.GetObjectKind().GroupVersionKind().Kind)
		}
		if refused = err != nil; !refused {
			for event := range watcher.ResultChan() {
				if o, is := event.Object.(client.Object); is {
					see(o, event.Type != watch.Deleted && o.GetDeletionTimestamp() == nil)
				}
			}
			watcher.Stop()
		}
		if m.start.Now().Sub(begun) > rewatch {
			continue // the API server ends each watch after a while
		}
		select {
		case <-ctx.Done():
		case <-time.After(rewatch):
		}
	}
}

// seeConsumer wakes the owner of a KongConsumer that the controller drops or takes again, or that somebody changed.
func (m *monitor) seeConsumer(o client.Object, there bool) {
	u, is := o.(*unstructured.Unstructured)
	if !is {
		return
	}
	r := referenceOf(kindConsumer, o)
	if m.held.Dropped(r, there && programmed(u)["status"] == string(metav1.ConditionFalse)) {
		m.wakeOwner(r)
	}
	m.seeOwn(kindConsumer, o, there)
}

// seeOwn wakes the owner of an object that somebody changed or deleted: it is applied again.
func (m *monitor) seeOwn(kind schema.GroupVersionKind, o client.Object, there bool) {
	print := gone
	if there {
		print = fingerprint(kind.Kind, o)
	}
	if r := referenceOf(kind, o); m.held.Changed(r, print) {
		m.wakeOwner(r)
	}
}

// wakeOwner has the owner of an object look at what is not as it wrote it.
func (m *monitor) wakeOwner(of objects.Reference) {
	if own, found := m.held.Get(of); found {
		m.wake(own.Owner, engine.EventDrift)
	}
}

// seePlugin wakes the owner of a KongClusterPlugin that a KongPlugin hides, or hides no longer.
func (m *monitor) seePlugin(o client.Object, there bool) {
	if owner, changed := m.held.HideOne(referenceOf(kindPlugin, o), there, m.settings.Namespace); changed {
		m.wake(owner, engine.EventDrift)
	}
}
