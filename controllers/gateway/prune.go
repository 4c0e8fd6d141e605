package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

const (
	// prunedAtOnce is how many owners are pruned before the gateway's other affairs get their turn.
	prunedAtOnce = 64
	// pruners is how many of them at the same time.
	pruners = 8
	// pruneAgain is when to go on where there are more.
	pruneAgain = time.Second
)

// prune deletes from Kong what belongs to resources that are gone, as spec.prune says, and writes into the status what
// it leaves. It says when to go on. An owner is confirmed by three looks: the engine's Ledger has seen it gone at two
// listings of Kong, by the cache, and pruneConfirmed asks the API server a last time. They are there for a restore
// that is half done, a cache that is behind, and a resource that is made again a moment later.
func (r *Reconciler) prune(ctx context.Context, object *v1alpha1.KongGateway, engine engine.Programmer) (again time.Duration, err error) {
	orphans, err := engine.Orphans(r.seemsGone(ctx, object.Name), maxPercent(object.Spec.Prune))
	if err != nil {
		return 0, err
	}
	kept := keptOrphans(object.Spec.Prune, orphans)
	if object.Spec.Prune.Policy != v1alpha1.PruneReport {
		var stuck *metav1.Condition
		again, stuck, err = r.pruneConfirmed(ctx, object, orphans.Confirmed, engine.Prune)
		// What is kept opens nothing: nobody rotates or revokes the credentials of a resource that is gone.
		// What is too much to be deleted at once is not left in use: its credentials go, and its routes,
		// plugins and groups stay until a person has looked.
		revoked, stays, failed := r.pruneConfirmed(ctx, object, withCredentials(engine, orphans.Kept), revoke(engine))
		if revoked > 0 {
			again = status.Sooner(again, revoked)
		}
		err = errors.Join(err, failed)
		kept = cmp.Or(kept, stuck, stays)
	}
	object.Status.Orphaned = int32(min(orphans.Entities, 1<<30))
	if kept == nil {
		object.Status.Orphaned = 0
		apimeta.RemoveStatusCondition(&object.Status.Conditions, v1alpha1.ConditionOrphansKept)
		return again, err
	}
	kept.ObservedGeneration = object.Generation
	former := apimeta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionOrphansKept)
	if former == nil || former.Reason != kept.Reason {
		r.Event(object, corev1.EventTypeWarning, kept.Reason, "Prune", kept.Message)
	}
	apimeta.SetStatusCondition(&object.Status.Conditions, *kept)
	return again, err
}

// maxPercent is how many of a hundred owners may be orphans before nothing is pruned: 20 where the spec names none.
func maxPercent(spec v1alpha1.Prune) int {
	if spec.MaxPercent == 0 {
		return 20
	}
	return int(spec.MaxPercent)
}

// keptOrphans says why orphans may not be deleted; nil where all may.
func keptOrphans(spec v1alpha1.Prune, orphans engine.Orphans) *metav1.Condition {
	owners := orphans.Kept
	if spec.Policy == v1alpha1.PruneReport {
		owners = slices.Concat(orphans.Confirmed, orphans.Kept)
	}
	if len(owners) == 0 {
		return nil
	}
	kept := &metav1.Condition{Type: v1alpha1.ConditionOrphansKept, Status: metav1.ConditionTrue}
	kept.Message = fmt.Sprintf("%d of the %d entities that are this gateway's in Kong belong to resources that are gone: %s.",
		orphans.Entities, orphans.Total, lifecycle.Abbreviate(ownerNames(owners)))
	if spec.Policy == v1alpha1.PruneReport {
		kept.Reason = v1alpha1.ReasonPruneReported
		kept.Message += " spec.prune.policy is Report: they stay. Delete them in Kong, or set it to Delete"
		return kept
	}
	kept.Reason = v1alpha1.ReasonTooManyOrphans
	kept.Message += fmt.Sprintf(" That is more of a namespace than may go at once (spec.prune.maxPercent: %d), "+
		"so only the credentials go. Find out why the resources are gone; if they have to be, raise it", maxPercent(spec))
	return kept
}

// withCredentials are the owners that have credentials in Kong.
func withCredentials(engine engine.Programmer, owners []desired.Owner) []desired.Owner {
	var holders []desired.Owner
	for _, owner := range owners {
		if credentials(engine, owner) > 0 {
			holders = append(holders, owner)
		}
	}
	return holders
}

// credentials is how many credentials of an owner Kong has.
func credentials(engine engine.Programmer, owner desired.Owner) int {
	return len(engine.CredentialIDs(owner, func(string) bool { return true }))
}

// revoke takes the credentials of an owner out of Kong, and says how many went. A Revoke that fails half way counts
// for what it took out.
func revoke(engine engine.Programmer) func(context.Context, desired.Owner) (int, error) {
	return func(ctx context.Context, owner desired.Owner) (int, error) {
		before := credentials(engine, owner)
		_, err := engine.Revoke(ctx, owner)
		return before - credentials(engine, owner), err
	}
}

func ownerNames(owners []desired.Owner) []string {
	names := make([]string, 0, len(owners))
	for _, owner := range owners {
		names = append(names, owner.String())
	}
	return names
}

