package credential_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// simulation is an operator, its Secrets, a Kong with data planes and a client, of one credential. Time stands still
// unless a move advances it.
type simulation struct {
	want                   credential.Want
	rotate, revokePrevious string
	// now is the time, and behind how far the operator's clock was set back.
	now    time.Time
	behind time.Duration
	// stored is the state Secret, and backup a former content; reported is the highest revision that the status
	// tells of.
	stored, backup []byte
	reported       int64
	// secret is what the Secret for clients holds, and client what a client read of it last; nil where there is
	// nothing.
	secret, client *credential.Material
	// left is when the client's material was replaced in the Secret.
	left time.Time
	// kong is what the Admin API holds, and since when. gone is what left it, and until when a data plane may
	// still have it.
	kong map[credential.Slot]inKong
	gone map[string]time.Time
	// taken are the keys that somebody else holds.
	taken    map[string]bool
	made     int
	messages []string
	// ended is what nobody promises to keep any more: its overlap was ended, or will not be. banned is what has
	// left Kong for that.
	ended, banned map[string]bool
}

func newSimulation() *simulation {
	s := &simulation{
		now: noon, kong: map[credential.Slot]inKong{}, gone: map[string]time.Time{}, taken: map[string]bool{},
		ended: map[string]bool{}, banned: map[string]bool{},
	}
	s.want = rotating(func(w *credential.Want) {
		w.Interval, w.Overlap, w.SecretName = 10*time.Hour, overlap, "clients"
	})
	return s
}

// clock is what the operator's clock shows.
func (s *simulation) clock() time.Time { return s.now.Add(-s.behind) }

func (s *simulation) say(format string, args ...any) {
	s.messages = append(s.messages, fmt.Sprintf("%s "+format, append([]any{s.now.Sub(noon)}, args...)...))
}

func (s *simulation) generate(recipe credential.Recipe, key string) (credential.Material, error) {
	s.made++
	return credential.Material{Key: key, Algorithm: recipe.Algorithm, Secret: credential.Conceal(fmt.Sprintf("%0*d", recipe.Length*4/3, s.made))}, nil
}

func (s *simulation) load(t *rapid.T) credential.State {
	if s.stored == nil {
		return credential.State{}
	}
	state, err := credential.DecodeState(s.stored)
	if err != nil {
		t.Fatalf("the state cannot be read again: %v", err)
	}
	return state
}

// look is what a controller finds out before it decides.
func (s *simulation) look(state credential.State) credential.Seen {
	seen := credential.Seen{Clients: s.secret, Last: s.reported}
	for slot := range s.kong {
		seen.Last = max(seen.Last, slot.Number)
	}
	outdated := seen.Last > state.Credentials[s.want.Name].Last
	for _, slot := range slices.SortedFunc(maps.Keys(s.kong), func(a, b credential.Slot) int { return int(a.Number - b.Number) }) {
		if outdated || !state.Known(slot) {
			seen.InKong = append(seen.InKong, credential.Holding{Slot: slot, Material: s.kong[slot].material})
		}
	}
	return seen
}

// reconcile does what a controller does, and dies after a number of durable writes. reachable is whether Kong answers.
func (s *simulation) reconcile(t *rapid.T, lives int, reachable, forgetful bool) {
	write := func() bool { lives--; return lives >= 0 }
	state := s.load(t)
	seen := s.look(state)
	if s.want.Revoked && reachable {
		for slot := range s.kong {
			if !write() {
				return
			}
			s.leave(slot)
		}
	}
	var alive bool
	for range 4 {
		if state, alive = s.advance(t, state, seen, write); !alive {
			return
		}
		if !reachable || !s.sync(state, seen, write) {
			return
		}
		h := state.Credentials[s.want.Name]
		s.reported = max(s.reported, h.Last)
		seen.Verdicts = s.verdicts(h, seen, forgetful)
		seen.InKong = nil
		out := h.Outcome(s.want, seen, s.clock())
		if out.Published && (s.secret == nil || !out.Publish.Material.Equal(*s.secret)) {
			if !write() {
				return
			}
			s.publish(t, out.Publish)
		}
		seen.Clients = s.secret
	}
}

