package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JwtConsumerSpec is a Kong consumer, its JWT credentials and its groups.
//
// +kubebuilder:validation:XValidation:rule="!has(self.credentials) || self.credentials.all(c, !has(c.key) || self.credentials.exists_one(d, has(d.key) && d.key == c.key))",fieldPath=".credentials",message="two credentials have the same key, and Kong keeps one credential a key; change one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.credentials) || self.credentials.all(c, !has(c.generate) || self.credentials.exists_one(d, has(d.generate) && d.generate.secretName == c.generate.secretName))",fieldPath=".credentials",message="two credentials have the same generate.secretName; each needs a Secret of its own"
// +kubebuilder:validation:XValidation:rule="!has(self.plugins) || self.plugins.all(p, self.plugins.exists_one(q, q.plugin == p.plugin))",fieldPath=".plugins",message="Kong runs a plugin once for a consumer; remove the second of the same plugin"
type JwtConsumerSpec struct {
	// gatewayRef names the KongGateway to program.
	// +kubebuilder:default={name: "default"}
	// +optional
	GatewayRef GatewayReference `json:"gatewayRef,omitempty"`
	// suspend stops all work on this resource until it is false again. What is in Kong stays as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// username in Kong. Default: <namespace>.<name>. Where the gateway's policy is Namespaced it has to begin with
	// "<namespace>.".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",message="must hold no control characters, such as line breaks and tabs"
	// +optional
	Username string `json:"username,omitempty"`
	// customID is an id of the consumer in a system of yours; upstreams get it as X-Consumer-Custom-ID.
	// Only where the gateway's policy for identities is Any.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",message="must hold no control characters, such as line breaks and tabs"
	// +optional
	CustomID string `json:"customID,omitempty"`
	// tags are added to every entity that this resource makes in Kong.
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	// +nullable
	// +optional
	Tags []Tag `json:"tags,omitempty"`
	// groups are the Kong ACL groups of the consumer. Those that begin with "kongjwt:" are the operator's own.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^[^,\x00-\x1f\x7f]+$`
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[,[:cntrl:]]')",message="must hold no comma and no control character: upstreams get the groups as one list with commas"
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('kongjwt:')",message="groups that begin with kongjwt: are the operator's own; choose another"
	// +listType=set
	// +nullable
	// +optional
	Groups []string `json:"groups,omitempty"`
	// credentials are the keys and secrets that verify the tokens of this consumer.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +nullable
	// +optional
	Credentials []Credential `json:"credentials,omitempty"`
	// plugins run for the requests of this consumer.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +nullable
	// +optional
	Plugins []PluginSpec `json:"plugins,omitempty"`
	// revoked takes every credential out of Kong at once. The consumer, its groups and its Secrets stay.
	// +optional
	Revoked bool `json:"revoked,omitempty"`
	// deletionPolicy says what happens in Kong when this resource is deleted. Default Delete.
	// +kubebuilder:default=Delete
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// Credential is one JWT credential of a consumer. Its material has exactly one source.
//
// +kubebuilder:validation:XValidation:rule="[has(self.secretRef), has(self.generate), has(self.jwks)].filter(x, x).size() == 1",message="set exactly one source: secretRef, generate or jwks"
// +kubebuilder:validation:XValidation:rule="!has(self.key) || !has(self.generate) || !has(self.generate.rotation) || !has(self.generate.rotation.overlap)",fieldPath=".key",message="a pinned key cannot overlap: Kong keeps one credential a key. Remove key, or generate.rotation.overlap"
// +kubebuilder:validation:XValidation:rule="!has(self.key) || !has(self.secretRef) || !has(self.secretRef.overlap)",fieldPath=".key",message="a pinned key cannot overlap: Kong keeps one credential a key. Remove key, or secretRef.overlap"
// +kubebuilder:validation:XValidation:rule="!has(self.key) || !has(self.secretRef) || !has(self.secretRef.dataKeys) || !has(self.secretRef.dataKeys.key)",fieldPath=".key",message="the key comes from key or from secretRef.dataKeys.key, not from both"
// +kubebuilder:validation:XValidation:rule="!has(self.key) || !has(self.jwks)",fieldPath=".key",message="with jwks every kid of the set is a key; remove key"
// +kubebuilder:validation:XValidation:rule="!has(self.jwks) || !has(self.algorithm) || !self.algorithm.startsWith('HS')",fieldPath=".algorithm",message="a key set holds public keys, and HMAC (HS256, HS384, HS512) has none; remove algorithm, or name that of the keys"
// +kubebuilder:validation:XValidation:rule="!has(self.generate) || !has(self.generate.secretBytes) || (has(self.algorithm) ? self.algorithm : 'HS256').startsWith('HS')",fieldPath=".generate.secretBytes",message="secretBytes is for HMAC secrets (HS256, HS384, HS512); for RSA use rsaBits"
// +kubebuilder:validation:XValidation:rule="!has(self.generate) || !has(self.generate.rsaBits) || (has(self.algorithm) ? self.algorithm : 'HS256').startsWith('RS') || (has(self.algorithm) ? self.algorithm : 'HS256').startsWith('PS')",fieldPath=".generate.rsaBits",message="rsaBits is for RSA keys (RS256 to RS512, PS256 to PS512)"
// +kubebuilder:validation:XValidation:rule="!has(self.generate) || !has(self.generate.rsaBits) || !(has(self.algorithm) ? self.algorithm : 'HS256').startsWith('PS') || self.generate.rsaBits == 2048",fieldPath=".generate.rsaBits",message="Kong verifies PS256, PS384 and PS512 with 2048-bit keys only; set 2048"
// +kubebuilder:validation:XValidation:rule="!has(self.generate) || !has(self.generate.secretBytes) || self.generate.secretBytes >= (has(self.algorithm) && self.algorithm == 'HS512' ? 64 : (has(self.algorithm) && self.algorithm == 'HS384' ? 48 : 32))",fieldPath=".generate.secretBytes",message="must be at least the hash's size (RFC 7518 section 3.2): 32 for HS256, 48 for HS384, 64 for HS512"
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.secretRef.dataKeys) || !has(self.secretRef.dataKeys.secret) || (has(self.algorithm) ? self.algorithm : 'HS256').startsWith('HS')",fieldPath=".secretRef.dataKeys.secret",message="secret is for HMAC (HS256, HS384, HS512); other algorithms take publicKey"
// +kubebuilder:validation:XValidation:rule="!has(self.secretRef) || !has(self.secretRef.dataKeys) || !(has(self.secretRef.dataKeys.publicKey) || has(self.secretRef.dataKeys.privateKey)) || !(has(self.algorithm) ? self.algorithm : 'HS256').startsWith('HS')",fieldPath=".secretRef.dataKeys",message="publicKey and privateKey are for asymmetric algorithms; HMAC (HS256, HS384, HS512) takes secret"
type Credential struct {
	// name tells the credentials of one consumer apart.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// algorithm of the tokens. Default: HS256. With jwks it is for the keys of the set that name no algorithm;
	// where it is left out there, an EC key's curve decides, and an RSA key verifies RS256.
	// +optional
	Algorithm Algorithm `json:"algorithm,omitempty"`
	// key is what tokens carry in the claim that the service reads (iss, or kid). It is unique in Kong.
	// Default: <username>.<name>; with rotation, a dot and the number of the revision follow.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",message="must hold no control characters, such as line breaks and tabs"
	// +optional
	Key string `json:"key,omitempty"`
	// secretRef takes the material from a Secret that somebody else owns: you, External Secrets, a Vault operator.
	// +optional
	SecretRef *CredentialSecretReference `json:"secretRef,omitempty"`
	// generate lets the operator make the material, and publish it in a Secret.
	// +optional
	Generate *Generate `json:"generate,omitempty"`
	// jwks takes every signing key of an issuer's key set (RFC 7517).
	// +optional
	JWKS *JWKS `json:"jwks,omitempty"`
}

