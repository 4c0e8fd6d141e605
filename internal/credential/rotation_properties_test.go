package credential_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

type inKong struct {
	material credential.Material
	since    time.Time
}

// Times of the simulation. A client follows its Secret within kubelet, which is less than the overlap.
const (
	propagation = 10 * time.Second
	overlap     = time.Hour
	kubelet     = overlap / 2
)

// check holds at every moment: what the client sends, and what it would read now, is in Kong, and has been for long
// enough. What was ended never comes back.
func (s *simulation) check(t *rapid.T) {
	used := []*credential.Material{s.client, s.secret}
	if s.want.Key != "" {
		used = used[1:] // replaced in place: who has the former material is refused until it reads the new one
	}
	for _, m := range used {
		if m != nil && !s.want.Revoked && !s.ended[m.Secret.Reveal()] && !s.holds(*m) {
			t.Fatalf("a client may use %s, and Kong does not hold it\n%v", m.Key, s.messages)
		}
	}
	for _, held := range s.kong {
		if s.banned[held.material.Secret.Reveal()] {
			t.Fatalf("%s was ended, and Kong holds it again\n%v", held.material.Key, s.messages)
		}
	}
}

// ban notes what an end of the overlaps took out of Kong, once all came to rest.
func (s *simulation) ban(t *rapid.T) {
	for _, r := range s.load(t).Credentials[s.want.Name].Revisions {
		if r.Ended && r.State == v1alpha1.CredentialRetiring && !s.holds(r.Material) {
			s.banned[r.Material.Secret.Reveal()] = true
		}
	}
}

func TestNoWayThroughARotationLosesARequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation()
		if rapid.Bool().Draw(t, "pinned") {
			s.want.Key, s.want.Overlap = "k", 0
		}
		pinned := s.want.Key != ""
		s.reconcile(t, 100, true, true)
		asked := 0
		moves := map[string]func(*rapid.T){
			"reconcile": func(t *rapid.T) { s.reconcile(t, 100, true, false) },
			"restart":   func(t *rapid.T) { s.reconcile(t, 100, true, true) },
			"kong away": func(t *rapid.T) { s.reconcile(t, 100, false, true) },
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
			"":               func(t *rapid.T) { s.check(t) },
			"annotation off": func(*rapid.T) { s.rotate, s.revokePrevious = "", "" },
		}
		if !pinned { // what is replaced in place may be refused for a moment, which the docs say
			maps.Copy(moves, map[string]func(*rapid.T){
				"crash": func(t *rapid.T) {
					s.say("crash")
					s.reconcile(t, rapid.IntRange(0, 6).Draw(t, "lives"), true, rapid.Bool().Draw(t, "restarted"))
				},
				"rotate": func(*rapid.T) { asked++; s.rotate = fmt.Sprint(asked) },
				"replay": func(t *rapid.T) { s.rotate = fmt.Sprint(rapid.IntRange(0, asked).Draw(t, "value")) },
				"revoke-previous": func(t *rapid.T) {
					asked++
					s.revokePrevious = fmt.Sprint(asked)
					s.reconcile(t, 100, true, false)
					s.ban(t)
				},
				"recipe":   func(t *rapid.T) { s.want.Recipe.Length = rapid.SampledFrom([]int{48, 66}).Draw(t, "length") },
				"username": func(t *rapid.T) { s.want.Username = rapid.SampledFrom([]string{"john", "jim"}).Draw(t, "username") },
				"interval": func(t *rapid.T) {
					s.want.Interval = rapid.SampledFrom([]time.Duration{0, 2 * time.Hour, 10 * time.Hour}).Draw(t, "interval")
				},
				"key taken": func(t *rapid.T) {
					next := s.load(t).Credentials[s.want.Name].Last + 1
					s.taken[credential.DefaultKey(s.want.Username, s.want.Name, next)] = true
				},
				"missing": func(t *rapid.T) {
					s.want.Missing = true
					s.reconcile(t, 100, true, false)
					s.want.Missing = false
				},
				"state lost": func(t *rapid.T) { s.say("state lost"); s.stored = nil },
				"backup":     func(*rapid.T) { s.backup = s.stored },
				"old state": func(t *rapid.T) {
					if s.backup != nil {
						s.say("old state")
						// What was ended since the backup is not known any more.
						s.stored, s.banned = s.backup, map[string]bool{}
					}
				},
				"status lost": func(*rapid.T) { s.reported = 0 },
				"secret deleted": func(t *rapid.T) {
					s.say("secret deleted")
					s.secret = nil
					s.reconcile(t, 100, true, false)
				},
			})
		}
		t.Repeat(moves)
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
	h := s.load(t).Credentials[s.want.Name]
	active, found := h.Active()
	if !found || len(h.Revisions) != 1 || len(s.kong) != 1 {
		t.Fatalf("%d revisions and %d credentials in Kong at the end\n%v", len(h.Revisions), len(s.kong), s.messages)
	}
	if active.Recipe != s.want.Recipe || s.secret == nil || !active.Material.Equal(*s.secret) || active.Number <= h.ReplaceThrough {
		t.Fatalf("the end is not what the spec asks for\n%v", s.messages)
	}
}
