package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// license remembers that Kong takes no writes for want of its license. Kong reads and is healthy meanwhile, so that
// only a write tells whether it has one again.
type license struct {
	mu      sync.Mutex
	missing bool
	pause   time.Duration
	next    time.Time
}

// The time between two trials, which doubles.
const (
	firstLicensePause = 10 * time.Second
	lastLicensePause  = 2 * time.Minute
)

// note takes a failure in: a trial that is refused for want of the license makes the pause longer.
func (l *license) note(err error, now time.Time) {
	var unlicensed *kong.UnlicensedError
	if !errors.As(err, &unlicensed) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.missing:
		l.missing, l.pause = true, firstLicensePause
	case now.Before(l.next):
		return // a write that was under way
	default:
		l.pause = min(2*l.pause, lastLicensePause)
	}
	l.next = now.Add(l.pause)
}

// due says whether Kong may be looked at.
func (l *license) due(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.missing || !now.Before(l.next)
}

func (l *license) isMissing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing
}

func (l *license) found() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing = false
}

// nothing is the id of an entity that Kong does not have.
const nothing = "7f3c1b52-93a4-4f0e-8d56-2b7c0e9a61d4"

// tryLicense asks, where Kong lacked its license, whether it has one again: it deletes what is not there. All but the
// refusal for want of the license, and a silence, says that Kong has it.
func (m *monitor) tryLicense(ctx context.Context) error {
	if !m.license.isMissing() {
		return nil
	}
	err := m.link.api.Delete(ctx, kong.KindService, "", nothing)
	var unlicensed *kong.UnlicensedError
	if errors.As(err, &unlicensed) || ambiguous(err) {
		return err
	}
	m.license.found()
	return nil
}

// lack records that a write was refused for want of the license. The owner is woken when Kong has it again.
func (m *monitor) lack(owner desired.Owner, err error) error {
	m.failed(err)
	if err := m.usable(owner); err != nil {
		return err
	}
	return errReplan // Kong was given a license in this moment
}
