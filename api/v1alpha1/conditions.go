package v1alpha1

// Condition types. Ready is on every kind; Reconciling and Stalled follow kstatus: they are present only while they are
// true, and never both.
const (
	// ConditionReady is true when the resource works as its spec of observedGeneration says.
	ConditionReady = "Ready"
	// ConditionReconciling is true while the operator is still on its way to the spec and expects to get there by
	// itself.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true when somebody has to change something before the operator can go on.
	ConditionStalled = "Stalled"
	// ConditionSuspended is true while spec.suspend is: Ready stays as it was, since what is in Kong goes on.
	ConditionSuspended = "Suspended"
	// ConditionAwaitingController is true while the ingress controller of the gateway's Kong has not given it what
	// was written for longer than it should take, whatever Ready says beside it. The message says why, where that
	// is known.
	ConditionAwaitingController = "AwaitingController"
	// ConditionRevocationPending is true while Kong still accepts a credential, still serves a route, or still
	// admits somebody, that was taken away, because its ingress controller takes nothing, or because a data plane
	// does not have what the controller gave to Kong. It is there beside what else is wrong with the resource.
	ConditionRevocationPending = "RevocationPending"
	// ConditionFallbackOpens is true on a gateway while events say that the fallback of an ingress controller left
	// out a plugin that Kong refuses and goes on with what names it: those routes are open. The operator's own are
	// not among them. The gateway is Ready all the same.
	ConditionFallbackOpens = "FallbackOpens"
	// ConditionClaimsBypassed is true on a gateway while a plugin in Kong answers the requests of some consumer
	// before services check the claims of its tokens. The gateway is Ready all the same.
	ConditionClaimsBypassed = "ClaimsBypassed"
	// ConditionWeakSecret is true when an HMAC secret is shorter than RFC 7518 section 3.2 asks. The credential
	// works all the same.
	ConditionWeakSecret = "WeakSecret"
	// ConditionKeySetDegraded is true while an issuer's key set is not what Kong has: the issuer is away, its set
	// is empty, or keys of it cannot be used. What was last good stays in Kong.
	ConditionKeySetDegraded = "KeySetDegraded"
	// ConditionAnyAudience is true when a service lets in a consumer that follows an issuer, and names no
	// audiences: every token of the issuer passes, whatever it was issued for.
	ConditionAnyAudience = "AnyAudience"
	// ConditionTTLTooLong is true when a token lives longer than a service that it is for allows. Kong refuses it
	// there until less is left of it.
	ConditionTTLTooLong = "TTLTooLong"
	// ConditionNoExpiry is true when a service reads its keys from kid and does not verify exp: a token that was
	// signed once passes for as long as its key is in Kong.
	ConditionNoExpiry = "NoExpiry"
	// ConditionDrifted is true while somebody else's changes in Kong are left as they are: spec.drift.policy of the
	// gateway is Report. status.drift lists them.
	ConditionDrifted = "Drifted"
	// ConditionOrphansKept is true while Kong holds entities of resources that are gone, and they are not deleted:
	// spec.prune.policy is Report, they are more than spec.prune.maxPercent lets go at once, or something in Kong
	// hangs on them.
	ConditionOrphansKept = "OrphansKept"
	// ConditionClaimsChecked says whether every data plane of a gateway was seen to run the program that checks
	// claims: that depends on each node's own kong.conf. It is there where spec.dataPlanes is set and a service has
	// spec.claims.
	ConditionClaimsChecked = "ClaimsChecked"
	// ConditionAccessIncomplete is true while spec.access or spec.jwt.anonymous of a service names a consumer or a
	// group that nobody has. The others that it names may call all the same.
	ConditionAccessIncomplete = "AccessIncomplete"
	// ConditionRoutesIncomplete is true while no request can match a path, host or method of a service's routes, or
	// it has no routes.
	ConditionRoutesIncomplete = "RoutesIncomplete"
	// ConditionVerified says whether the data planes were seen to accept the credentials.
	ConditionVerified = "Verified"
)

