package credential_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// simulation is an operator, its Secrets, a Kong with data planes and a client, of one credential. Time stands still unless a move advances it.
type simulation struct {
	want credential.Want
	// now is the time, and behind how far the operator's clock was set back.
	now    time.Time
	behind time.Duration
	// stored is the state Secret; secret is what the Secret for clients holds, and client what a client read of it last.
	stored         []byte
	secret, client string
	// left is when the client's material was replaced in the Secret.
	left time.Time
	// kong is what the Admin API holds, by slot, and since when; planes is what every data plane holds.
	kong     map[int64]inKong
	made     int
	messages []string
}

type inKong struct {
	secret string
	since  time.Time
}

// Times of the simulation. A client follows its Secret within kubelet, which is less than the overlap.
const (
	propagation = 10 * time.Second
	overlap     = time.Hour
	kubelet     = overlap / 2
)

func newSimulation() *simulation {
	s := &simulation{now: noon, kong: map[int64]inKong{}}
	s.want = rotating(func(w *credential.Want) { w.Interval, w.Overlap = 10*time.Hour, overlap })
	return s
}

// clock is what the operator's clock shows.
func (s *simulation) clock() time.Time { return s.now.Add(-s.behind) }

func (s *simulation) say(format string, args ...any) {
	s.messages = append(s.messages, fmt.Sprintf("%s "+format, append([]any{s.now.Sub(noon)}, args...)...))
}

