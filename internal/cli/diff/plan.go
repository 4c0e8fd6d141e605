package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// request is one that an apply would cause.
type request struct {
	Resource string `json:"resource"`
	Gateway  string `json:"gateway"`
	// Method is PUT or DELETE, or POST /config where all goes to a Kong without a database at once.
	Method string `json:"method"`
	// Kind and Name of the entity in Kong.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Change is create, update or delete.
	Change string `json:"change"`
}

// answer is what is printed.
type answer struct {
	Requests []request `json:"requests"`
	// Refused are resources that the operator would not act on, with the reason.
	Refused []string `json:"refused,omitempty"`
	// Unknown is what could not be looked at.
	Unknown []string `json:"unknown,omitempty"`

	after world
}

func (a answer) differs() bool { return len(a.Requests)+len(a.Refused) > 0 }

// subject is a resource whose entities live on a gateway. The zero value is one that is not there.
type subject struct {
	namespace, gateway string
	suspended          bool
	claims             []desired.UniqueKey
	// waits says that Kong has nothing of it, because it is Stalled: it holds nothing.
	waits bool
	// build says what it wants in Kong, or what forbids that.
	build func() (desired.Set, error)
}

// subjects are all, by kind namespace/name.
func (w world) subjects() map[string]subject {
	all := map[string]subject{}
	add := func(kind, key string, s subject, build func() (desired.Set, error)) {
		s.build = func() (desired.Set, error) {
			if err := w.admits(s.gateway, s.namespace); err != nil {
				return desired.Set{}, err
			}
			return build()
		}
		all[kind+" "+key] = s
	}
	for key, c := range w.consumers {
		waits := c.Status.ConsumerID == "" && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionStalled)
		add(v1alpha1.KindJwtConsumer, key, subject{
			namespace: c.Namespace, gateway: c.Spec.GatewayRef.Name, suspended: c.Spec.Suspend,
			claims: desired.ConsumerUniqueKeys(c), waits: waits,
		}, func() (desired.Set, error) { return w.consumer(c) })
	}
	for key, s := range w.services {
		waits := s.Status.ServiceID == "" && len(s.Status.Routes) == 0 &&
			meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionStalled)
		add(v1alpha1.KindJwtProtectedService, key, subject{
			namespace: s.Namespace, gateway: s.Spec.GatewayRef.Name, suspended: s.Spec.Suspend,
			claims: desired.ServiceUniqueKeys(w.policy(s.Spec.GatewayRef.Name), s), waits: waits,
		}, func() (desired.Set, error) { return w.service(s) })
	}
	return all
}

// compare says what leads from one world to the other.
func compare(before, after world) answer {
	a := answer{Requests: []request{}, after: after}
	was, is := before.subjects(), after.subjects()
	for _, name := range slices.Sorted(maps.Keys(is)) {
		former, formerErr := desired.Set{}, error(nil)
		if s, there := was[name]; there {
			former, formerErr = s.build()
		}
		wanted, err := is[name].build()
		if err == nil {
			err = after.conflict(name, was, is)
		}
		switch {
		case err == nil:
			a.resource(name, was[name].gateway, is[name], former, wanted)
		case formerErr == nil || err.Error() != formerErr.Error():
			a.Refused = append(a.Refused, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return a
}

// conflict says who holds what a resource newly asks for: one that has it already and keeps it, or one that comes
// earlier in the files.
func (w world) conflict(name string, was, is map[string]subject) error {
	self := is[name]
	for _, claim := range self.claims {
		if was[name].gateway == self.gateway && slices.Contains(was[name].claims, claim) {
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(is)) {
			if other == name || is[other].gateway != self.gateway || !slices.ContainsFunc(is[other].claims, claim.Overlaps) {
				continue
			}
			held := was[other].gateway == self.gateway && !was[other].waits && slices.ContainsFunc(was[other].claims, claim.Overlaps)
			place, asksNow := w.places[other]
			if held || asksNow && place < w.places[name] {
				return fmt.Errorf("%s is held by %s", claim, other)
			}
		}
	}
	return nil
}

// resource adds the requests of one resource.
func (a *answer) resource(name, from string, s subject, former, wanted desired.Set) {
	var left, entered []plan.Write
	if from != "" && from != s.gateway {
		left, former = plan.Dry(former, desired.Set{Owner: former.Owner}), desired.Set{}
	}
	entered = plan.Dry(former, wanted)
	pauses := ""
	if g := a.after.gateways[s.gateway]; g != nil && g.Spec.Suspend {
		pauses = "KongGateway " + s.gateway + " is suspended"
	}
	if s.suspended {
		pauses = "it is suspended"
	}
	if pauses != "" {
		if len(left)+len(entered) > 0 {
			a.Unknown = append(a.Unknown, name+": "+pauses+", and nothing is done until it is not")
		}
		return
	}
	a.writes(name, from, left)
	a.writes(name, s.gateway, entered)
}

func (a *answer) writes(resource, gatewayName string, writes []plan.Write) {
	for _, w := range writes {
		r := request{Resource: resource, Gateway: gatewayName, Method: w.Method, Kind: w.Entity.Kind.Singular(), Name: nameOf(w.Entity), Change: "update"}
		switch {
		case w.Method == "DELETE":
			r.Change = "delete"
		case w.Create:
			r.Change = "create"
		}
		if g := a.after.gateways[gatewayName]; g != nil && g.Status.Mode == v1alpha1.ModeDBLess {
			r.Method = "POST /config"
		}
		a.Requests = append(a.Requests, r)
	}
}

// nameOf names an entity; a plugin by what it is.
func nameOf(e kong.Entity) string {
	for _, field := range []string{"username", "name", "key", "group"} {
		if name := e.Fields.Text(field); name != "" {
			return name
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(e.Fields)), ", ")
}
