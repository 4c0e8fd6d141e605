// Package watch has the predicates and event handlers of the controllers' watches.
//
// Each controller watches its own kind by OwnChanged, and what its resources name by the other predicates. A handler
// turns an object that changed into the resources that name it, through the indexes of internal/index, so that no
// change costs a look at every resource. Secrets are watched as metadata: their content is read by the reconcile,
// live. A predicate that lets too little through leaves a resource wrong until something else wakes it, since nothing
// is reconciled by the clock alone; one that lets too much through costs a reconcile that finds nothing to do.
package watch

import (
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// OwnChanged passes changes that a person made to a resource of the controller's own kind: to the spec, to
// annotations, to labels (selectors look at them), and deletion. Our own writes of status and finalizers are not
// among them, but for one: what was Ready and is not. A former leader may have written that, or this process long
// ago, by a request whose answer was lost; nobody would look again. A finalizer that somebody took off is put back.
func OwnChanged() builder.Predicates {
	return builder.WithPredicates(predicate.Or[client.Object](
		// The API server raises metadata.generation with every change of a spec, and when deletionTimestamp is
		// set. It does so for no write of the status subresource.
		predicate.GenerationChangedPredicate{},
		predicate.AnnotationChangedPredicate{},
		predicate.LabelChangedPredicate{},
		predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool {
				return isReady(e.ObjectOld) && !isReady(e.ObjectNew) || hasFinalizer(e.ObjectOld) && !hasFinalizer(e.ObjectNew)
			},
			// The three predicates above let creations and deletions through already.
			CreateFunc: never[event.CreateEvent], DeleteFunc: never[event.DeleteEvent], GenericFunc: never[event.GenericEvent],
		},
	))
}

// never lets nothing through. It is there because predicate.Funcs lets through what it has no function for.
func never[E any](E) bool { return false }

// isReady is false for an object of another type.
func isReady(object client.Object) bool {
	resource, ok := object.(v1alpha1.Resource)
	return ok && apimeta.IsStatusConditionTrue(*resource.GetConditions(), v1alpha1.ConditionReady)
}

func hasFinalizer(object client.Object) bool {
	return controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer)
}

// SpecChanged passes changes of a spec that others depend on, and deletion. An annotation is between a resource and
// its own controller: to ask a gateway for a drift check is not to ask all that use it. Neither does a status that a
// gateway writes each time that its counts change wake its users.
func SpecChanged() builder.Predicates {
	return builder.WithPredicates(predicate.And[client.Object](afterStart(), predicate.GenerationChangedPredicate{}))
}

// ContentChanged passes any change of an object's content; of a Secret or Service every write counts. The resync of an
// informer has the same resourceVersion on both sides, and is left out.
func ContentChanged() builder.Predicates {
	return builder.WithPredicates(predicate.And[client.Object](afterStart(), predicate.ResourceVersionChangedPredicate{}))
}

// LabelsChanged passes changes of labels, as a selector of namespaces sees them.
func LabelsChanged() builder.Predicates {
	return builder.WithPredicates(predicate.And[client.Object](afterStart(), predicate.LabelChangedPredicate{}))
}

// afterStart leaves out what there is when the operator starts: all resources are looked at then, so what they name
// need not ask for that too. Without it each Secret would enqueue its resources once more: twice the work of a start.
func afterStart() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }}
}

// AfterStartWhen is OnlyWhen without what there is when the operator starts.
func AfterStartWhen[T client.Object](changed func(before, after T) bool) builder.Predicates {
	return builder.WithPredicates(afterStart(), whenChanged(changed))
}

// OnlyWhen passes updates that changed says matter, and all creations and deletions.
func OnlyWhen[T client.Object](changed func(before, after T) bool) builder.Predicates {
	return builder.WithPredicates(whenChanged(changed))
}

// whenChanged lets updates through that changed what is looked at, and everything but updates.
func whenChanged[T client.Object](changed func(before, after T) bool) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(T)
		after, fine := e.ObjectNew.(T)
		return ok && fine && changed(before, after)
	}}
}

// WhenOrGone passes updates that changed says matter, and deletions.
func WhenOrGone[T client.Object](changed func(before, after T) bool) builder.Predicates {
	return builder.WithPredicates(predicate.Funcs{
		CreateFunc: never[event.CreateEvent], GenericFunc: never[event.GenericEvent],
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(T)
			after, fine := e.ObjectNew.(T)
			return ok && fine && changed(before, after)
		},
	})
}
