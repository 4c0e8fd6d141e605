// Package probe asks data planes whether they hold a credential. What an answer means is decided purely (verdict.go);
// the asking is apart (ask.go).
//
// A question is a request to a route of the operator's own, with a token that is valid at no time. Kong refuses it,
// and how it refuses says what that data plane knows. Nobody is authenticated, no plugin counts anything, and no
// upstream is reached.
package probe
