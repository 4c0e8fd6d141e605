package v1alpha1

// Reasons of events. A change of Ready is an event too, with the reason of the condition. Events are gone after an
// hour and are dropped when there are too many: conditions and the log say the same.
const (
	// EventRotationStarted: the next generation of a credential is made and kept. Kong does not have it yet.
	// Remedy: nothing.
	EventRotationStarted = "RotationStarted"
	// EventPromoted: every data plane has the new generation; it is the one to use from now on.
	// Remedy: nothing.
	EventPromoted = "Promoted"
	// EventPublished: the Secret for clients has the new generation.
	// Remedy: nothing. Clients have to read the Secret again within the overlap.
	EventPublished = "Published"
	// EventRetired: a former generation has left Kong. Its tokens are refused from now on.
	// Remedy: nothing. A client that is refused now has not read its Secret again.
	EventRetired = "Retired"
	// EventRotationAbandoned: a generation that was not published yet is given up, as the spec asks for something
	// else by now. Remedy: nothing.
	EventRotationAbandoned = "RotationAbandoned"
	// EventStateRecovered: the state of a consumer's credentials was lost, edited, or older than what Kong holds;
	// what Kong and clients hold is taken up. Remedy: find out what deleted, edited or restored the Secret
	// <consumer>-kongjwt-state. Nothing that Kong accepted is refused before its overlap is over.
	EventStateRecovered = "StateRecovered"
	// EventJWKSChanged: an issuer's key set has changed; the message names the keys that came, went or are kept for
	// the overlap. Remedy: nothing.
	EventJWKSChanged = "JWKSChanged"
	// EventKongVersionChanged: another version of Kong answers than before; the message says whether it is an older
	// one.
	// Remedy: after an upgrade nothing: what was refused goes on by itself. After a downgrade look at what is Stalled
	// now: kubectl kongjwt status.
	EventKongVersionChanged = "KongVersionChanged"
	// EventVerified: every data plane was seen to hold the credentials.
	// Remedy: nothing.
	EventVerified = "Verified"
	// EventNotVerified: a data plane was seen not to hold a credential that is in Kong's configuration.
	// Remedy: look whether the data plane that the message names reads the same database, or still gets its
	// configuration.
	EventNotVerified = "NotVerified"
	// EventGatewayGone: a resource is deleted, or moved, after its KongGateway was. What it made stays in that Kong.
	// Remedy: delete in Kong, if you still have it, what carries the tag that the message names.
	EventGatewayGone = "GatewayGone"
	// EventGatewayLeftBehind: a resource moved to another KongGateway while the Kong of the former does not answer.
	// What it had there is pruned once that Kong answers.
	// Remedy: if that Kong serves traffic, see to it that its Admin API answers; if it is gone for good, nothing.
	EventGatewayLeftBehind = "GatewayLeftBehind"
	// EventDriftCorrected: somebody else had changed in Kong what a resource has there, and it was put back.
	// Remedy: find out who did, if it keeps coming back: a script, decK, a hand.
	EventDriftCorrected = "DriftCorrected"
	// EventPruned: entities in Kong were deleted because the resource that they belong to is gone.
	// Remedy: nothing. Resources that go without their finalizer, as after a restore, leave something behind.
	EventPruned = "Pruned"
	// EventKongGone: a KongGateway is deleted, and what its Kong holds of it stays there: Kong is away, or the spec
	// says so. Remedy: delete in Kong, if you still have it, what carries the tag that the message names.
	EventKongGone = "KongGone"
)