// CredentialSecretReference names a Secret in the consumer's namespace, and the keys of its data.
//
// +kubebuilder:validation:XValidation:rule="!has(self.overlap) || (has(self.dataKeys) && has(self.dataKeys.key))",fieldPath=".overlap",message="overlap needs dataKeys.key: old and new material live side by side only under two keys"
type CredentialSecretReference struct {
	// name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	Name string `json:"name"`
	// dataKeys says where in the Secret things are.
	// +optional
	DataKeys *CredentialDataKeys `json:"dataKeys,omitempty"`
	// overlap is how long the former material stays valid after the Secret's content changed.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) <= duration('8760h')",message="must be a duration from 0s to 8760h, such as 24h or 720h. Units are h, m, s and ms; write 30 days as 720h."
	// +optional
	Overlap Duration `json:"overlap,omitempty"`
}

// CredentialDataKeys are keys of a Secret's data.
type CredentialDataKeys struct {
	// secret is where the HMAC secret is. Default: secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +optional
	Secret string `json:"secret,omitempty"`
	// publicKey is where the public key (PEM, PKIX) is. Default: public.pem.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +optional
	PublicKey string `json:"publicKey,omitempty"`
	// privateKey is where the private key (PEM) is, for JwtTokens to be signed with. It never leaves the cluster.
	// Without it nothing is signed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +optional
	PrivateKey string `json:"privateKey,omitempty"`
	// key is where the credential's key is. Without it the key is the credential's key, or its default.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +optional
	Key string `json:"key,omitempty"`
}

