package token

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// maxFormerSecrets is how many Secrets of former names there are at most: the bound of the status.
const maxFormerSecrets = 16

// formerSecrets are those that the spec named before, by the status, and by a change that is new. status.secretName is
// the name at the last reconcile that signed. The status is written after the Secrets: a crash in between finds the
// same change again, with a later time.
func (r *reconciliation) formerSecrets() credential.FormerSecrets {
	var former credential.FormerSecrets
	for _, s := range r.token.Status.FormerSecrets {
		former = append(former, credential.FormerSecret{Name: s.Name, Since: s.RetirementTime.Add(-credential.DefaultOverlap)})
	}
	return former.Moved(r.token.Status.SecretName, r.token.Spec.SecretName, r.now())
}

// keepFormer keeps the token fresh in the Secrets that the spec named before, and drops those whose time is over. One
// that somebody deleted, or that is somebody else's now, is forgotten. The status is set only where all of it went
// well: after an error the next reconcile begins with the same list.
func (r *reconciliation) keepFormer(ctx context.Context, owner secrets.Owner, data map[string][]byte) error {
	former := r.formerSecrets()
	var kept []v1alpha1.FormerSecret
	for i, s := range former {
		// The oldest are first in the list, and are the ones that go where there are too many.
		if s.Over(credential.DefaultOverlap, r.now()) || len(former)-i > maxFormerSecrets {
			if err := r.secrets.Drop(ctx, owner, s.Name); err != nil {
				return err
			}
			continue
		}
		const field = "status.formerSecrets"
		_, found, err := r.secrets.Owned(ctx, owner, field, s.Name)
		if err == nil && found {
			_, err = r.secrets.Publish(ctx, owner, field, s.Name, data)
		}
		var stalled *status.StalledError
		if err != nil && !errors.As(err, &stalled) {
			return err
		}
		if err == nil && found {
			kept = append(kept, v1alpha1.FormerSecret{Name: s.Name, RetirementTime: metav1.NewTime(s.Since.Add(credential.DefaultOverlap))})
		}
	}
	r.token.Status.FormerSecrets = kept
	return nil
}

// nextLook is when the token is renewed, or a former Secret goes, whichever is first.
func (r *reconciliation) nextLook() time.Time {
	next := r.token.Status.RenewalTime.Time
	for _, s := range r.token.Status.FormerSecrets {
		if s.RetirementTime.Time.Before(next) {
			next = s.RetirementTime.Time
		}
	}
	return next
}
