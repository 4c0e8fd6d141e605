package kicsim

import (
	"context"
	"errors"
)

// Texts of conditions.
const (
	messageProgrammed = "Object was successfully configured in Kong."
	messageInvalid    = "Object failed to be configured in Kong - see its attached Events for more information."
	controllerName    = "konghq.com/kic-gateway-controller"
)

// report writes what came of a push to the objects in it.
func (c *Controller) report(ctx context.Context, made *translation) error {
	var errs []error
	for reference, o := range made.objects {
		var status fields
		switch {
		case reference.Kind == "KongConsumer":
			status = consumerStatus(o, made.failed[reference])
		case made.failed[reference]:
			continue
		case reference.Kind == "Ingress":
			status = fields{"loadBalancer": fields{"ingress": []any{fields{"ip": proxyAddress}}}}
		case reference.Kind == "Gateway":
			errs = append(errs, c.attached(ctx, made, o))
			continue
		case reference.Kind == "HTTPRoute" && len(made.gatewaysOf(o)) > 0:
			status = routeStatus(o, made.gatewaysOf(o), condition("Programmed", "True", "ConfiguredInGateway", "", o))
		default:
			continue
		}
		errs = append(errs, c.write(ctx, o, status))
	}
	return errors.Join(errs...)
}

// proxyAddress is what the controller publishes.
const proxyAddress = "203.0.113.1"

// write writes a status that is another than before.
func (c *Controller) write(ctx context.Context, o *Object, status fields) error {
	text := encode(status)
	if c.told[o.GetUID()] == text {
		return nil
	}
	c.told[o.GetUID()] = text
	return c.store.WriteStatus(ctx, referenceTo(o), status)
}

func consumerStatus(o *Object, failed bool) fields {
	programmed := condition("Programmed", "True", "Programmed", messageProgrammed, o)
	if failed {
		programmed = condition("Programmed", "False", "Invalid", messageInvalid, o)
	}
	return fields{"conditions": []any{programmed}}
}

func condition(kind, status, reason, message string, o *Object) fields {
	return fields{
		"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": o.GetGeneration(),
	}
}

// routeStatus is an HTTPRoute's, for each Gateway that it names.
func routeStatus(o *Object, gateways []*Object, programmed fields) fields {
	var parents []any
	for _, gateway := range gateways {
		parents = append(parents, fields{
			"controllerName": controllerName,
			"parentRef": fields{
				"group": "gateway.networking.k8s.io", "kind": "Gateway",
				"name": gateway.GetName(), "namespace": gateway.GetNamespace(),
			},
			"conditions": []any{
				condition("Accepted", "True", "Accepted", "", o), condition("ResolvedRefs", "True", "ResolvedRefs", "",
					o), programmed,
			},
		})
	}
	return fields{"parents": parents}
}
