package engine

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// TestALicenseThatIsMissingIsTheGateways: no owner hears that a token is wrong, Kong is tried with growing pauses, and
// all go on by themselves.
func TestALicenseThatIsMissingIsTheGateways(t *testing.T) {
	r := newRigOn(t, kongsim.Options{Version: "3.15.0.0"})
	john, jane := r.consumer("john", "john", "k1"), r.consumer("jane", "jane", "k2")
	r.mustSync(john)
	r.sim.Faults.SetLicenseMissing(true)

	changed := r.consumer("john", "john", "k3")
	_, err := r.sync(changed)
	stalled := r.stalls(err, v1alpha1.ReasonGatewayNotReady, "its Enterprise license is missing or expired")
	if strings.Contains(stalled.Message, "token") {
		t.Errorf("the owner hears %s", stalled.Message)
	}
	state := r.gateway.State()
	if state.Ready || state.Reason != v1alpha1.ReasonLicenseMissing {
		t.Fatalf("the gateway says %v %s: %s", state.Ready, state.Reason, state.Message)
	}

	r.sim.ResetRequests()
	_, err = r.sync(jane)
	r.stalls(err, v1alpha1.ReasonGatewayNotReady, "its Enterprise license is missing or expired")
	if requests := r.sim.Requests(); len(requests) != 0 {
		t.Errorf("Kong is asked before the pause is over: %v", requests)
	}
	for range 2 {
		// The pause begins when the answer of the last trial is read, which may be after the clock went on.
		r.eventually("one write asks for the license", func() bool {
			r.clock.Step(lastLicensePause)
			return r.trials() > 0
		})
		if r.gateway.State().Ready {
			t.Error("it is ready without a license")
		}
		r.sim.ResetRequests()
	}

	r.sim.Faults.SetLicenseMissing(false)
	r.eventually("Kong is asked again", func() bool {
		r.clock.Step(lastLicensePause)
		return r.gateway.State().Ready
	})
	r.expect(EventRecovered, &jane.Owner)
	r.mustSync(jane)
	r.mustSync(changed)
	r.sim.ResetRequests()
	r.gateway.relist()
	r.expect(EventChanged, nil)
	if n := r.trials(); n > 0 {
		t.Errorf("Kong has its license, and is tried %d times", n)
	}
	if !r.there(kong.KindJWT, "k3") || r.there(kong.KindJWT, "k1") {
		t.Error("what was withdrawn meanwhile is not withdrawn")
	}
}

// The pause between two trials doubles to its end; a write that was under way changes nothing.
func TestTrialsForALicenseHavePauses(t *testing.T) {
	l, now := &license{}, time.Unix(1_700_000_000, 0)
	if !l.due(now) {
		t.Error("nothing is wrong, and it is waited for")
	}
	for _, pause := range []time.Duration{firstLicensePause, 2 * firstLicensePause, 4 * firstLicensePause, 8 * firstLicensePause, lastLicensePause, lastLicensePause} {
		l.note(&kong.UnlicensedError{}, now)
		l.note(&kong.UnlicensedError{}, now.Add(pause-1))
		if l.due(now.Add(pause-1)) || !l.due(now.Add(pause)) {
			t.Errorf("not after %s", pause)
		}
		now = now.Add(pause)
	}
}

// trials counts the writes that Kong was tried with.
func (r *rig) trials() (n int) {
	for _, request := range r.sim.Requests() {
		if request.Method == http.MethodDelete && strings.HasSuffix(request.Path, nothing) {
			n++
		}
	}
	return n
}

// TestALicenseThatIsMissingWithoutADatabase: a push that is refused for it says so too.
func TestALicenseThatIsMissingWithoutADatabase(t *testing.T) {
	r := newRigOn(t, kongsim.Options{Version: "3.15.0.0", Database: "off"})
	john := r.consumer("john", "john", "k1")
	r.pushed(john)
	r.sim.Faults.SetLicenseMissing(true)
	_, _ = r.sync(r.consumer("john", "john", "k2"))
	r.eventually("the gateway says so", func() bool {
		return r.gateway.State().Reason == v1alpha1.ReasonLicenseMissing
	})
	r.sim.Faults.SetLicenseMissing(false)
	r.clock.Step(lastLicensePause)
	r.eventually("it is ready again", func() bool { return r.gateway.State().Ready })
	r.pushed(r.consumer("john", "john", "k2"))
}