// Reasons of conditions. There are few of them on purpose: the message has the detail. What a person does about one is
// its comment's line "Remedy"; docs/reference/reasons.md is written from these comments.
const (
	// ReasonSucceeded: the resource is as its spec says.
	// Remedy: nothing.
	ReasonSucceeded = "Succeeded"
	// ReasonProgressing: work is under way; the message says what is waited for.
	// Remedy: wait. If it stays, do what the message says; the operator tries again by itself, with growing pauses.
	ReasonProgressing = "Progressing"
	// ReasonSuspended: spec.suspend is true; nothing is changed until it is false.
	// Remedy: set spec.suspend to false.
	ReasonSuspended = "Suspended"
	// ReasonInvalidSpec: the spec asks for something that cannot be, and the schema could not see it.
	// Remedy: change the field that the message names.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonSecretNotFound: a Secret that the spec names does not exist.
	// Remedy: create the Secret, or correct its name. What Kong has stays as it is meanwhile.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: a Secret exists, but what it holds cannot be used.
	// Remedy: write into the Secret what the message asks for. What Kong has stays as it is meanwhile.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonSecretConflict: a Secret that the operator would write belongs to somebody else.
	// Remedy: name another Secret, or delete the one that is there if nobody needs it.
	ReasonSecretConflict = "SecretConflict"
	// ReasonGatewayNotFound: spec.gatewayRef names no KongGateway.
	// Remedy: create the KongGateway, or name one that exists; without gatewayRef it is the one called default.
	ReasonGatewayNotFound = "GatewayNotFound"
	// ReasonGatewayNotReady: the KongGateway exists but cannot be used yet.
	// Remedy: look at the KongGateway: kubectl describe konggateway NAME. Resources go on by themselves once it is
	// ready.
	ReasonGatewayNotReady = "GatewayNotReady"
	// ReasonNamespaceNotAllowed: the KongGateway does not admit resources of this namespace.
	// Remedy: ask whoever runs the gateway to admit the namespace by spec.allowedNamespaces.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonPolicyViolation: the KongGateway's policy forbids what the spec asks for.
	// Remedy: change the field that the message names, or ask whoever runs the gateway to allow it by spec.policy.
	ReasonPolicyViolation = "PolicyViolation"
	// ReasonConflict: a name, key or route match is held by something else in Kong.
	// Remedy: choose another name, key or match, or have the holder, which the message names, give it up. It goes
	// on by itself when it is free.
	ReasonConflict = "Conflict"
	// ReasonTargetNotFound: spec.attachTo names a service or route that Kong does not have, or an object that the
	// namespace does not have.
	// Remedy: create the service, route or object, or correct the name. It goes on by itself when the target comes.
	ReasonTargetNotFound = "TargetNotFound"
	// ReasonKongRejected: Kong answered that what was sent is not valid.
	// Remedy: change the fields that the message names. It is tried again each spec.drift.interval of the gateway,
	// and when Kong is upgraded.
	ReasonKongRejected = "KongRejected"
	// ReasonKongUnreachable: the Admin API does not answer, or answers that it cannot work now.
	// Remedy: look whether Kong runs, whether its Admin API listens on the address, and whether a NetworkPolicy
	// stands between. Resources go on by themselves when it is back.
	ReasonKongUnreachable = "KongUnreachable"
	// ReasonLicenseMissing: Kong is an Enterprise and takes no writes, because its license is missing or expired.
	// Remedy: give Kong a valid license. What Kong has works as ever meanwhile, but nothing can be revoked there.
	// Resources go on by themselves.
	ReasonLicenseMissing = "LicenseMissing"
	// ReasonRotating: a credential is on its way to its next generation.
	// Remedy: nothing. Old and new material are both valid; the message says what is waited for.
	ReasonRotating = "Rotating"
	// ReasonRevoked: spec.revoked is true and no credential is in Kong.
	// Remedy: set spec.revoked to false once the leaked material is replaced.
	ReasonRevoked = "Revoked"
	// ReasonAwaitingDataPlane: a change is in Kong's configuration but not every data plane is known to have taken
	// it.
	// Remedy: look at the data plane that the message names. A data plane that is gone for good has to leave
	// spec.dataPlanes of the gateway.
	ReasonAwaitingDataPlane = "AwaitingDataPlane"
	// ReasonAwaitingController: the ingress controller of the gateway's Kong has not given it what was written for
	// longer than it should take.
	// Remedy: repair the object that the message names, or look at the controller's log and events. The resource
	// goes on by itself.
	ReasonAwaitingController = "AwaitingController"
	// ReasonRevocationPending: as AwaitingController, and what was taken away is still accepted.
	// Remedy: as of AwaitingController; until then stop the leaked credential in front of Kong.
	ReasonRevocationPending = "RevocationPending"
	// ReasonUnprotected: on the Kong of an ingress controller, a KongPlugin of the namespace is taken instead of
	// one of the operator's KongClusterPlugins, or somebody else has set the annotation of the object that
	// spec.attachTo names, or has taken it off and the ingress controller does not have it again yet.
	// Remedy: have the KongPlugin renamed: the resource's own routes are out of Kong until then, and an object that
	// it is attached to answers every request with 503. Or have the annotation taken out of what its field manager
	// applies: until then requests pass as they say. An annotation that was taken off is written again.
	ReasonUnprotected = "Unprotected"
	// ReasonCredentialCannotSign: the credential has no private material here, so no token can be signed with it.
	// Remedy: let the token use a credential that is generated, or whose Secret holds the secret or the private
	// key.
	ReasonCredentialCannotSign = "CredentialCannotSign"
	// ReasonConsumerNotFound: spec.consumerRef names no JwtConsumer, or no credential of it.
	// Remedy: create the JwtConsumer in the namespace of the token, or correct the names in spec.consumerRef.
	ReasonConsumerNotFound = "ConsumerNotFound"
	// ReasonConsumerNotReady: the JwtConsumer's credential is not in Kong yet.
	// Remedy: look at the JwtConsumer: kubectl describe jwtconsumer NAME. The token is signed once its credential
	// is in Kong.
	ReasonConsumerNotReady = "ConsumerNotReady"
	// ReasonConsumerRevoked: spec.revoked of the JwtConsumer is true, so no token is signed for it.
	// Remedy: set spec.revoked of the JwtConsumer to false once the leaked material is replaced. The token is
	// signed again by itself.
	ReasonConsumerRevoked = "ConsumerRevoked"
	// ReasonKeySetUnreachable: an issuer has not given its key set, and none of its keys are known.
	// Remedy: look whether the URL is right and the issuer answers; the message says what failed. It asks again by
	// itself.
	ReasonKeySetUnreachable = "KeySetUnreachable"
	// ReasonKeySetInvalid: what an issuer gives as its key set is none, or has no key that Kong can verify with.
	// Remedy: name the key set itself, jwks_uri of the discovery document, and look at what the issuer publishes.
	ReasonKeySetInvalid = "KeySetInvalid"
	// ReasonDeleting: the resource is being deleted and the message says what it still waits for.
	// Remedy: wait, or take away what the message names.
	ReasonDeleting = "Deleting"
)

