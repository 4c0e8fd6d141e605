// Package gateway keeps Kong Gateways true to what custom resources want of them.
//
// Each KongGateway has a Gateway here: a goroutine that connects to its Admin API, asks every few seconds whether it is still
// there and lists from time to time what it holds, and a mirror of that (id, owner, keyed hash). Gateway.Sync compares what one
// owner wants with the mirror (Diff, which is pure) and sends exactly the requests that differ, in an order and at a time that
// leaves no route reachable without its plugins. Gateway.Release takes everything of an owner out again.
//
// Nothing here knows Kubernetes: who wants what comes in as desired.Set, and what to do next goes out as an error of
// internal/status or as an Event.
package engine
