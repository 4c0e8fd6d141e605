package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// subject is what all parts of a reconciliation work on. It lives for one reconcile, in one goroutine: nothing here
// needs a lock.
type subject struct {
	*Reconciler
	consumer *v1alpha1.JwtConsumer
	// gateway is set before the first phase.
	gateway resolve.Gateway
	// former are the credentials of the status as it was read.
	former []v1alpha1.CredentialStatus
}

func (s *subject) owner() desired.Owner { return resolve.OwnerOf(s.consumer) }

// isNews says whether the spec is another than the one that the status is of, so that the status need not tell of all
// that was done.
func (s *subject) isNews() bool { return s.consumer.Status.ObservedGeneration != s.consumer.Generation }

func (s *subject) secretOwner() secrets.Owner { return resolve.SecretOwner(s.consumer) }

// credentialID is the id in Kong of what a slot holds, as the operator gives it.
func (s *subject) credentialID(slot credential.Slot) string {
	return desired.CredentialID(s.gateway.Scope, s.owner(), desired.CredentialPart(slot))
}

// reconciliation is one reconcile of a JwtConsumer.
type reconciliation struct {
	*subject
	revisions   *revisions
	sources     *sources
	keySets     *keySets
	sync        *kongSync
	planes      *planes
	publication *publication
	departures  *departures
	report      *report
}

// newReconciliation makes a reconcile of a consumer, whose status is changed in place; before is a copy of it.
func newReconciliation(r *Reconciler, before, consumer *v1alpha1.JwtConsumer) *reconciliation {
	s := &subject{Reconciler: r, consumer: consumer, former: before.Status.Credentials}
	run := &reconciliation{subject: s}
	run.revisions = newRevisions(s)
	run.keySets = newKeySets(s)
	run.sources = &sources{subject: s, revisions: run.revisions}
	run.sync = &kongSync{subject: s, sources: run.sources, revisions: run.revisions, keySets: run.keySets}
	run.sync.input.Consumer = consumer
	run.planes = &planes{subject: s, sources: run.sources, revisions: run.revisions, sync: run.sync}
	run.publication = &publication{subject: s, sources: run.sources, revisions: run.revisions, keySets: run.keySets}
	run.departures = &departures{subject: s, revisions: run.revisions, sync: run.sync, planes: run.planes}
	run.report = &report{
		subject: s, sources: run.sources, revisions: run.revisions, keySets: run.keySets, sync: run.sync, departures: run.departures,
	}
	return run
}

// program brings Kong to what the spec says. The first error of a phase ends it: the phases after it rest on what that
// phase could not find out. removeWithdrawn is then what is left to do, since access that the spec has taken away may
// not wait for a repair. planes.verify comes last: it asks for what rotate has put into Kong.
func (r *reconciliation) program(ctx context.Context, gateway resolve.Gateway) error {
	r.gateway = gateway
	for _, phase := range []func(context.Context) error{
		r.sources.read, r.keySets.read, r.sync.readConfigs, r.rotate, r.planes.verify,
	} {
		if err := phase(ctx); err != nil {
			return r.removeWithdrawn(ctx, err)
		}
	}
	// The first *status.StalledError of these gives Ready its reason, and the message has all. Without one the
	// first wait is told. The soonest look of all counts (status.Next).
	return errors.Join(r.sources.problem, r.keySets.problem, r.sync.clash, r.sync.refused, r.sync.unsupported, r.refusedRequests(),
		r.awaitRotation(), r.keySets.await(), r.awaitRevocation())
}

// roundsAtOnce is how many rounds are gone before others get their turn.
const roundsAtOnce = 4

// rotate brings Kong and the Secrets for clients to what the state says, and the state to what came of it, until
// nothing moves. Each round is one step of a rotation at most: what is in Kong is published, what is published is
// promoted, what was promoted takes the place of the former, what has arrived that of an issuer's keys. The order
// inside a round is what keeps callers from being refused. Kong gets the material before the Secret for clients does.
// What clients read is promoted only afterwards, in the state, and only then the overlap of the former revision
// begins. A crash between two of these leaves a Secret, or an entity, that the state does not tell of yet: the next
// reconcile sees it (sawPublished, Engine.Standing) and takes the same step.
func (r *reconciliation) rotate(ctx context.Context) error {
	for range roundsAtOnce {
		wanted, err := r.sync.build()
		if err != nil {
			return err
		}
		// The error is looked at below: what Kong took all the same has to be observed first.
		refused := r.sync.apply(ctx, wanted)
		// Verdicts before publish: they say which revision may be given to clients.
		r.planes.observe()
		// Whether Kong holds a key of the issuer is known only after the Sync.
		r.revisions.supersedeWhere(r.isReplacedByIssuer)
		// The plan was not gone through. What Kong holds is not known, and neither clients nor the state may
		// rest on it.
		if refused != nil && !r.sync.result.Applied {
			r.report.credentials(ctx)
			return refused
		}
		// While something could not be brought into Kong, a Secret of a former spec may be all that clients
		// have: it stays.
		if err := r.publication.publish(ctx, len(r.sync.result.Undone) > 0); err != nil {
			return errors.Join(refused, err)
		}
		// The report comes before the error is looked at, so that the status tells of Kong as it is.
		moved, err := r.revisions.advance(ctx)
		r.report.credentials(ctx)
		// A round in which the state moves, or in which something arrives that an issuer's keys stayed for,
		// asks for another one: what Kong shall hold is different then.
		if err != nil || refused != nil || !moved && !r.sync.hasArrived() {
			return errors.Join(refused, err, r.keySets.forgetReplaced(ctx))
		}
	}
	return status.Wait(time.Second, v1alpha1.ReasonRotating, "the credentials are still moving; looking again")
}

// isReplacedByIssuer says whether Kong holds a key of the issuer that a credential follows. What the credential was
// before stays until then. Keys that have left the set do not count: they go soon, and nothing would be left.
func (r *reconciliation) isReplacedByIssuer(name string) bool {
	set := r.keySets.sets[name]
	return set != nil && slices.ContainsFunc(set.decision.Held, func(held jwks.Held) bool {
		return !held.Leaving() && r.sync.holds(r.keySets.keyID(set, held.ID))
	})
}

// untilNextLook is how long it takes until something is due; zero where nothing is. WriteStatus takes the sooner of it
// and of what the errors ask for.
func (r *reconciliation) untilNextLook() time.Duration {
	next := r.revisions.untilNext()
	next = status.Sooner(next, r.keySets.untilNext())
	return status.Sooner(next, r.planes.untilNext())
}

// message of Ready where nothing is wrong.
func (r *reconciliation) message() string {
	if r.consumer.Spec.Revoked {
		return fmt.Sprintf("Consumer %s is in Kong; its credentials are revoked", r.consumer.Status.Username)
	}
	count := len(r.sync.input.Credentials)
	noun := "credentials"
	if count == 1 {
		noun = "credential"
	}
	message := fmt.Sprintf("Consumer %s is in Kong with %d %s", r.consumer.Status.Username, count, noun)
	for _, c := range r.sources.credentials {
		if note := c.material.LineBreak(); note != "" {
			message += fmt.Sprintf("; credential %s: %s", c.spec.Name, note)
		}
	}
	return message
}

// reason of Ready where nothing is wrong.
func (r *reconciliation) reason() string {
	if r.consumer.Spec.Revoked {
		return v1alpha1.ReasonRevoked
	}
	return v1alpha1.ReasonSucceeded
}
