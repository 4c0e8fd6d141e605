// Package kongsim is a simulated Kong Gateway of a named version: Admin API and proxy in one process, in memory. It
// is for tests and for the demo, and is held to what a real Kong 3.9.3 and 3.4.2 answered (test/contract). What it
// knows of other versions was not recorded.
// Nothing of the operator may depend on what only the simulation does.
//
//	schema/      Kong's schemas: what is filled in, rules, messages      recorded/*.json, as real Kongs serve them
//	dao.go       fill, resolve references, validate, write               failures.go: errors as Kong words them
//	store*.go    the database, and what the data plane reads of it
//	admin*.go    the Admin API                                           dbless*.go: POST /config
//	proxy*.go    the proxy                                               router*.go, worker*.go, plugins*.go
//	faults.go    what can be made to go wrong
//	control.go   the same from outside; pace.go: how fast it is
//	server.go    both on their listeners                                 requests.go: what the Admin API got
//	version.go   other versions of Kong, and an upgrade to one
//
// The two halves meet in the interface source, by which workers read the database, and in dataChange, by which the
// store tells them of writes.
package kongsim