// Reasons of the conditions that stand beside Ready and have no say in it.
const (
	// ReasonShortSecret: an HMAC secret has fewer bytes than its algorithm's hash (RFC 7518 section 3.2).
	// Remedy: use a longer secret, or let the operator generate it.
	ReasonShortSecret = "ShortSecret"
	// ReasonPluginLeftOut: the fallback of an ingress controller left out a plugin, and what names it goes on
	// without it.
	// Remedy: run the controller with --use-last-valid-config-for-fallback, and have the plugin corrected. Name
	// plugins by the annotation konghq.com/plugins, not by a filter.
	ReasonPluginLeftOut = "PluginLeftOut"
	// ReasonAnsweredBeforeClaims: a plugin on a consumer, not of this operator, answers before claims are checked.
	// Remedy: ask the owner of the plugin to put it on a service that has no spec.claims.
	ReasonAnsweredBeforeClaims = "AnsweredBeforeClaims"
	// ReasonNamesNobody: a service names a consumer or a group that nobody has.
	// Remedy: correct the name that the message gives, or create the JwtConsumer. It goes away by itself then.
	ReasonNamesNobody = "NamesNobody"
	// ReasonMatchesNothing: no request can match a path, host or method of a service's routes.
	// Remedy: change the field that the message names.
	ReasonMatchesNothing = "MatchesNothing"
	// ReasonNoAudience: a service names no audiences, and lets in whom an issuer signs tokens for.
	// Remedy: name the audience of the service in spec.claims.audiences, as the issuer writes it into aud.
	ReasonNoAudience = "NoAudience"
	// ReasonMaximumExpiration: a service's jwt.maximumExpiration is below the token's ttl.
	// Remedy: lower ttl, or raise maximumExpiration of the service that the message names.
	ReasonMaximumExpiration = "MaximumExpiration"
	// ReasonExpiryNotVerified: a service takes tokens however old they are.
	// Remedy: set spec.jwt.claimsToVerify to [exp].
	ReasonExpiryNotVerified = "ExpiryNotVerified"
	// ReasonEmptySet: an issuer's key set has no key that can be used. The last good keys stay in Kong.
	// Remedy: have the issuer publish its keys; set spec.revoked to true if they are to go.
	ReasonEmptySet = "EmptySet"
	// ReasonTooManyKeys: an issuer's key set has more keys than jwks.maxKeys lets in.
	// Remedy: raise jwks.maxKeys.
	ReasonTooManyKeys = "TooManyKeys"
	// ReasonDriftReported: somebody else changed in Kong what a resource has there, and spec.drift.policy of the
	// gateway is Report.
	// Remedy: find out who did. Set spec.drift.policy to Correct to have it put back, or change the resource if
	// Kong has it right.
	ReasonDriftReported = "DriftReported"
	// ReasonPruneReported: Kong holds entities of resources that are gone, and spec.prune.policy is Report.
	// Remedy: delete in Kong what carries the tags of the owners that the message names, or set spec.prune.policy
	// to Delete.
	ReasonPruneReported = "PruneReported"
	// ReasonTooManyOrphans: Kong holds more entities of a namespace's resources that are gone than
	// spec.prune.maxPercent lets go at once. That looks like a mistake: their credentials go, all else stays.
	// Remedy: find out why the resources are gone. If they have to be, raise spec.prune.maxPercent until they are
	// pruned.
	ReasonTooManyOrphans = "TooManyOrphans"
	// ReasonKeysLeftOut: some keys of an issuer's set cannot be used in Kong; the message says why.
	// Remedy: nothing, unless tokens are signed with these keys: then the issuer has to publish others.
	ReasonKeysLeftOut = "KeysLeftOut"
)

