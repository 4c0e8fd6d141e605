package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// ClaimChecks are conditions that the claims of a token must meet, after the jwt plugin has verified the token. A
// program of the operator checks them in Kong's post-function plugin, which runs after the jwt and acl plugins. A token
// that the program cannot read is refused. The answer is 401, or 403 where a claim of required is not met.
//
// +kubebuilder:validation:XValidation:rule="[has(self.issuers), has(self.audiences), has(self.required) && size(self.required) > 0, has(self.headers) && size(self.headers) > 0, has(self.notIssuedInFuture) && self.notIssuedInFuture].exists(x, x)",message="nothing is checked; set issuers, audiences, required, headers or notIssuedInFuture, or remove claims"
// +kubebuilder:validation:XValidation:rule="!has(self.clockSkew) || (has(self.notIssuedInFuture) && self.notIssuedInFuture)",fieldPath=".clockSkew",message="goes with notIssuedInFuture: true; set that too, or remove clockSkew"
// +kubebuilder:validation:XValidation:rule="!has(self.headers) || self.headers.all(h, self.headers.exists_one(o, o.header.lowerAscii() == h.header.lowerAscii()))",fieldPath=".headers",message="a header is made of one claim; remove the second of the same name, capitals or not"
type ClaimChecks struct {
	// issuers are the allowed values of the claim iss. They are compared exactly. An empty list is refused: it
	// could mean all or none.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +listType=set
	// +optional
	Issuers []string `json:"issuers,omitempty"`
	// audiences are the allowed values of the claim aud. If aud is a list, one element must be allowed. An empty
	// list is refused, as of issuers.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +listType=set
	// +optional
	Audiences []string `json:"audiences,omitempty"`
	// required are conditions on other claims. If one of them is not met, the answer is 403.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +nullable
	// +optional
	Required []RequiredClaim `json:"required,omitempty"`
	// headers that the upstream gets, made of claims. A client's own header of such a name is always removed.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +nullable
	// +optional
	Headers []ClaimHeader `json:"headers,omitempty"`
	// notIssuedInFuture refuses tokens of which the claim iat is missing, or in the future. Default false.
	// +optional
	NotIssuedInFuture bool `json:"notIssuedInFuture,omitempty"`
	// clockSkew is how far in the future the claim iat may be, with notIssuedInFuture. Whole seconds, default 30s,
	// up to 10m.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,7}m|[0-9]{1,9}s)+$') && duration(self) <= duration('10m')",message="must be a duration from 0s to 10m, such as 30s. Units are m and s."
	// +optional
	ClockSkew Duration `json:"clockSkew,omitempty"`
	// explainToClient says in the answer which claim is wrong. Default false: it says Unauthorized, or Forbidden.
	// +optional
	ExplainToClient bool `json:"explainToClient,omitempty"`
	// allowAnonymous lets requests pass that jwt.anonymous lets in without a token: there are no claims to check.
	// Default false: they are refused.
	// +optional
	AllowAnonymous bool `json:"allowAnonymous,omitempty"`
}

// RequiredClaim is a claim, and what it has to be: exactly one of contains, equals and in.
//
// +kubebuilder:validation:MinProperties=2
// +kubebuilder:validation:MaxProperties=2
type RequiredClaim struct {
	// claim is the name of a claim, or a path into objects such as realm_access.roles. A name with dots is written
	// ["https://example.com/roles"].
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^([[]\"[^\"[:cntrl:]]+\"[]]|[^]\".[[:cntrl:]]+)([.][^]\".[[:cntrl:]]+|[[]\"[^\"[:cntrl:]]+\"[]]){0,7}$')",message="must be the name of a claim, or a path such as realm_access.roles or [\"https://example.com/roles\"], at most 8 names deep"
	// +required
	Claim string `json:"claim"`
	// contains is a word of a string that separates words by spaces, as scope does, or an element of a list.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Contains string `json:"contains,omitempty"`
	// equals is a string, a whole number, true or false. Types are not mixed: "true" is not true.
	// +optional
	Equals *apiextensionsv1.JSON `json:"equals,omitempty"`
	// in lists the strings of which the claim has to be one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +listType=set
	// +optional
	In []string `json:"in,omitempty"`
}

// ClaimHeader is a header that is made of a claim. Strings, numbers and booleans are sent as they are, the elements of
// a list joined by commas, an object as its JSON in base64url. Without the claim the upstream gets no such header. A
// value that could be taken for another refuses the token: one with line breaks, with spaces at an end, or, in a list,
// with a comma.
type ClaimHeader struct {
	// claim is the name of a claim, or a path into objects such as realm_access.roles. A name with dots is written
	// ["https://example.com/roles"].
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^([[]\"[^\"[:cntrl:]]+\"[]]|[^]\".[[:cntrl:]]+)([.][^]\".[[:cntrl:]]+|[[]\"[^\"[:cntrl:]]+\"[]]){0,7}$')",message="must be the name of a claim, or a path such as realm_access.roles or [\"https://example.com/roles\"], at most 8 names deep"
	// +required
	Claim string `json:"claim"`
	// header such as X-Token-Subject. It begins with one of those of policy.claims.headers of the KongGateway.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9A-Za-z]+(-[0-9A-Za-z]+)*$')",message="must be letters, digits and -, such as X-Token-Subject; no _, which upstreams confuse with -"
	// +required
	Header string `json:"header"`
}

// ClaimPolicy bounds what services may do with claims.
type ClaimPolicy struct {
	// headers are what the names of headers made of claims begin with. Those that Kong and proxies write
	// themselves, such as X-Consumer-Username, Authorization and X-Forwarded-For, can never be made of a claim.
	// +kubebuilder:default={"X-Token-"}
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z]+(-[0-9A-Za-z]+)*-?$`
	// +listType=atomic
	// +optional
	Headers []string `json:"headers,omitzero"`
	// requireAudience refuses services that let in a consumer which follows an issuer (jwks) and name no
	// claims.audiences: every token of the issuer would pass, whatever it was issued for. Default: true where
	// identities are Namespaced, else false.
	// +optional
	RequireAudience *bool `json:"requireAudience,omitempty"`
	// requireExpiry refuses services that read their keys from kid and do not verify exp: a token would pass for as
	// long as its key is in Kong, and so would the token that a data plane is asked with. Default: true where
	// spec.dataPlanes is set, else false.
	// +optional
	RequireExpiry *bool `json:"requireExpiry,omitempty"`
}
