package engine

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func isUnauthorized(err error) bool {
	var unauthorized *kong.UnauthorizedError
	return errors.As(err, &unauthorized)
}

func isNotFound(err error) bool {
	var notFound *kong.NotFoundError
	return errors.As(err, &notFound)
}

// isParentMissing says that a reference does not hold: of a put, what it refers to is not there; of a delete, something refers to it.
func isParentMissing(err error) bool {
	var invalid *kong.InvalidError
	return errors.As(err, &invalid) && invalid.Code == kong.CodeForeignKey || isNotFound(err)
}

// unready says why a gateway cannot be used.
func (g *Engine) unready(err error) (reason, message string) {
	switch {
	case isUnauthorized(err):
		return v1alpha1.ReasonKongUnreachable, fmt.Sprintf("the Admin API at %s refuses the token; check spec.adminAPI.auth and the token's rights", g.settings.Client.URL)
	case isNotFound(err):
		return v1alpha1.ReasonKongUnreachable, fmt.Sprintf("%s answers 404; check that spec.adminAPI.url is the Admin API and that workspace %q exists", g.settings.Client.URL, g.settings.Client.Workspace)
	default:
		return v1alpha1.ReasonKongUnreachable, fmt.Sprintf("the Admin API at %s does not answer as it should: %v; it is asked again every %s", g.settings.Client.URL, err, g.options.Heartbeat)
	}
}

// outcome turns an error of the Admin API into what the owner should do next, and notes what it says of the gateway.
func (g *Engine) outcome(owner desired.Owner, what string, err error) error {
	var stalled *status.StalledError
	var wait *status.WaitError
	var invalid *kong.InvalidError
	var throttled *kong.ThrottledError
	switch {
	case errors.As(err, &stalled) && stalled.Reason == v1alpha1.ReasonKongRejected:
		stalled.RetryAfter = g.reject(owner)
		return err
	case err == nil || errors.As(err, &stalled) || errors.As(err, &wait) || errors.Is(err, errReplan):
		return err
	case errors.As(err, &invalid):
		rejected := status.Stalled(v1alpha1.ReasonKongRejected, "Kong refuses %s: %s", what, fieldReasons(invalid))
		rejected.RetryAfter = g.reject(owner)
		return rejected
	case errors.As(err, &throttled):
		after := max(throttled.RetryAfter, time.Second)
		return status.Wait(after, v1alpha1.ReasonProgressing, "the Admin API asks for a pause of %s", after)
	case isParentMissing(err):
		return status.Wait(time.Second, v1alpha1.ReasonProgressing, "what %s belongs to is gone from Kong; looking again", what)
	default:
		g.suspectLoss()
		g.mu.Lock()
		g.absent[owner] = true
		g.mu.Unlock()
		return status.Wait(jitter(2*time.Second), v1alpha1.ReasonKongUnreachable, "%s cannot be written: %v", what, err)
	}
}

// reject notes an owner to look again when Kong's version or plugins change. It says when to look all the same.
func (g *Engine) reject(owner desired.Owner) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rejected[owner] = true
	return g.settings.DriftInterval
}

func fieldReasons(invalid *kong.InvalidError) string {
	var reasons []string
	for _, field := range slices.Sorted(maps.Keys(invalid.Fields)) {
		reasons = append(reasons, field+": "+reason(field, invalid.Fields[field]))
	}
	if len(reasons) == 0 {
		return fmt.Sprintf("it answers code %d and names no field", invalid.Code)
	}
	return strings.Join(reasons, "; ")
}

// reason is Kong's, in words for who does not know its schemas: a plugin that does not go with a consumer, service or route wants that field null.
func reason(field, said string) string {
	if said == "value must be null" && slices.Contains([]string{"consumer", "service", "route"}, field) {
		return "this plugin cannot be on a " + field + "; remove it"
	}
	return said
}

// suspectLoss asks for a heartbeat at once.
func (g *Engine) suspectLoss() {
	select {
	case g.suspect <- struct{}{}:
	default:
	}
}

// relook asks for a listing at once.
func (g *Engine) relook() {
	select {
	case g.again <- struct{}{}:
	default:
	}
}

// jitter spreads a pause by half of it, so that many do not come back at once.
func jitter(pause time.Duration) time.Duration {
	return pause + rand.N(pause/2) //nolint:gosec // It spreads load and keeps no secret.
}
