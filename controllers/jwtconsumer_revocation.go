package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// withdraw takes the credentials of a revoked consumer out of Kong before anything else is looked at: no Secret that is missing, no state that cannot be read and
// no policy may hold up a revocation.
func (r *consumerRun) withdraw(ctx context.Context) error {
	if !r.consumer.Spec.Revoked {
		return nil
	}
	result, err := r.target.engine.Withdraw(ctx, r.owner())
	if result.Writes > 0 {
		r.event(r.consumer, corev1.EventTypeNormal, v1alpha1.ReasonRevoked, "Revoke",
			fmt.Sprintf("%d credentials left Kong, since spec.revoked is true", result.Writes))
	}
	return err
}

// leaving waits until no data plane knows a revoked credential any more, or, where none can be asked, can know it.
func (r *consumerRun) leaving(ctx context.Context) error {
	if !r.consumer.Spec.Revoked {
		return nil
	}
	if r.target.asks {
		if still := r.stillThere(ctx); len(still) > 0 {
			return status.Wait(askAgain, v1alpha1.ReasonAwaitingDataPlane,
				"no credential is in Kong any more; waiting until no data plane holds them: %s", strings.Join(still, "; "))
		}
	}
	rest := r.target.engine.Withdrawn(r.owner())
	if rest == 0 {
		return nil
	}
	return status.Wait(rest, v1alpha1.ReasonAwaitingDataPlane,
		"no credential is in Kong any more; waiting until every data plane has to refuse them (propagation delay)")
}

// shed takes out of Kong what was taken away from a consumer that cannot be programmed, whatever is wrong with it: credentials that its spec no longer has, groups that
// neither its spec nor a service gives it. The service that no longer names it is Ready, and nobody would look for the access here.
func (r *consumerRun) shed(ctx context.Context, cause error) error {
	var stalled *status.StalledError
	if !errors.As(cause, &stalled) || r.result.Applied {
		return cause
	}
	if err := r.findGroups(ctx); err != nil {
		return errors.Join(cause, err)
	}
	keeps := map[string]bool{}
	for _, group := range slices.Concat(r.consumer.Spec.Groups, r.input.AccessGroups) {
		keeps[desired.GroupPart(group)] = true
	}
	_, err := r.target.engine.Shed(ctx, r.owner(), func(part string) bool {
		name, isCredential := desired.CredentialOf(part)
		if !isCredential {
			return keeps[part]
		}
		return slices.ContainsFunc(r.consumer.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == name })
	})
	if err != nil {
		return err
	}
	return cause
}

func (r *consumerRun) owner() desired.Owner {
	return desired.ConsumerOwner(r.consumer.Namespace, r.consumer.Name)
}

func (r *consumerRun) message() string {
	if r.consumer.Spec.Revoked {
		return fmt.Sprintf("Consumer %s is in Kong; its credentials are revoked", r.consumer.Status.Username)
	}
	noun := "credentials"
	if len(r.input.Credentials) == 1 {
		noun = "credential"
	}
	message := fmt.Sprintf("Consumer %s is in Kong with %d %s", r.consumer.Status.Username, len(r.input.Credentials), noun)
	for _, run := range r.credentials {
		if note := run.material.LineBreak(); note != "" {
			message += fmt.Sprintf("; credential %s: %s", run.spec.Name, note)
		}
	}
	return message
}

// reason of Ready where nothing is wrong.
func (r *consumerRun) reason() string {
	if r.consumer.Spec.Revoked {
		return v1alpha1.ReasonRevoked
	}
	return v1alpha1.ReasonSucceeded
}