// pruned is what became of one orphan.
type pruned struct {
	entities int
	err      error
}

// pruneConfirmed asks the API server once more for each owner, and prunes of those that are gone there too what
// takeOut takes out of Kong: it says how many entities went.
func (r *Reconciler) pruneConfirmed(
	ctx context.Context, object *v1alpha1.KongGateway, owners []desired.Owner,
	takeOut func(context.Context, desired.Owner) (int, error),
) (again time.Duration, kept *metav1.Condition, err error) {
	if len(owners) > prunedAtOnce {
		owners, again = owners[:prunedAtOnce], pruneAgain
	}
	results := make([]pruned, len(owners))
	group := errgroup.Group{}
	group.SetLimit(pruners)
	for i, owner := range owners {
		group.Go(func() error {
			// Past the cache, right before the deletion: a resource that was made anew under its old name
			// keeps what it has in Kong.
			gone, err := r.gone(ctx, r.Direct, owner, object.Name)
			if err == nil && gone {
				results[i].entities, err = takeOut(ctx, owner)
			}
			results[i].err = err
			return nil
		})
	}
	_ = group.Wait()

	entities := 0
	var done []string
	for i, result := range results {
		if result.entities > 0 {
			entities += result.entities
			done = append(done, owners[i].String())
		}
		var wait *status.WaitError
		var stalled *status.StalledError
		switch {
		case errors.As(result.err, &wait):
			again = status.Sooner(again, max(wait.After, pruneAgain))
		case errors.As(result.err, &stalled):
			again = status.Sooner(again, stalled.RetryAfter)
			kept = &metav1.Condition{
				Type: v1alpha1.ConditionOrphansKept, Status: metav1.ConditionTrue, Reason: stalled.Reason,
				Message: fmt.Sprintf("The resource %s is gone, and what it has in Kong stays: %s", owners[i], stalled.Message),
			}
		case apierrors.IsForbidden(result.err):
			// Whether the owner is gone cannot be seen: it is another process's.
		case result.err != nil:
			err = errors.Join(err, result.err)
		}
	}
	if entities > 0 {
		r.Event(object, corev1.EventTypeNormal, v1alpha1.EventPruned, "Prune",
			fmt.Sprintf("Deleted from Kong %d entities of resources that are gone: %s", entities, lifecycle.Abbreviate(done)))
	}
	return again, kept, err
}

// askedOneByOne is for how many owners the API server is asked for one each: for more, all resources are listed once.
const askedOneByOne = 16

// seemsGone says whether an owner is no more, for one look at all of them: by the cache, and, where that has some of
// the resources only, by the API server. What other processes work on would be taken for gone else, and would be
// reported as too much to prune. The function that it gives is for one goroutine. It lists at most once.
func (r *Reconciler) seemsGone(ctx context.Context, gatewayName string) func(desired.Owner) (bool, error) {
	asked := 0
	var everything map[desired.Owner]bool
	return func(owner desired.Owner) (bool, error) {
		gone, err := r.gone(ctx, r.Client, owner, gatewayName)
		if err != nil || !gone || r.Live == nil {
			return gone, err
		}
		if asked++; asked <= askedOneByOne {
			return r.gone(ctx, r.Live, owner, gatewayName)
		}
		if everything == nil {
			if everything, err = r.allOwners(ctx); err != nil {
				return false, err
			}
		}
		return !everything[owner], nil
	}
}

// allOwners lists, past the cache, the owners of all resources that this process may see. Pages of metadata keep the
// answer small, and the set is all that stays of them.
func (r *Reconciler) allOwners(ctx context.Context) (map[desired.Owner]bool, error) {
	const page = 1000
	found := map[desired.Owner]bool{}
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, kind := range v1alpha1.GatewayUserKinds() {
		for _, namespace := range namespaces {
			for next := ""; ; {
				list := &metav1.PartialObjectMetadataList{}
				list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind.Name + "List"))
				if err := r.Live.List(ctx, list, client.InNamespace(namespace), client.Limit(page), client.Continue(next)); err != nil {
					return nil, fmt.Errorf("list every %s, of which Kong may have something: %w", kind.Name, err)
				}
				for _, item := range list.Items {
					found[desired.Owner{Kind: kind.Name, Namespace: item.Namespace, Name: item.Name}] = true
				}
				if next = list.Continue; next == "" {
					break
				}
			}
		}
	}
	return found, nil
}

// gone says whether an owner is no more, or names another gateway now, as a reader sees it. What is not known to be so
// is not gone. An error ends the look at all owners (engine.Orphans): nothing is concluded from a part of them.
func (r *Reconciler) gone(ctx context.Context, reader client.Reader, owner desired.Owner, gatewayName string) (bool, error) {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, owner.Namespace) {
		return false, nil // another process's
	}
	kind, known := v1alpha1.KindNamed(owner.Kind)
	if !known {
		return false, nil // a kind that a newer version knows
	}
	user, ok := kind.New().(v1alpha1.GatewayUser)
	if !ok {
		return false, nil // the gateway's own
	}
	err := reader.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, user)
	// An API server that does not serve the kind answers 404 too: that says nothing of the resource.
	if apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s, of which Kong has something: %w", owner, err)
	}
	return !uses(user, gatewayName), nil
}
