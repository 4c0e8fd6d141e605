package credential

import (
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// expire notes that an overlap is over, before the revision leaves Kong. Data planes may hold it for a while longer; a
// spec that gets a longer overlap meanwhile would have it valid again.
func expire(h History, want Want, seen Seen, now time.Time) (Step, bool) {
	for _, r := range h.Revisions {
		left := seen.Verdicts[r.Number].Standing == Absent
		if !r.Ended && !r.Over && !left && h.isOver(r, want, seen, now) {
			return Step{Kind: StepExpire, Revision: r.Number}, true
		}
	}
	return Step{}, false
}

// retire drops what is over and gone from Kong.
func retire(h History, want Want, seen Seen, now time.Time) (Step, bool) {
	for _, r := range h.Revisions {
		// A superseded revision that Kong refuses, over a key that another holds, say, serves nobody.
		gone := seen.Verdicts[r.Number].Standing == Absent
		if r.State == v1alpha1.CredentialRetiring && gone && (!want.Revoked || want.retired(r, now)) {
			return Step{Kind: StepRemove, Revision: r.Number}, true
		}
	}
	return Step{}, false
}

// revive has what clients have in use again, where that is valid and nothing is in use.
func revive(h History, want Want, seen Seen) (Step, bool) {
	published := h.Published(seen)
	valid := slices.ContainsFunc(h.Revisions, func(r Revision) bool { return r.Number == published && !r.Ended && !r.Over })
	return Step{Kind: StepRevive, Revision: published}, want.Given == nil && valid
}

// leave ends what the spec no longer has. It is forgotten once no data plane holds any of it.
func leave(h History, seen Seen) (Step, bool) {
	for _, r := range h.Revisions {
		switch {
		case r.State != v1alpha1.CredentialRetiring || !r.Ended:
			return Step{Kind: StepEnd}, true
		case seen.Verdicts[r.Number].Standing == Absent:
			return Step{Kind: StepRemove, Revision: r.Number}, true
		}
	}
	if step, due := forgetSecret(h, Want{}, seen, time.Time{}); due {
		return step, true
	}
	return forget(h, Want{}, seen, time.Time{})
}

// forgetSecret drops a former Secret for clients that was deleted.
func forgetSecret(h History, _ Want, seen Seen, _ time.Time) (Step, bool) {
	for _, former := range h.FormerSecrets {
		if slices.Contains(seen.Deleted, former.Name) {
			return Step{Kind: StepForgetSecret, Secret: former.Name}, true
		}
	}
	return Step{}, false
}

// forget drops a history that has come to its end.
func forget(h History, _ Want, _ Seen, _ time.Time) (Step, bool) {
	return Step{Kind: StepForget}, h.Last > 0 && len(h.Revisions) == 0 && len(h.FormerSecrets) == 0
}