func (s *simulation) advance(t *rapid.T, state credential.State, seen credential.Seen, write func() bool) (credential.State, bool) {
	next := state
	steps := 0
	for {
		decision := credential.Decide(credential.Input{
			State: next, Wants: []credential.Want{s.want}, Seen: map[string]credential.Seen{s.want.Name: seen},
			Rotate:         request.Parse(v1alpha1.AnnotationRotate, s.rotate),
			RevokePrevious: request.Parse(v1alpha1.AnnotationRevokePrevious, s.revokePrevious),
		}, s.clock())
		if len(decision.Steps) == 0 {
			break
		}
		if steps++; steps > 20 {
			t.Fatalf("the steps come to no end: %v\n%v", decision.Steps[0].Kind, s.messages)
		}
		var err error
		if next, err = next.Apply(decision, s.generate); err != nil {
			t.Fatal(err)
		}
		for _, step := range decision.Steps {
			s.say("%s %d", step.Kind, step.Revision)
		}
	}
	if steps == 0 {
		return state, true
	}
	if !write() {
		return state, false
	}
	content, err := next.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.stored = content
	// What a person ended is nobody's loss.
	for _, r := range next.Credentials[s.want.Name].Revisions {
		if r.Ended {
			s.ended[r.Material.Secret.Reveal()] = true
		}
	}
	return next, true
}

func (s *simulation) sync(state credential.State, seen credential.Seen, write func() bool) bool {
	wanted := map[credential.Slot]bool{}
	for _, r := range state.Credentials[s.want.Name].Outcome(s.want, seen, s.clock()).Kong {
		wanted[r.Slot] = true
		held, there := s.kong[r.Slot]
		if there && held.material.Equal(r.Material) || s.taken[r.Material.Key] {
			continue
		}
		if !write() {
			return false
		}
		s.say("put %d %s", r.Number, r.Material.Key)
		s.kong[r.Slot] = inKong{material: r.Material, since: s.now}
	}
	for slot := range s.kong {
		if wanted[slot] {
			continue
		}
		if !write() {
			return false
		}
		s.leave(slot)
	}
	return true
}

// leave takes an entity out of Kong. Data planes may have it for a while.
func (s *simulation) leave(slot credential.Slot) {
	s.say("delete %v", slot)
	s.gone[s.kong[slot].material.Secret.Reveal()] = s.now.Add(propagation)
	delete(s.kong, slot)
}

// verdicts are the engine's. A forgetful one was just started, and waits for the whole propagation delay once more.
func (s *simulation) verdicts(h credential.History, seen credential.Seen, forgetful bool) map[int64]credential.Verdict {
	verdicts := map[int64]credential.Verdict{}
	wanted := map[int64]bool{}
	for _, r := range h.Outcome(s.want, seen, s.clock()).Kong {
		wanted[r.Number] = true
	}
	for _, r := range h.Revisions {
		held, found := s.kong[r.Slot]
		switch {
		case !found && s.now.Before(s.gone[r.Material.Secret.Reveal()]):
			verdicts[r.Number] = credential.Verdict{Standing: credential.Waiting, After: time.Second}
		case !found:
			verdicts[r.Number] = credential.Verdict{Standing: credential.Absent}
		case !wanted[r.Number]:
		case r.State == v1alpha1.CredentialPending && (forgetful || s.now.Sub(held.since) < propagation):
			verdicts[r.Number] = credential.Verdict{Standing: credential.Waiting, After: time.Second}
		default:
			verdicts[r.Number] = credential.Verdict{Standing: credential.Held}
		}
	}
	return verdicts
}

func (s *simulation) holds(m credential.Material) bool {
	for _, held := range s.kong {
		if held.material.Equal(m) {
			return true
		}
	}
	return false
}

func (s *simulation) publish(t *rapid.T, r credential.Revision) {
	s.say("publish %d", r.Number)
	held, found := s.kong[r.Slot]
	if !found || !held.material.Equal(r.Material) {
		t.Fatalf("revision %d is published and not in Kong\n%v", r.Number, s.messages)
	}
	first := s.client == nil
	inPlace := s.want.Key != ""
	again := s.client != nil && r.Material.Equal(*s.client)
	if !first && !inPlace && !again && s.now.Sub(held.since) < propagation {
		t.Fatalf("revision %d is published before every data plane has to know it\n%v", r.Number, s.messages)
	}
	s.secret, s.left = &r.Material, s.now
	if first {
		s.client = s.secret
	}
}

// pass lets time go by. The client reads its Secret within the kubelet's delay.
func (s *simulation) pass(d time.Duration) {
	s.now = s.now.Add(d)
	if s.secret != nil && (s.client == nil || !s.client.Equal(*s.secret)) && s.now.Sub(s.left) >= kubelet {
		s.client = s.secret
	}
}
