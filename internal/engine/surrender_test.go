package engine

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// as gives an owner what another wants: it keeps its own ids.
func (r *rig) as(owner desired.Owner, of desired.Set) desired.Set {
	b := &builder{scope: r.scope, set: desired.Set{Owner: owner}}
	ids := map[string]string{}
	for _, e := range of.Entities {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		ids[e.ID] = r.scope.ID(e.Kind, owner, ownership.Part)
	}
	for _, e := range of.Entities {
		ownership, _ := desired.ParseTags(e.Fields.Tags())
		e = relocate(e, ids)
		b.add(e.Kind, e.ConsumerID, ownership.Part, e.Fields)
	}
	return b.set
}

// Two resources that change places would wait for each other for ever if none let go.
func TestTwoThatChangePlaces(t *testing.T) {
	for what, pair := range map[string]func(r *rig) (left, right desired.Set){
		"usernames and keys": func(r *rig) (left, right desired.Set) {
			return r.consumer("left", "anna", "k1"), r.consumer("right", "bert", "k2")
		},
		"names, paths and names of routes": func(r *rig) (left, right desired.Set) {
			left, right = r.service("left", "one"), r.service("right", "one")
			for _, e := range right.Entities {
				if e.Kind == kong.KindRoute {
					e.Fields["paths"] = []string{"/two"}
				}
			}
			return left, right
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			left, right := pair(r)
			r.opened(left)
			r.opened(right)
			swapped := []desired.Set{r.as(left.Owner, right), r.as(right.Owner, left)}
			_, err := r.sync(swapped[0])
			r.stalls(err, v1alpha1.ReasonConflict, right.Owner.String())
			r.eventually("both have changed places", func() bool {
				done := true
				for _, set := range swapped {
					result, err := r.sync(set)
					done = done && err == nil && result.Writes == 0
				}
				return done
			})
		})
	}
}

// What became of a write that was not answered is looked for where it is in the way of somebody else: the next listing
// may be hours away.
func TestTwoThatChangePlacesAndAreUncertain(t *testing.T) {
	r := newRig(t)
	left, right := r.consumer("left", "anna", "k1"), r.consumer("right", "bert", "k2")
	for i, set := range []desired.Set{left, right} {
		r.mustSync(set)
		r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, ResetBefore: true})
		_, err := r.sync(r.as(set.Owner, r.consumer("other", fmt.Sprint("other", i), fmt.Sprint("other", i))))
		r.waits(err, "cannot be written")
		r.sim.Faults.Set(1)
	}
	swapped := []desired.Set{r.as(left.Owner, right), r.as(right.Owner, left)}
	r.eventually("both have changed places", func() bool {
		done := true
		for _, set := range swapped {
			result, err := r.sync(set)
			done = done && err == nil && result.Writes == 0
		}
		return done
	})
}

// What may never have come into Kong is not put there to give up its name.
func TestWhatMayNotBeThereIsNotLetGo(t *testing.T) {
	r := newRig(t)
	left, right, third := r.consumer("left", "anna"), r.consumer("right", "anna"), r.consumer("third", "cecil")
	r.mustSync(third)
	unlisted := kongsim.Fault{Methods: []string{http.MethodGet}, PathPrefix: "/acls", Status: 500}
	r.sim.Faults.Set(1, kongsim.Fault{Methods: []string{http.MethodPut}, PathPrefix: "/consumers", ResetBefore: true}, unlisted)
	_, err := r.sync(left)
	r.waits(err, "cannot be written")
	r.sim.Faults.Set(1, unlisted)
	_, err = r.sync(right)
	r.stalls(err, v1alpha1.ReasonConflict, left.Owner.String())
	_, err = r.sync(r.as(left.Owner, third))
	r.stalls(err, v1alpha1.ReasonConflict, third.Owner.String())
	if r.there(kong.KindConsumer, id(left, kong.KindConsumer)) {
		t.Error("it is in Kong under a name that nobody asked for")
	}
}

// Whoever cannot have what is wanted keeps what there is, as long as nobody waits for that.
func TestNothingIsLetGoThatNobodyWaitsFor(t *testing.T) {
	r := newRig(t)
	anna, bert := r.consumer("left", "anna", "k1"), r.consumer("right", "bert", "k2")
	r.mustSync(anna)
	r.mustSync(bert)
	greedy := r.as(bert.Owner, anna)
	_, err := r.sync(greedy)
	r.stalls(err, v1alpha1.ReasonConflict, anna.Owner.String())
	for kind, name := range map[kong.Kind]string{kong.KindConsumer: "bert", kong.KindJWT: "k2"} {
		if !r.there(kind, name) {
			t.Errorf("%s %s is gone", kind.Singular(), name)
		}
	}
}
