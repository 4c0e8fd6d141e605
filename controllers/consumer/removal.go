package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// removeRevoked takes the credentials of a revoked consumer out of Kong before anything else is looked at: no Secret
// that is missing, no state that cannot be read, no policy, and no gateway that takes the consumer no longer may hold
// up a revocation. They leave the gateway whose Kong has them, whatever the spec names now. A suspended consumer and
// one that is being deleted are Run's. Without status.gateway Kong has nothing that the operator knows of.
func (r *reconciliation) removeRevoked(ctx context.Context) error {
	spec := r.consumer.Spec
	name := *r.consumer.GetProgrammedGateway()
	if !spec.Revoked || spec.Suspend || !r.consumer.DeletionTimestamp.IsZero() || name == "" {
		return nil
	}
	// Not by Resolve, which refuses a gateway that admits the namespace no more.
	engine, running := r.Gateways.Engines.Get(name)
	var gateway v1alpha1.KongGateway
	if err := r.Client.Get(ctx, client.ObjectKey{Name: name}, &gateway); err != nil || !running || gateway.Spec.Suspend {
		return client.IgnoreNotFound(err) // without an engine Run says what is waited for
	}
	// One that is repeated finds nothing left to delete and costs no request.
	result, err := engine.Revoke(ctx, r.owner())
	if result.Writes > 0 {
		r.forgetAnswers(name)
		r.Event(r.consumer, corev1.EventTypeNormal, v1alpha1.ReasonRevoked, "Revoke",
			fmt.Sprintf("%d credentials left Kong, since spec.revoked is true", result.Writes))
	}
	return err
}

// awaitRevocation waits until no data plane knows a revoked credential any more, or, where none can be asked, can know
// it. A reconcile that ends here is Ready, with reason Revoked: nobody can call with any of the credentials.
func (r *reconciliation) awaitRevocation() error {
	if !r.consumer.Spec.Revoked {
		return nil
	}
	if r.gateway.AsksDataPlanes {
		if holding := append(slices.Clone(r.planes.holding), r.departures.revokedRevisions()...); len(holding) > 0 {
			return status.Wait(askAgain, v1alpha1.ReasonAwaitingDataPlane,
				"no credential is in Kong any more; waiting until no data plane holds them: %s", strings.Join(holding, "; "))
		}
	}
	remaining := r.gateway.Engine.RevocationRemaining(r.owner())
	if remaining == 0 {
		return nil
	}
	return status.Wait(remaining, v1alpha1.ReasonAwaitingDataPlane,
		"no credential is in Kong any more; waiting until every data plane has to refuse them (propagation delay)")
}

// begin takes the steps that are due before Kong gets anything. A credential that a revocation kept out of Kong until
// now is decided as it would have been then: a request that was made meanwhile may be seen only now, together with the
// end of the revocation, and the former material is not to come back. No overlap is owed for it, since nobody could
// use it.
func (r *revisions) begin(ctx context.Context) error {
	wants := slices.Clone(r.wants)
	for i := range wants {
		wants[i].Revoked = wants[i].Revoked || r.isOut(wants[i].Name)
	}
	_, err := r.advanceTo(ctx, wants)
	return err
}

// isOut says whether nothing of a credential is in Kong, neither by the status as it was left, nor by what Kong holds.
func (r *revisions) isOut(name string) bool {
	history := r.of(name)
	active, found := history.Active()
	reported := slices.ContainsFunc(r.former, func(s v1alpha1.CredentialStatus) bool {
		return s.Name == name && s.Revision == active.Number && s.State == v1alpha1.CredentialPending
	})
	return found && reported && !slices.ContainsFunc(history.Revisions, func(revision credential.Revision) bool {
		return r.gateway.Engine.InKong(r.credentialID(revision.Slot), true)
	})
}

// removeWithdrawn takes out of Kong what was taken away from a consumer that cannot be programmed, whatever is wrong
// with it: credentials and groups that its spec no longer has, and revisions whose overlap is over or was ended. It
// does something only for a stall: after any other failure the reconcile is tried again soon, and what the spec says
// is not known to be final. Where a Sync went through, what is to go has gone with it. What is kept errs on the side
// of callers: a part that nothing speaks against stays.
func (r *reconciliation) removeWithdrawn(ctx context.Context, cause error) error {
	var stalled *status.StalledError
	if !errors.As(cause, &stalled) || r.sync.result.Applied {
		return cause
	}
	keeps := map[string]bool{}
	for _, group := range desired.Groups(r.consumer) {
		keeps[desired.GroupPart(group)] = true
	}
	result, err := r.gateway.Engine.RemoveAccess(ctx, r.owner(), func(part string) bool {
		name, isCredential := desired.CredentialOf(part)
		if !isCredential {
			return keeps[part]
		}
		slot, isSlot := desired.CredentialSlot(part)
		return r.sync.renamed[part] || isSlot && r.revisions.state.Known(slot) && !r.revisions.leaving(slot) ||
			r.hasCredential(name) && (!isSlot || !r.revisions.leaving(slot)) || r.keySets.has(name)
	})
	if result.Writes > 0 {
		r.forgetAnswers(r.gateway.Scope.Gateway)
	}
	if err != nil {
		return err
	}
	return cause
}