// Generate lets the operator make the material.
type Generate struct {
	// secretName of the Secret that clients read: key, algorithm, and secret or private.pem and public.pem. It must
	// not exist, or be this resource's already.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +required
	SecretName string `json:"secretName"`
	// secretBytes is the size of an HMAC secret in random bytes; it is published as base64url without padding,
	// which is a third longer. Default 48, and 64 for HS512. At most 128.
	// +kubebuilder:validation:Minimum=32
	// +kubebuilder:validation:Maximum=128
	// +optional
	SecretBytes int32 `json:"secretBytes,omitempty"`
	// rsaBits is the size of an RSA key. Default 2048.
	// +kubebuilder:validation:Enum=2048;3072;4096
	// +optional
	RSABits int32 `json:"rsaBits,omitempty"`
	// rotation replaces the material at intervals. No request is refused meanwhile. Without it the material stays.
	// +optional
	Rotation *Rotation `json:"rotation,omitempty"`
}

// Rotation says when material is replaced.
//
// +kubebuilder:validation:XValidation:rule="!has(self.overlap) || !self.overlap.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') || !self.interval.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') || duration(self.overlap) > duration('8760h') || duration(self.overlap) < duration(self.interval)",fieldPath=".overlap",message="must be below interval: the former material has to be gone before the next change"
type Rotation struct {
	// interval between two rotations. At least 1m, at most 43800h (five years). Each is shortened by a random part,
	// so that many credentials do not rotate at once.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) >= duration('1m') && duration(self) <= duration('43800h')",message="must be a duration from 1m to 43800h, such as 720h or 12h. Units are h, m, s and ms; write 30 days as 720h."
	// +required
	Interval Duration `json:"interval"`
	// overlap is how long the former material stays valid after the new one is published. Default: 24h, or half the
	// interval if that is less.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}(s|ms)|[0-9]{1,5}[.][0-9]{1,6}(h|m|s))+$') && duration(self) <= duration('8760h')",message="must be a duration from 0s to 8760h, such as 24h or 720h. Units are h, m, s and ms; write 30 days as 720h."
	// +optional
	Overlap Duration `json:"overlap,omitempty"`
}

// CredentialState is where in its life a credential is.
//
// +kubebuilder:validation:Enum=Pending;Active;Retiring
type CredentialState string

const (
	// CredentialPending is not in Kong yet.
	CredentialPending CredentialState = "Pending"
	// CredentialActive is in Kong, and the one to sign with.
	CredentialActive CredentialState = "Active"
	// CredentialRetiring is still in Kong, until its retirement time. Without one it has left Kong, and not every
	// data plane is known to have lost it.
	CredentialRetiring CredentialState = "Retiring"
)

