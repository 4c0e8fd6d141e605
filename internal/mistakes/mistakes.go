// Package mistakes finds what the API server and Kong both take, and what does not do what its author means: a name
// that nobody has, a route that no request matches. It is pure: the operator says it in conditions, kubectl kongjwt
// lint before anything is applied.
package mistakes

// Rule is the name that a kind of mistake has in kubectl kongjwt lint.
type Rule string

// Rules about routes.
const (
	NoRoutes               Rule = "no-routes"
	StarInPath             Rule = "star-in-path"
	ExpressionWithoutTilde Rule = "expression-without-tilde"
	UnmatchedHost          Rule = "unmatched-host"
	PreflightWithoutRoute  Rule = "preflight-without-route"
)

// Rules about callers.
const (
	AccessNoConsumer Rule = "access-no-consumer"
	AccessNoGroup    Rule = "access-no-group"
	AnonymousNobody  Rule = "anonymous-nobody"
)

// Mistake is a field that does not do what its author means.
type Mistake struct {
	Rule Rule
	// Message has the form "<field>: <what is wrong>. <what to do>."
	Message string
}