// Annotations, labels and the finalizer.
const (
	// Finalizer keeps a resource until what it made in Kong is gone.
	Finalizer = "kongjwt.dev/finalizer"
	// AnnotationReconcile asks for a look at once, on any kind: at Kong, or at the token of a JwtToken; any new
	// value counts.
	AnnotationReconcile = "kongjwt.dev/reconcile"
	// AnnotationRotate asks for a rotation; any new value counts. One that begins with a credential's name and = is
	// for that credential alone.
	AnnotationRotate = "kongjwt.dev/rotate"
	// AnnotationRevokePrevious ends the overlap of former material at once; any new value counts, and names a
	// credential as AnnotationRotate's.
	AnnotationRevokePrevious = "kongjwt.dev/revoke-previous"
	// AnnotationTakeOver names a KongConsumer of the namespace, on a JwtConsumer whose KongGateway is of an ingress
	// controller: it and its Secrets become the JwtConsumer's objects, where both say the same.
	AnnotationTakeOver = "kongjwt.dev/take-over"
	// LabelOwnerKind and LabelOwnerName are on every Secret that the operator writes.
	LabelOwnerKind = "kongjwt.dev/owner-kind"
	// LabelOwnerName names the owner; see LabelOwnerKind. A name over 63 bytes is shortened with a hash.
	LabelOwnerName = "kongjwt.dev/owner-name"
	// LabelManagedBy and ManagedBy mark what the operator writes, as Kubernetes recommends.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy, and the field manager of server-side apply.
	ManagedBy = "kong-jwt-operator"
)

// Kinds, as they are written in ownership tags, events and messages.
const (
	KindKongGateway         = "KongGateway"
	KindJwtConsumer         = "JwtConsumer"
	KindJwtProtectedService = "JwtProtectedService"
	KindJwtToken            = "JwtToken"
)

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
	// Remedy: after an upgrade nothing: what was refused goes on by itself. After a downgrade look at what is
	// Stalled now: kubectl kongjwt status.
	EventKongVersionChanged = "KongVersionChanged"
	// EventVerified: every data plane was seen to hold the credentials.
	// Remedy: nothing.
	EventVerified = "Verified"
	// EventNotVerified: a data plane was seen not to hold a credential that is in Kong's configuration.
	// Remedy: look whether the data plane that the message names reads the same database, or still gets its
	// configuration.
	EventNotVerified = "NotVerified"
	// EventClaimsNotChecked: a data plane was seen not to run the program that checks claims.
	// Remedy: have plugins and untrusted_lua in the kong.conf of the data plane that the message names as they are
	// on the others, and restart it.
	EventClaimsNotChecked = "ClaimsNotChecked"
	// EventGatewayGone: a resource is deleted, or moved, after its KongGateway was. What it made stays in that
	// Kong.
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
