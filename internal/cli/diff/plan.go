package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/gateway"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// request is one that an apply would cause.
type request struct {
	Resource string `json:"resource"`
	Gateway  string `json:"gateway"`
	Method   string `json:"method"`
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
}

func (a answer) differs() bool { return len(a.Requests)+len(a.Refused) > 0 }

// compare says what leads from one world to the other.
func compare(before, after world) answer {
	var a answer
	for _, key := range sortedKeys(before.services, after.services) {
		a.resource(v1alpha1.KindJwtProtectedService+" "+key, gatewayOfService(before.services[key]), gatewayOfService(after.services[key]), suspendedService(after.services[key]),
			func() (desired.Set, error) { return before.service(key) }, func() (desired.Set, error) { return after.service(key) })
	}
	for _, key := range sortedKeys(before.consumers, after.consumers) {
		a.resource(v1alpha1.KindJwtConsumer+" "+key, gatewayOfConsumer(before.consumers[key]), gatewayOfConsumer(after.consumers[key]), suspendedConsumer(after.consumers[key]),
			func() (desired.Set, error) { return before.consumer(key) }, func() (desired.Set, error) { return after.consumer(key) })
	}
	return a
}

// resource adds the requests of one resource.
func (a *answer) resource(name, from, to string, suspended bool, before, after func() (desired.Set, error)) {
	wanted, err := after()
	switch former, formerErr := before(); {
	case err != nil && formerErr != nil && err.Error() == formerErr.Error():
		return // it is refused already
	case err != nil:
		a.Refused = append(a.Refused, fmt.Sprintf("%s: %v", name, err))
	case suspended:
		if len(gateway.DryPlan(former, wanted)) > 0 {
			a.Unknown = append(a.Unknown, name+": it is suspended, and nothing is done until it is not")
		}
	case from != "" && to != "" && from != to:
		a.writes(name, from, gateway.DryPlan(former, desired.Set{Owner: former.Owner}))
		a.writes(name, to, gateway.DryPlan(desired.Set{Owner: wanted.Owner}, wanted))
	default:
		a.writes(name, to, gateway.DryPlan(former, wanted))
	}
}

func (a *answer) writes(resource, gatewayName string, writes []gateway.Write) {
	for _, w := range writes {
		change := "update"
		switch {
		case w.Method == "DELETE":
			change = "delete"
		case w.Create:
			change = "create"
		}
		a.Requests = append(a.Requests, request{
			Resource: resource, Gateway: gatewayName, Method: w.Method, Kind: w.Entity.Kind.Singular(), Name: nameOf(w.Entity), Change: change,
		})
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

func gatewayOfService(s *v1alpha1.JwtProtectedService) string {
	if s == nil {
		return ""
	}
	return s.Spec.GatewayRef.Name
}

func gatewayOfConsumer(c *v1alpha1.JwtConsumer) string {
	if c == nil {
		return ""
	}
	return c.Spec.GatewayRef.Name
}

func suspendedService(s *v1alpha1.JwtProtectedService) bool { return s != nil && s.Spec.Suspend }
func suspendedConsumer(c *v1alpha1.JwtConsumer) bool        { return c != nil && c.Spec.Suspend }
