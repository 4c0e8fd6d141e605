package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func isConflict(err error) bool {
	var conflict *kong.ConflictError
	return errors.As(err, &conflict)
}

// ambiguous says that a request may have been done all the same: no answer came, or one from which it cannot be told,
// such as a 500. What is known of the entity is uncertain then, and the next plan writes it again, which is safe since
// ids are computed.
func ambiguous(err error) bool {
	var unavailable *kong.UnavailableError
	return errors.As(err, &unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// isParentMissing says that a reference does not hold: of a put, what it refers to is not there; of a delete,
// something refers to it. Kong answers 400 with code 4 (FOREIGN_KEY_VIOLATION of kong/db/errors.lua), or 404 where the
// parent is in the path.
func isParentMissing(err error) bool {
	var invalid *kong.InvalidError
	return errors.As(err, &invalid) && invalid.Code == kong.CodeForeignKey || kong.IsNotFound(err)
}

// outcome turns an error of a write into what the owner should do next, and remembers what it says of the owner. field
// and what are for the message: the field of the spec that the entity comes from, and the name of the entity. An error
// that has been made for the user already goes through as it is.
func (r *rooms) outcome(owner desired.Owner, field, what string, err error) error {
	var stalled *status.StalledError
	var wait *status.WaitError
	var heldBack *heldBackError
	var invalid *kong.InvalidError
	var throttled *kong.ThrottledError
	var unlicensed *kong.UnlicensedError
	switch {
	case errors.As(err, &unlicensed):
		return r.lack(owner, err)
	case errors.As(err, &stalled) && stalled.Reason == v1alpha1.ReasonKongRejected:
		return r.rejected(owner, stalled)
	case err == nil || errors.As(err, &stalled) || errors.As(err, &wait) || errors.As(err, &heldBack) ||
		errors.Is(err, errReplan):
		return err
	case isParentMissing(err):
		return status.Wait(time.Second, v1alpha1.ReasonProgressing,
			"what %s belongs to is gone from Kong; looking again", what)
	case errors.As(err, &invalid):
		reasons := backend.Reasons(invalid.Fields)
		if reasons == "" {
			reasons = fmt.Sprintf("it answers code %d and names no field", invalid.Code)
		}
		return r.rejected(owner, status.Stalled(v1alpha1.ReasonKongRejected,
			"%s: Kong refuses %s: %s. Change what it names.", field, what, reasons))
	case errors.As(err, &throttled):
		after := max(throttled.RetryAfter, time.Second)
		return status.Wait(after, v1alpha1.ReasonProgressing, "the Admin API asks for a pause of %s", after)
	}
	// All that is left says that Kong does not do what it should. The owner is woken when a heartbeat says that it
	// is back, which may be sooner than the pause.
	r.doubt(owner)
	return status.Wait(jitter(2*time.Second), v1alpha1.ReasonKongUnreachable, "%s cannot be written: %v", what, err)
}

// rejected remembers an owner, to look again when Kong's version or plugins change, and at the next drift interval.
func (r *rooms) rejected(owner desired.Owner, stalled *status.StalledError) error {
	r.memory.reject(owner)
	stalled.RetryAfter = r.settings.DriftInterval
	return stalled
}

// failuresBeforeStall is how often a write may fail in a row, while Kong is healthy, before its owner stalls.
const failuresBeforeStall = 3

// chargeFailure tells a Kong that fails from one that fails for what it is sent: it answers 500 to some contents. The
// error is the entity's alone then, and everything else of the owner goes on. Without this, one tenant's entity would
// have the whole gateway taken for broken, again and again.
func (r *syncRun) chargeFailure(ctx context.Context, o plan.Op, what string, err error) error {
	var failed *kong.UnavailableError
	if o.Verb != plan.Put || !errors.As(err, &failed) || failed.Status != http.StatusInternalServerError {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	// Kong's answer of this moment, not the monitor's of a few seconds ago.
	if r.link.current().Healthy(ctx) != nil {
		return err
	}
	failures := r.memory.fail(r.set.Owner, o.Target.ID)
	if failures < failuresBeforeStall {
		pause := jitter(time.Second << failures)
		return &heldBackError{status.Wait(pause, v1alpha1.ReasonProgressing, "%s cannot be written: %v", what, err)}
	}
	return status.Stalled(v1alpha1.ReasonKongRejected,
		"%s: Kong is healthy, and fails with status %d when it is sent %s. Look at its log, and change what it is sent.",
		entityField(o.Target.Entry), failed.Status, what)
}

// KeyField is the field of a spec that a unique key comes from.
func KeyField(kind desired.UniqueKind) string {
	switch kind {
	case desired.UniqueUsername:
		return "spec.username"
	case desired.UniqueCustomID:
		return "spec.customID"
	case desired.UniqueCredentialKey:
		return "spec.credentials"
	case desired.UniqueServiceName:
		return "spec.serviceName"
	}
	return "spec.routes"
}

// entityField is the field of a spec that an entity comes from.
func entityField(e plan.Entry) string {
	switch e.Kind {
	case kong.KindConsumer:
		return "spec.username"
	case kong.KindJWT:
		return "spec.credentials"
	case kong.KindACL:
		return "spec.groups"
	case kong.KindService:
		return "spec.upstream"
	case kong.KindRoute:
		return "spec.routes"
	}
	switch e.Plugin {
	case "jwt":
		return "spec.jwt"
	case plan.PluginACL:
		return "spec.access"
	}
	return "spec.plugins"
}

// lacksPlugin says that this Kong has no such entities, because it does not run their plugin.
func lacksPlugin(w plan.Wanted, gateway string) error {
	return status.Stalled(v1alpha1.ReasonKongRejected,
		"%s: Kong does not run its %s plugin (KongGateway %s). Add it to Kong's plugins setting, or leave this out.",
		entityField(w.Entry), w.Kind.Plugin(), gateway)
}

// jitter makes a pause longer by up to half of it, so that many do not come back at once.
func jitter(pause time.Duration) time.Duration {
	return pause + rand.N(pause/2) //nolint:gosec // It spreads load and keeps no secret.
}
