package engine

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	annotation "github.com/kongjwt/kong-jwt-operator/internal/request"
)

// Times of a rotation. A client reads its Secret within rereads, which is less than the overlap.
const (
	rotatesEvery = 2 * time.Hour
	overlaps     = 2 * time.Minute
	rereads      = overlaps / 2
)

// rotation is a consumer whose credential the operator makes and rotates: what its controller does with package
// credential and an engine, its Secrets, and a client.
type rotation struct {
	*world
	*actor
	want                   credential.Want
	rotate, revokePrevious string
	// stored is the state Secret, reported the highest revision that the status tells of.
	stored   []byte
	reported int64
	// secret is what the Secret for clients holds since published, and client what a client read of it last.
	secret, client *credential.Material
	published      time.Time
	made           int
	// ended are the secrets whose overlap a person ended: nobody promises to keep them.
	ended map[string]bool
	// lives are the writes to Kubernetes before the process dies; negative: it does not.
	lives int
}

func newRotation(w *world) *rotation {
	r := &rotation{world: w, ended: map[string]bool{}, lives: -1}
	r.actor = &actor{owner: desired.ConsumerOwner("team", "rotating"), due: time.Now(), program: r.reconcile}
	r.want = credential.Want{
		Name: "primary", Username: "team.rotating", Numbered: true, Seed: "team/rotating", SecretName: "clients",
		Recipe: credential.Recipe{Algorithm: "HS256", Length: 48}, Interval: rotatesEvery, Overlap: overlaps,
	}
	return r
}

// writes says whether a write to Kubernetes is done. The process may die before it.
func (r *rotation) writes() bool {
	if r.lives == 0 {
		r.session.dead.Store(true)
	}
	r.lives--
	return !r.session.dead.Load()
}

// reconcile is what the controller does (controllers/consumer, rotate).
func (r *rotation) reconcile() error {
	seen := credential.Seen{Clients: r.secret, Last: r.reported}
	for round := range 4 {
		state, moved, alive := r.advance(seen)
		if !alive {
			return errDied
		}
		history := state.Credentials[r.want.Name]
		err := r.sync(history, &seen)
		if err != nil {
			return err
		}
		r.reported = max(r.reported, history.Last)
		out := history.Outcome(r.want, seen, time.Now())
		if out.Published && (r.secret == nil || !out.Publish.Material.Equal(*r.secret)) {
			if !r.writes() {
				return errDied
			}
			r.publish(out.Publish)
			moved = true
		}
		if !out.Next.IsZero() {
			r.again(max(time.Until(out.Next), time.Second))
		}
		seen.Clients = r.secret
		if !moved && round > 0 {
			r.kong.wiped = false
			return nil
		}
	}
	r.again(time.Second)
	return nil
}

var errDied = fmt.Errorf("the process died")

// advance takes the steps that are due, and keeps the state that they lead to.
func (r *rotation) advance(seen credential.Seen) (state credential.State, moved, alive bool) {
	if r.stored != nil {
		var err error
		if state, err = credential.DecodeState(r.stored); err != nil {
			r.Fatal(err)
		}
	}
	for range 20 {
		decision := credential.Decide(credential.Input{
			State: state, Wants: []credential.Want{r.want}, Seen: map[string]credential.Seen{r.want.Name: seen},
			Rotate:         annotation.Parse(v1alpha1.AnnotationRotate, r.rotate),
			RevokePrevious: annotation.Parse(v1alpha1.AnnotationRevokePrevious, r.revokePrevious),
		}, time.Now())
		if len(decision.Steps) == 0 {
			break
		}
		moved = true
		var err error
		if state, err = state.Apply(decision, r.generate); err != nil {
			r.Fatal(err)
		}
	}
	if !moved {
		return state, false, true
	}
	if !r.writes() {
		return state, true, false
	}
	content, err := state.Encode()
	if err != nil {
		r.Fatal(err)
	}
	r.stored = content
	for _, revision := range state.Credentials[r.want.Name].Revisions {
		r.say("revision %d is %s", revision.Number, revision.State)
		if revision.Ended {
			r.ended[revision.Material.Secret.Reveal()] = true
		}
	}
	return state, true, true
}

func (r *rotation) generate(recipe credential.Recipe, key string) (credential.Material, error) {
	r.made++
	secret := credential.Conceal(fmt.Sprintf("%0*d", recipe.Length*4/3, r.made))
	return credential.Material{Key: key, Algorithm: recipe.Algorithm, Secret: secret}, nil
}