// CredentialStatus is what the operator knows of one credential. It never holds material, nor a plain hash of it.
type CredentialStatus struct {
	// name of the credential in the spec.
	// +required
	Name string `json:"name"`
	// key in Kong.
	// +optional
	Key string `json:"key,omitempty"`
	// kongID is the credential's id in Kong.
	// +optional
	KongID string `json:"kongID,omitempty"`
	// algorithm of the tokens.
	// +optional
	Algorithm Algorithm `json:"algorithm,omitempty"`
	// state is Pending, Active or Retiring.
	// +optional
	State CredentialState `json:"state,omitempty"`
	// revision counts the rotations of generated material, from 1.
	// +optional
	Revision int64 `json:"revision,omitempty"`
	// issueTime is when the material was made, or first seen.
	// +optional
	IssueTime *metav1.Time `json:"issueTime,omitempty"`
	// rotationTime is when the next material is due.
	// +optional
	RotationTime *metav1.Time `json:"rotationTime,omitempty"`
	// retirementTime is when this one leaves Kong; not set where it has left it and data planes may still have it.
	// +optional
	RetirementTime *metav1.Time `json:"retirementTime,omitempty"`
	// secretName is the Secret that holds the material.
	// +optional
	SecretName string `json:"secretName,omitempty"`
	// verified says whether every data plane was seen to accept it.
	// +optional
	Verified *bool `json:"verified,omitempty"`
}

// JwtConsumerStatus is what the operator knows of a consumer.
type JwtConsumerStatus struct {
	// observedGeneration of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready; Reconciling or Stalled while they are true; Suspended while spec.suspend is true;
	// Drifted, WeakSecret, KeySetDegraded, AwaitingController and RevocationPending while they are true; and
	// Verified where the gateway names its data planes.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// gateway that holds what this resource made, if any.
	// +optional
	Gateway string `json:"gateway,omitempty"`
	// username in Kong.
	// +optional
	Username string `json:"username,omitempty"`
	// consumerID in Kong.
	// +optional
	ConsumerID string `json:"consumerID,omitempty"`
	// newestIssueTime is the issueTime of the newest key: since when nothing was rotated.
	// +optional
	NewestIssueTime *metav1.Time `json:"newestIssueTime,omitempty"`
	// nextRotationTime is the first of the credentials' rotation times.
	// +optional
	NextRotationTime *metav1.Time `json:"nextRotationTime,omitempty"`
	// credentials that the spec has, in its order, and those that retire.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Credentials []CredentialStatus `json:"credentials,omitempty"`
	// drift lists what somebody else changed in Kong and what stays so, because spec.drift.policy of the gateway is
	// Report.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Drift []DriftedEntity `json:"drift,omitempty"`
}

// JwtConsumer is a Kong consumer, its JWT credentials and its groups.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=jwtc,categories=kongjwt
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Gateway",type=string,JSONPath=`.spec.gatewayRef.name`
// +kubebuilder:printcolumn:name="Username",type=string,JSONPath=`.status.username`
// +kubebuilder:printcolumn:name="Key age",type=date,JSONPath=`.status.newestIssueTime`
// +kubebuilder:printcolumn:name="Next rotation",type=string,JSONPath=`.status.nextRotationTime`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Ready")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type JwtConsumer struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is wanted in Kong.
	// +kubebuilder:default={}
	// +optional
	Spec JwtConsumerSpec `json:"spec,omitempty"`
	// status is what the operator found and did.
	// +optional
	Status JwtConsumerStatus `json:"status,omitempty"`
}

// JwtConsumerList is a list of JwtConsumers.
//
// +kubebuilder:object:root=true
type JwtConsumerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []JwtConsumer `json:"items"`
}

// ClusterKeySet is what policy.jwks.issuers names the keys of this cluster's API server by.
const ClusterKeySet = "https://kubernetes.default.svc/openid/v1/jwks"
