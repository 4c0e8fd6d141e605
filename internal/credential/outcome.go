package credential

import (
	"fmt"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Outcome is what a history means for Kong, for clients and for whoever looks at it, once Decide has no more steps.
type Outcome struct {
	// Kong are the revisions that shall be in Kong, oldest first, one a slot.
	Kong []Revision
	// Publish is the revision that the Secret for clients shall hold now, if Published is true. Where it is false
	// the Secret stays as it is.
	Publish   Revision
	Published bool
	// Wait says what the rotation waits for; empty where it waits for nothing.
	Wait string
	// AwaitsDataPlane says that it is the data planes.
	AwaitsDataPlane bool
	// UnreadSecrets are the former Secrets for clients whose time is over: they are to be deleted.
	UnreadSecrets []string
	// Next is when something is due; zero where nothing is.
	Next time.Time
}

// Outcome says what has to be in Kong and in the Secret for clients. It is pure.
func (h History) Outcome(want Want, seen Seen, now time.Time) Outcome {
	var out Outcome
	out.unread(h, want, now)
	if want.Revoked {
		return out
	}
	out.Kong = h.inKong(want, seen, now)
	active, hasActive := h.Active()
	pending, hasPending := h.Pending()
	for _, r := range h.Revisions {
		if r.State == v1alpha1.CredentialRetiring {
			out.sooner(want.RetiresAt(r))
		}
	}
	if hasPending {
		out.pending(pending, active, hasActive, seen, now)
	} else if hasActive {
		renews := !want.fits(active) || h.asked(active) || due(want, active, now)
		if !renews {
			out.sooner(want.dueAt(active))
		} else if len(h.Revisions) >= maxRevisions {
			out.Wait = fmt.Sprintf("credential %s has %d revisions that are still valid, and can have no more; wait until one retires, or end the overlap with the annotation %s",
				want.Name, len(h.Revisions), v1alpha1.AnnotationRevokePrevious)
		}
	}
	// The pending one is published once it has arrived; until then, or without one, what is in use, where Kong is
	// known to have it. What came from a former source may be a public key alone.
	if !out.Published && hasActive && active.Material.CanSign() && seen.Verdicts[active.Number].Standing >= Waiting {
		out.Publish, out.Published = active, true
	}
	return out
}

// unread finds the former Secrets for clients that nobody reads any more: for the overlap pods that start mount them,
// and what is in them may be valid until what replaces it is there, and for the overlap from then.
func (o *Outcome) unread(h History, want Want, now time.Time) {
	inUse := slices.ContainsFunc(h.Revisions, func(r Revision) bool {
		return r.State == v1alpha1.CredentialPending || r.State == v1alpha1.CredentialRetiring && !r.Ended && !r.Over
	})
	for _, former := range h.FormerSecrets {
		switch {
		case !former.Over(want.overlap(), now):
			o.sooner(former.Since.Add(want.overlap()))
		case !inUse || want.Revoked:
			o.UnreadSecrets = append(o.UnreadSecrets, former.Name)
		}
	}
}

// pending says how far the revision on its way is.
func (o *Outcome) pending(pending, active Revision, hasActive bool, seen Seen, now time.Time) {
	verdict := seen.Verdicts[pending.Number]
	if verdict.Standing >= arrivesAt(pending, active, hasActive) {
		o.Publish, o.Published = pending, true
		return
	}
	o.AwaitsDataPlane = verdict.Standing == Waiting
	o.Wait = verdict.Message
	if verdict.After > 0 {
		o.sooner(now.Add(verdict.After))
	}
}

// inKong lists what shall be in Kong: all but what is over, and of each slot the newest.
func (h History) inKong(want Want, seen Seen, now time.Time) []Revision {
	leaving := h.Leaving(want, seen, now)
	newest := h.newest()
	return slices.DeleteFunc(slices.Clone(h.Revisions), func(r Revision) bool {
		return newest[r.Slot] != r.Number || slices.Contains(leaving, r.Slot)
	})
}

// Leaving lists the slots that shall not be in Kong, or not any longer: a revision whose overlap is over, or was
// ended. It rests on the state, the overlap and the clock alone, so that nothing else that is wrong with a consumer
// holds it up.
func (h History) Leaving(want Want, seen Seen, now time.Time) []Slot {
	var leaving []Slot
	newest := h.newest()
	for _, r := range h.Revisions {
		if newest[r.Slot] == r.Number && (h.isOver(r, want, seen, now) || want.Revoked) {
			leaving = append(leaving, r.Slot)
		}
	}
	return leaving
}

// isOver says whether a revision has had its overlap. What clients still read stays, unless somebody ended it.
func (h History) isOver(r Revision, want Want, seen Seen, now time.Time) bool {
	return r.State == v1alpha1.CredentialRetiring && want.retired(r, now) &&
		(r.Ended || r.Over || r.Given || want.Superseded || r.Number != h.Published(seen))
}

// newest is the newest revision of each slot.
func (h History) newest() map[Slot]int64 {
	newest := map[Slot]int64{}
	for _, r := range h.Revisions {
		newest[r.Slot] = max(newest[r.Slot], r.Number)
	}
	return newest
}

func (o *Outcome) sooner(at time.Time) {
	if !at.IsZero() && (o.Next.IsZero() || at.Before(o.Next)) {
		o.Next = at
	}
}

// PublishedData is what the Secret for clients holds: key, algorithm, and the secret or the pair of keys.
func PublishedData(m Material) map[string][]byte {
	data := map[string][]byte{
		DataKeyKey:       []byte(m.Key),
		DataKeyAlgorithm: []byte(m.Algorithm),
	}
	if FamilyOf(m.Algorithm) == HMAC {
		data[DataKeySecret] = []byte(m.Secret.Reveal())
		return data
	}
	data[DataKeyPublicKey] = []byte(m.PublicKeyPEM)
	data[DataKeyPrivateKey] = []byte(m.PrivateKeyPEM.Reveal())
	return data
}
