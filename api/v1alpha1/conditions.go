package v1alpha1

// Condition types. Ready is on every kind; Reconciling and Stalled follow kstatus: they are present only
// while they are true, and never both.
const (
	// ConditionReady is true when the resource works as its spec of observedGeneration says.
	ConditionReady = "Ready"
	// ConditionReconciling is true while the operator is still on its way to the spec and expects to get there by itself.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true when somebody has to change something before the operator can go on.
	ConditionStalled = "Stalled"
	// ConditionWeakSecret is true when an HMAC secret is shorter than RFC 7518 section 3.2 asks. The credential works all the same.
	ConditionWeakSecret = "WeakSecret"
	// ConditionKeySetDegraded is true while an issuer's key set is not what Kong has: the issuer is away, its set is empty, or keys of it cannot be used.
	// What was last good stays in Kong.
	ConditionKeySetDegraded = "KeySetDegraded"
	// ConditionTTLTooLong is true when a token lives longer than a service that it is for allows. Kong refuses it there until less is left of it.
	ConditionTTLTooLong = "TTLTooLong"
	// ConditionVerified says whether the data planes were seen to accept the credentials.
	ConditionVerified = "Verified"
)

// Reasons of conditions. There are few of them on purpose: the message has the detail.
const (
	// ReasonSucceeded: the resource is as its spec says.
	ReasonSucceeded = "Succeeded"
	// ReasonProgressing: work is under way; the message says what is waited for.
	ReasonProgressing = "Progressing"
	// ReasonSuspended: spec.suspend is true; nothing is changed until it is false.
	ReasonSuspended = "Suspended"
	// ReasonInvalidSpec: the spec asks for something that cannot be, and the schema could not see it.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonNotImplemented: the spec sets a field that this version does not act on yet; nothing of the spec is applied.
	ReasonNotImplemented = "NotImplemented"
	// ReasonSecretNotFound: a Secret that the spec names does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: a Secret exists, but what it holds cannot be used.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonSecretConflict: a Secret that the operator would write belongs to somebody else.
	ReasonSecretConflict = "SecretConflict"
	// ReasonGatewayNotFound: spec.gatewayRef names no KongGateway.
	ReasonGatewayNotFound = "GatewayNotFound"
	// ReasonGatewayNotReady: the KongGateway exists but cannot be used yet.
	ReasonGatewayNotReady = "GatewayNotReady"
	// ReasonNamespaceNotAllowed: the KongGateway does not admit resources of this namespace.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonPolicyViolation: the KongGateway's policy forbids what the spec asks for.
	ReasonPolicyViolation = "PolicyViolation"
	// ReasonConflict: a name, key or route match is held by something else in Kong.
	ReasonConflict = "Conflict"
	// ReasonTargetNotFound: spec.attachTo names a service or route that Kong does not have.
	ReasonTargetNotFound = "TargetNotFound"
	// ReasonKongRejected: Kong answered that what was sent is not valid.
	ReasonKongRejected = "KongRejected"
	// ReasonKongUnreachable: the Admin API does not answer, or answers that it cannot work now.
	ReasonKongUnreachable = "KongUnreachable"
	// ReasonRotating: a credential is on its way to its next generation.
	ReasonRotating = "Rotating"
	// ReasonRevoked: spec.revoked is true and no credential is in Kong.
	ReasonRevoked = "Revoked"
	// ReasonAwaitingDataPlane: a change is in Kong's configuration but not every data plane is known to have taken it.
	ReasonAwaitingDataPlane = "AwaitingDataPlane"
	// ReasonCredentialCannotSign: the credential has no private material here, so no token can be signed with it.
	ReasonCredentialCannotSign = "CredentialCannotSign"
	// ReasonConsumerNotFound: spec.consumerRef names no JwtConsumer, or no credential of it.
	ReasonConsumerNotFound = "ConsumerNotFound"
	// ReasonConsumerNotReady: the JwtConsumer's credential is not in Kong yet, or revoked.
	ReasonConsumerNotReady = "ConsumerNotReady"
	// ReasonKeySetUnreachable: an issuer has not given its key set, and none of its keys are known.
	ReasonKeySetUnreachable = "KeySetUnreachable"
	// ReasonKeySetInvalid: what an issuer gives as its key set is none, or has no key that Kong can verify with.
	ReasonKeySetInvalid = "KeySetInvalid"
	// ReasonDeleting: the resource is being deleted and the message says what it still waits for.
	ReasonDeleting = "Deleting"
)

// Annotations, labels and the finalizer.
const (
	// Finalizer keeps a resource until what it made in Kong is gone.
	Finalizer = "kongjwt.dev/finalizer"
	// AnnotationReconcile asks for a check at once; any new value counts.
	AnnotationReconcile = "kongjwt.dev/reconcile"
	// AnnotationRotate asks for a rotation; any new value counts.
	AnnotationRotate = "kongjwt.dev/rotate"
	// AnnotationRevokePrevious ends the overlap of former material at once; any new value counts.
	AnnotationRevokePrevious = "kongjwt.dev/revoke-previous"
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
