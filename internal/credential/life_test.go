package credential_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// rotating is a credential that rotates each 100 h, with an overlap of 10 h.
func rotating(change ...func(*credential.Want)) credential.Want {
	want := credential.Want{
		Name: "primary", Username: "team.john", Numbered: true, Seed: "team/john",
		Recipe:   credential.Recipe{Algorithm: "HS256", Length: 48},
		Interval: 100 * time.Hour, Overlap: 10 * time.Hour,
	}
	for _, f := range change {
		f(&want)
	}
	return want
}

// counted makes material that tells how often it was called.
func counted() credential.Generator {
	n := 0
	return func(recipe credential.Recipe, key string) (credential.Material, error) {
		n++
		return credential.Material{Key: key, Algorithm: recipe.Algorithm, Secret: credential.Conceal(fmt.Sprintf("%0*d", recipe.Length*4/3, n))}, nil
	}
}

// life is one credential and what is seen of it.
type life struct {
	t        *testing.T
	state    credential.State
	seen     credential.Seen
	generate credential.Generator
	// rotate and revokePrevious are the values of the annotations.
	rotate, revokePrevious string
}

func began(t *testing.T, want credential.Want, now time.Time) *life {
	t.Helper()
	l := &life{t: t, generate: counted(), seen: credential.Seen{Verdicts: map[int64]credential.Verdict{}}}
	if kinds := l.steps(want, now); !slices.Equal(kinds, []credential.StepKind{credential.StepBegin}) {
		t.Fatalf("steps of a first revision: %v", kinds)
	}
	l.seen.Verdicts[1] = credential.Verdict{Standing: credential.Held}
	l.publish(want, 1)
	return l
}

// input is what a decision rests on now.
func (l *life) input(wants ...credential.Want) credential.Input {
	in := credential.Input{
		State: l.state, Wants: wants, Seen: map[string]credential.Seen{},
		Rotate:         request.Parse(v1alpha1.AnnotationRotate, l.rotate),
		RevokePrevious: request.Parse(v1alpha1.AnnotationRevokePrevious, l.revokePrevious),
	}
	for _, want := range wants {
		in.Seen[want.Name] = l.seen
	}
	for name := range l.state.Credentials {
		in.Seen[name] = l.seen
	}
	return in
}

// publish puts a revision into the Secret for clients; zero takes it out.
func (l *life) publish(want credential.Want, number int64) {
	l.t.Helper()
	l.seen.Clients = nil
	for _, r := range l.state.Credentials[want.Name].Revisions {
		if r.Number == number {
			l.seen.Clients = &r.Material
		}
	}
	if l.seen.Clients == nil && number != 0 {
		l.t.Fatalf("there is no revision %d to publish", number)
	}
}

// steps takes all steps that are due, and lists them.
func (l *life) steps(want credential.Want, now time.Time) []credential.StepKind {
	l.t.Helper()
	var kinds []credential.StepKind
	for range 20 {
		decision := credential.Decide(l.input(want), now)
		if len(decision.Steps) == 0 {
			return kinds
		}
		next, err := l.state.Apply(decision, l.generate)
		if err != nil {
			l.t.Fatal(err)
		}
		l.state = next
		for _, step := range decision.Steps {
			if step.Kind != credential.StepRecord {
				kinds = append(kinds, step.Kind)
			}
		}
	}
	l.t.Fatalf("the steps come to no end: %v", kinds)
	return nil
}

func (l *life) expect(want credential.Want, now time.Time, kinds ...credential.StepKind) {
	l.t.Helper()
	if got := l.steps(want, now); !slices.Equal(got, kinds) {
		l.t.Fatalf("at %s: steps %v, not %v", now.Sub(noon), got, kinds)
	}
}

func (l *life) outcome(want credential.Want, now time.Time) credential.Outcome {
	return l.state.Credentials[want.Name].Outcome(want, l.seen, now)
}

func (l *life) expectKong(want credential.Want, now time.Time, numbers ...int64) {
	l.t.Helper()
	if got := numbersOf(l.outcome(want, now).Kong); !slices.Equal(got, numbers) {
		l.t.Fatalf("at %s: revisions %v belong into Kong, not %v", now.Sub(noon), got, numbers)
	}
}

func (l *life) expectPublished(want credential.Want, now time.Time, number int64) {
	l.t.Helper()
	out := l.outcome(want, now)
	if !out.Published || out.Publish.Number != number {
		l.t.Fatalf("at %s: revision %d (%v) is to be published, not %d", now.Sub(noon), out.Publish.Number, out.Published, number)
	}
}

func (l *life) stands(number int64, standing credential.Standing) {
	l.seen.Verdicts[number] = credential.Verdict{Standing: standing, Message: "waiting", After: time.Second}
}

func numbersOf(revisions []credential.Revision) []int64 {
	var numbers []int64
	for _, g := range revisions {
		numbers = append(numbers, g.Number)
	}
	return numbers
}
