package kicsim

import (
	"context"
	"errors"
)

// Acknowledge writes what the controller says of Gateways and HTTPRoutes as soon as it sees them, before any push.
func (c *Controller) Acknowledge(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	objects, err := c.store.List(ctx)
	if err != nil {
		return err
	}
	seen := newSnapshot(objects, c.options)
	var errs []error
	for _, gateway := range seen.of("Gateway") {
		if c.isNew(gateway) {
			for _, status := range gatewayStatuses(gateway) {
				errs = append(errs, c.write(ctx, gateway, status))
			}
		}
	}
	for _, route := range seen.of("HTTPRoute") {
		if gateways := seen.gatewaysOf(route); len(gateways) > 0 && c.isNew(route) {
			errs = append(errs, c.write(ctx, route, routeStatus(route, gateways, condition("Programmed", "Unknown", "Unknown",
				"", route))))
		}
	}
	return errors.Join(errs...)
}

// isNew says whether a generation of an object was not seen before.
func (c *Controller) isNew(o *Object) bool {
	if c.acknowledged[o.GetUID()] >= o.GetGeneration() {
		return false
	}
	c.acknowledged[o.GetUID()] = o.GetGeneration()
	return true
}

// gatewayStatuses are what is written to an unmanaged Gateway, one after the other.
func gatewayStatuses(o *Object) []fields {
	accepted := condition("Accepted", "True", "Accepted",
		"this unmanaged gateway has been picked up by the controller and will be processed", o)
	return []fields{
		{"conditions": []any{accepted, condition("Programmed", "False", "Pending", "", o)}},
		{
			"addresses":  []any{fields{"type": "IPAddress", "value": proxyAddress}},
			"conditions": []any{accepted, condition("Programmed", "True", "Programmed", "", o)},
			"listeners":  listenerStatuses(o, 0),
		},
	}
}

func listenerStatuses(o *Object, routes int64) []any {
	var statuses []any
	for _, listener := range listAt(o.Object, "spec", "listeners") {
		statuses = append(statuses, fields{
			"name": textAt(listener, "name"), "attachedRoutes": routes,
			"supportedKinds": []any{
				fields{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"},
				fields{"group": "gateway.networking.k8s.io", "kind": "GRPCRoute"},
			},
			"conditions": []any{
				condition("Accepted", "True", "Accepted", "", o), condition("Conflicted", "False", "NoConflicts", "", o),
				condition("Programmed", "True", "Programmed", "", o), condition("ResolvedRefs", "True", "ResolvedRefs", "", o),
			},
		})
	}
	return statuses
}

// attached writes how many routes a Gateway's listeners serve.
func (c *Controller) attached(ctx context.Context, made *translation, gateway *Object) error {
	count := int64(0)
	for _, route := range made.of("HTTPRoute") {
		for _, named := range made.gatewaysOf(route) {
			if named == gateway {
				count++
			}
		}
	}
	status := gatewayStatuses(gateway)[1]
	status["listeners"] = listenerStatuses(gateway, count)
	return c.write(ctx, gateway, status)
}