// sync brings Kong to what a history asks for, and finds out how its revisions stand (controllers/consumer, verdict).
func (r *rotation) sync(history credential.History, seen *credential.Seen) error {
	scope := r.gateway.Scope()
	set := desired.Set{Owner: r.owner}
	consumer := wanted(scope, &set, kong.KindConsumer, "consumer", "", "", kong.Fields{"username": r.want.Username})
	inKong := map[int64]bool{}
	for _, revision := range history.Outcome(r.want, *seen, time.Now()).Kong {
		inKong[revision.Number] = true
		wanted(scope, &set, kong.KindJWT, desired.CredentialPart(revision.Slot), "", consumer, kong.Fields{
			"key": revision.Material.Key, "algorithm": "HS256", "secret": revision.Material.Secret.Reveal(),
		})
	}
	r.wants = set
	result, err := r.gateway.Sync(r.bubble.Context(), set, SyncOptions{})
	if err != nil {
		return err
	}
	seen.Verdicts = map[int64]credential.Verdict{}
	hasConsumer, _ := r.gateway.Standing(consumer)
	for _, revision := range history.Revisions {
		id := desired.CredentialID(scope, r.owner, desired.CredentialPart(revision.Slot))
		held, rest := r.gateway.Standing(id)
		standing := credential.Held
		switch {
		case !held && hasConsumer:
			standing = credential.Absent
			if rest = r.gateway.RevocationRemaining(r.owner); revision.Ended && rest > 0 {
				standing = credential.Waiting
			}
		case !held, !inKong[revision.Number], result.Undone[id]:
			continue
		case revision.State == v1alpha1.CredentialPending && rest > 0:
			standing = credential.Waiting
		}
		seen.Verdicts[revision.Number] = credential.Verdict{Standing: standing, After: rest}
	}
	return nil
}

// publish writes the Secret for clients. What they had before is good until each has read the new one.
func (r *rotation) publish(revision credential.Revision) {
	r.say("publish %d", revision.Number)
	since, held := r.inKong(revision.Material)
	first := r.secret == nil
	if r.alone && (!held || !first && time.Since(since) < r.kong.delay) {
		r.Fatalf("revision %d is published before every data plane has to know it\n%s", revision.Number, join(r.story))
	}
	r.read()
	r.secret, r.published = &revision.Material, time.Now()
	if first {
		r.client = r.secret
	}
}

// read has the client read its Secret, if it is time.
func (r *rotation) read() {
	if r.secret != nil && time.Since(r.published) >= rereads {
		r.client = r.secret
	}
}

// inKong says whether each node holds a credential, and since when.
func (r *rotation) inKong(m credential.Material) (since time.Time, held bool) {
	r.kong.mu.Lock()
	defer r.kong.mu.Unlock()
	has := func(e kong.Entity) bool {
		return e.Kind == kong.KindJWT && e.Fields.Text("key") == m.Key && e.Fields.Text("secret") == m.Secret.Reveal()
	}
	for _, node := range r.nodes {
		found := false
		for id, e := range node.held {
			if has(e) && node.since[id].After(since) {
				since = node.since[id]
			}
			found = found || has(e)
		}
		if !found && !node.lost && !node.wiped {
			return since, false
		}
	}
	return since, true
}

// holds fails where a client may use what Kong does not hold, and nobody ended or took away.
func (r *rotation) holds() {
	r.read()
	for _, m := range []*credential.Material{r.secret, r.client} {
		if m == nil || !r.alone || r.ended[m.Secret.Reveal()] {
			continue
		}
		if _, held := r.inKong(*m); !held {
			r.Fatalf("a client may use %s, and Kong does not hold it\n%s", m.Key, join(r.story))
		}
	}
}

// drawMove does something to the rotation.
func (r *rotation) drawMove(t *rapid.T) {
	r.due = time.Now()
	what := rapid.SampledFrom([]string{"rotate", "end overlaps", "other recipe", "dies"}).Draw(t, "rotation")
	r.say("rotation: %s", what)
	switch what {
	case "rotate":
		r.rotate += "x"
	case "end overlaps":
		r.revokePrevious += "x"
	case "other recipe":
		r.want.Recipe.Length = rapid.SampledFrom([]int{48, 66}).Draw(t, "length")
	case "dies":
		r.lives = rapid.IntRange(0, 3).Draw(t, "lives")
	}
}

// isSettled holds that a rotation that nobody disturbs ends with what the spec asks for, published and alone.
func (r *rotation) isSettled() {
	state, err := credential.DecodeState(r.stored)
	if err != nil {
		r.Fatal(err)
	}
	history := state.Credentials[r.want.Name]
	active, found := history.Active()
	if !found || len(history.Revisions) != 1 || active.Recipe != r.want.Recipe || !active.Material.Equal(*r.secret) {
		r.Fatalf("the rotation does not come to its end: %d revisions\n%s", len(history.Revisions), join(r.story))
	}
}