func (s *simulation) generate(recipe credential.Recipe, key string) (credential.Material, error) {
	s.made++
	return credential.Material{Key: key, Algorithm: recipe.Algorithm, Secret: credential.Conceal(fmt.Sprintf("secret %d", s.made))}, nil
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

// published finds the generation that the Secret for clients holds.
func (s *simulation) published(state credential.CredentialState) int64 {
	for _, g := range state.Generations {
		if g.Material.Secret.Reveal() == s.secret {
			return g.Number
		}
	}
	return 0
}

// reconcile does what a controller does, and dies after a number of durable writes. reachable is whether Kong answers.
func (s *simulation) reconcile(t *rapid.T, lives int, reachable, forgetful bool) {
	write := func() bool { lives--; return lives >= 0 }
	state := s.load(t)
	seen := credential.Seen{Published: s.published(state.Credentials["primary"])}
	var alive bool
	for range 4 {
		if state, alive = s.advance(t, state, seen, write); !alive {
			return
		}
		if !reachable || !s.sync(state, seen, write) {
			return
		}
		current := state.Credentials["primary"]
		seen.Verdicts = s.verdicts(current, seen, forgetful)
		out := current.Outcome(s.want, seen, s.clock())
		if out.Published && out.Publish.Material.Secret.Reveal() != s.secret {
			if !write() {
				return
			}
			s.publish(t, out.Publish)
		}
		if out.Published {
			seen.Published = out.Publish.Number
		}
	}
}

func (s *simulation) advance(t *rapid.T, state credential.State, seen credential.Seen, write func() bool) (credential.State, bool) {
	next := state
	steps := 0
	for {
		decision := credential.Decide(credential.Input{
			State: next, Wants: []credential.Want{s.want}, Seen: map[string]credential.Seen{"primary": seen},
		}, s.clock())
		if len(decision.Steps) == 0 {
			break
		}
		if steps++; steps > 20 {
			t.Fatalf("the steps come to no end: %v", decision.Steps[0].Kind)
		}
		var err error
		if next, err = next.Apply(decision, s.generate); err != nil {
			t.Fatal(err)
		}
		s.say("%s %d", decision.Steps[0].Kind, decision.Steps[0].Generation)
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
	return next, true
}

func (s *simulation) sync(state credential.State, seen credential.Seen, write func() bool) bool {
	wanted := map[int64]bool{}
	for _, g := range state.Credentials["primary"].Outcome(s.want, seen, s.clock()).Kong {
		wanted[g.Slot] = true
		if s.kong[g.Slot].secret == g.Material.Secret.Reveal() {
			continue
		}
		if !write() {
			return false
		}
		s.say("put %d", g.Number)
		s.kong[g.Slot] = inKong{secret: g.Material.Secret.Reveal(), since: s.now}
	}
	for slot := range s.kong {
		if wanted[slot] {
			continue
		}
		if !write() {
			return false
		}
		s.say("delete slot %d", slot)
		delete(s.kong, slot)
	}
	return true
}

// verdicts are the engine's. A forgetful one was just started, and waits for the whole propagation delay once more.
func (s *simulation) verdicts(state credential.CredentialState, seen credential.Seen, forgetful bool) map[int64]credential.Verdict {
	verdicts := map[int64]credential.Verdict{}
	wanted := map[int64]bool{}
	for _, g := range state.Outcome(s.want, seen, s.clock()).Kong {
		wanted[g.Number] = true
	}
	for _, g := range state.Generations {
		held, found := s.kong[g.Slot]
		switch {
		case !found:
			verdicts[g.Number] = credential.Verdict{Standing: credential.Absent}
		case !wanted[g.Number]:
		case g.Phase == v1alpha1.CredentialPending && (forgetful || s.now.Sub(held.since) < propagation):
			verdicts[g.Number] = credential.Verdict{Standing: credential.Waiting, After: time.Second}
		default:
			verdicts[g.Number] = credential.Verdict{Standing: credential.Held}
		}
	}
	return verdicts
}

func (s *simulation) holds(secret string) bool {
	for _, held := range s.kong {
		if held.secret == secret {
			return true
		}
	}
	return false
}

func (s *simulation) publish(t *rapid.T, g credential.Generation) {
	s.say("publish %d", g.Number)
	secret := g.Material.Secret.Reveal()
	held, found := s.kong[g.Slot]
	if !found || held.secret != secret {
		t.Fatalf("generation %d is published and not in Kong\n%v", g.Number, s.messages)
	}
	first := s.secret == ""
	if !first && s.now.Sub(held.since) < propagation {
		t.Fatalf("generation %d is published before every data plane has to know it\n%v", g.Number, s.messages)
	}
	s.secret, s.left = secret, s.now
	if first {
		s.client = secret
	}
}

// pass lets time go by. The client reads its Secret within the kubelet's delay.
func (s *simulation) pass(d time.Duration) {
	s.now = s.now.Add(d)
	if s.client != s.secret && s.now.Sub(s.left) >= kubelet {
		s.client = s.secret
	}
}

// check holds at every moment: what the client sends, and what it would read now, is in Kong, and has been for long enough.
func (s *simulation) check(t *rapid.T) {
	for _, secret := range []string{s.client, s.secret} {
		if secret != "" && !s.holds(secret) {
			t.Fatalf("a client may use %q, and Kong does not hold it\n%v", secret, s.messages)
		}
	}
}

func TestNoWayThroughARotationLosesARequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation()
		s.reconcile(t, 100, true, true)
		asked := 0
		t.Repeat(map[string]func(*rapid.T){
			"reconcile": func(t *rapid.T) { s.reconcile(t, 100, true, false) },
			"crash": func(t *rapid.T) {
				s.say("crash")
				s.reconcile(t, rapid.IntRange(0, 6).Draw(t, "lives"), true, rapid.Bool().Draw(t, "restarted"))
			},
			"kong away": func(t *rapid.T) { s.reconcile(t, 100, false, true) },
			"restart":   func(t *rapid.T) { s.reconcile(t, 100, true, true) },
			"time": func(t *rapid.T) {
				d := rapid.SampledFrom([]time.Duration{time.Second, propagation, kubelet, overlap, 10 * time.Hour, 100 * time.Hour}).Draw(t, "time")
				// The client's own reads go on while the operator sleeps.
				for passed := time.Duration(0); passed < d; passed += kubelet {
					s.pass(min(kubelet, d-passed))
				}
			},
			"clock back": func(t *rapid.T) {
				s.behind += rapid.SampledFrom([]time.Duration{time.Minute, overlap, 100 * time.Hour}).Draw(t, "behind")
				s.say("clock behind %s", s.behind)
			},
			"rotate": func(*rapid.T) { asked++; s.want.Rotate = fmt.Sprint(asked) },
			"recipe": func(t *rapid.T) { s.want.Recipe.Length = rapid.SampledFrom([]int{48, 64}).Draw(t, "length") },
			"interval": func(t *rapid.T) {
				s.want.Interval = rapid.SampledFrom([]time.Duration{0, 2 * time.Hour, 10 * time.Hour}).Draw(t, "interval")
			},
			"username": func(t *rapid.T) { s.want.Username = rapid.SampledFrom([]string{"john", "jim"}).Draw(t, "username") },
			"":         func(t *rapid.T) { s.check(t) },
		})
		s.settles(t)
	})
}

// settles holds that a rotation that nothing disturbs any more comes to its end.
func (s *simulation) settles(t *rapid.T) {
	s.want.Interval = 0
	for range 10 {
		s.pass(propagation)
		s.reconcile(t, 100, true, false)
		s.check(t)
		s.pass(overlap)
		s.reconcile(t, 100, true, false)
	}
	current := s.load(t).Credentials["primary"]
	active, found := current.Active()
	if !found || len(current.Generations) != 1 || len(s.kong) != 1 {
		t.Fatalf("%d generations and %d credentials in Kong at the end\n%v", len(current.Generations), len(s.kong), s.messages)
	}
	if active.Recipe != s.want.Recipe || active.Material.Secret.Reveal() != s.secret || current.Rotate != s.want.Rotate {
		t.Fatalf("the end is not what the spec asks for\n%v", s.messages)
	}
}
