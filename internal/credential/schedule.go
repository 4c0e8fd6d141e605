package credential

import (
	"hash/fnv"
	"time"
)

const (
	// DefaultOverlap is how long former material stays valid where the spec does not say.
	DefaultOverlap = 24 * time.Hour
	// jitterShare is the part of an interval that rotations of many consumers are spread over.
	jitterShare = 10
	// skew is how far a stored time may be ahead of the clock: replicas of the operator run on nodes whose clocks
	// differ.
	skew = time.Minute
)

// dueAt is when material of an age has to be replaced; zero where it never has. Up to a tenth of the interval is
// taken off, by the credential's name: what was created together does not rotate together, and each keeps its pace.
func (w Want) dueAt(r Revision) time.Time {
	if w.Interval <= 0 || w.Given != nil || w.Missing {
		return time.Time{}
	}
	return r.IssueTime.Add(w.Interval - w.jitter())
}

func (w Want) jitter() time.Duration {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(w.Seed + "/" + w.Name)) // it never fails
	const steps = 1 << 20
	return time.Duration(float64(w.Interval/jitterShare) * float64(sum.Sum64()%steps) / steps)
}

// overlap is at least a moment shorter than the interval where there is one, as the schema has it.
func (w Want) overlap() time.Duration { return max(w.Overlap, 0) }

// RetiresAt is when a Retiring revision leaves Kong. It follows the overlap of the spec as it is now.
func (w Want) RetiresAt(r Revision) time.Time {
	if r.Ended {
		return r.RetiredAt
	}
	return r.RetiredAt.Add(w.overlap())
}

// RotatesAt is when the next material is due; zero where it never is.
func (w Want) RotatesAt(r Revision) time.Time { return w.dueAt(r) }

func (w Want) retired(r Revision, now time.Time) bool {
	return r.Ended || r.Over || !now.Before(w.RetiresAt(r))
}

// ahead says whether a stored time is one that the clock has not reached: it was set back since.
func ahead(t, now time.Time) bool { return t.After(now.Add(skew)) }
