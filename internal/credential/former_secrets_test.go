package credential_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// relocated is an operator's way with one credential from its first revision until what a test wants to know.
type relocated struct {
	t     *testing.T
	state credential.State
	want  credential.Want
	seen  credential.Seen
	now   time.Time
}

func newRelocated(t *testing.T) *relocated {
	r := &relocated{t: t, now: noon, want: rotating(func(w *credential.Want) { w.Overlap, w.SecretName = time.Hour, "first" })}
	r.reconcile()
	return r
}

// reconcile takes all steps, as if Kong held everything and had lost what is over.
func (r *relocated) reconcile() {
	r.t.Helper()
	for range 10 {
		h := r.state.Credentials[r.want.Name]
		verdicts := map[int64]credential.Verdict{}
		for _, revision := range h.Revisions {
			verdicts[revision.Number] = credential.Verdict{Standing: credential.Absent}
		}
		out := h.Outcome(r.want, r.seen, r.now)
		for _, revision := range out.Kong {
			verdicts[revision.Number] = credential.Verdict{Standing: credential.Held}
		}
		r.seen.Verdicts = verdicts
		if out = h.Outcome(r.want, r.seen, r.now); out.Published {
			r.seen.Clients = &out.Publish.Material
		}
		d := credential.Decide(credential.Input{
			State: r.state, Wants: []credential.Want{r.want}, Seen: map[string]credential.Seen{r.want.Name: r.seen},
		}, r.now)
		if len(d.Steps) == 0 {
			return
		}
		next, err := r.state.Apply(d, credential.Generate)
		if err != nil {
			r.t.Fatal(err)
		}
		content, err := next.Encode()
		if err != nil {
			r.t.Fatal(err)
		}
		if r.state, err = credential.DecodeState(content); err != nil {
			r.t.Fatal(err)
		}
	}
	r.t.Fatal("the steps come to no end")
}

func (r *relocated) unread() []string {
	return r.state.Credentials[r.want.Name].Outcome(r.want, r.seen, r.now).UnreadSecrets
}

func TestAFormerSecretForClientsStaysForTheOverlap(t *testing.T) {
	r := newRelocated(t)
	r.want.SecretName = "second"
	r.reconcile()
	if unread := r.unread(); len(unread) > 0 {
		t.Errorf("%v are to be deleted at once", unread)
	}
	if next := r.state.Credentials[r.want.Name].Outcome(r.want, r.seen, r.now).Next; !next.Equal(noon.Add(time.Hour)) {
		t.Errorf("looked at again at %s", next)
	}
	r.now = noon.Add(time.Hour)
	r.reconcile()
	if unread := r.unread(); len(unread) != 1 || unread[0] != "first" {
		t.Errorf("%v are to be deleted after the overlap", unread)
	}
	r.seen.Deleted = r.unread()
	r.reconcile()
	if former := r.state.Credentials[r.want.Name].FormerSecrets; len(former) > 0 {
		t.Errorf("%v are remembered though they are deleted", former)
	}
}

func TestAFormerSecretForClientsStaysWhileWhatIsInItIsValid(t *testing.T) {
	r := newRelocated(t)
	r.want.SecretName = "second"
	r.reconcile()
	r.now = noon.Add(50 * time.Minute)
	r.want.Recipe.Length = 66
	r.reconcile()
	r.now = noon.Add(100 * time.Minute)
	r.reconcile()
	if unread := r.unread(); len(unread) > 0 {
		t.Errorf("%v are to be deleted while what is in them is valid", unread)
	}
	r.now = noon.Add(111 * time.Minute)
	r.reconcile()
	if unread := r.unread(); len(unread) != 1 {
		t.Errorf("%v are to be deleted when it is not any more", unread)
	}
}

func TestASecretForClientsThatIsNamedAgainIsNoFormerOne(t *testing.T) {
	r := newRelocated(t)
	for _, name := range []string{"second", "first"} {
		r.want.SecretName = name
		r.reconcile()
	}
	former := r.state.Credentials[r.want.Name].FormerSecrets
	if len(former) != 1 || former[0].Name != "second" {
		t.Errorf("%v are former Secrets", former)
	}
}

func TestFormerSecretsAreThoseThatTheSpecNamesNoLonger(t *testing.T) {
	var former credential.FormerSecrets
	for i, move := range []struct {
		from, to string
		want     []string
	}{
		{"", "a", nil},                 // the first is nobody's successor
		{"a", "a", nil},                // nothing moved
		{"a", "b", []string{"a"}},      //
		{"b", "c", []string{"a", "b"}}, //
		{"b", "c", []string{"a", "b"}}, // the same move, seen again
		{"c", "a", []string{"b", "c"}}, // a is read again
		{"a", "", []string{"b", "c", "a"}},
	} {
		former = former.Moved(move.from, move.to, noon.Add(time.Duration(i)*time.Minute))
		var names []string
		for _, s := range former {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, move.want) {
			t.Errorf("move %d, from %q to %q: %v, not %v", i, move.from, move.to, names, move.want)
		}
	}
	last := former[len(former)-1]
	for at, over := range map[time.Duration]bool{-10 * time.Minute: true, 0: false, time.Hour - 1: false, time.Hour: true} {
		if last.Over(time.Hour, last.Since.Add(at)) != over {
			t.Errorf("%s after the move: over is not %v", at, over)
		}
	}
}
