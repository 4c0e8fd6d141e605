package v1alpha1

// JWTPlugin is the configuration of Kong's jwt plugin.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maximumExpiration) || (has(self.claimsToVerify) && 'exp' in self.claimsToVerify)",fieldPath=".maximumExpiration",message="needs exp in claimsToVerify: else expired tokens pass; add exp there"
type JWTPlugin struct {
	// uriParamNames are query parameters to look for a token in. Default: jwt. An empty list turns it off.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z._~-]+$`
	// +listType=set
	// +optional
	URIParamNames *[]string `json:"uriParamNames,omitempty"`
	// cookieNames to look for a token in. Default: none.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z!#$%&'*+.^_|~-]+$`
	// +listType=set
	// +optional
	CookieNames *[]string `json:"cookieNames,omitempty"`
	// headerNames to look for a token in, as "Bearer <token>". Default: authorization. An empty list turns it off.
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z_-]+$`
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[0-9A-Za-z_-]+$')",message="a header's name is letters, digits, - and _"
	// +listType=set
	// +optional
	HeaderNames *[]string `json:"headerNames,omitempty"`
	// claimsToVerify are exp (expiry) and nbf (not before). Default: none, so expired tokens pass. Set [exp].
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	ClaimsToVerify []TimeClaim `json:"claimsToVerify,omitempty"`
	// keyClaimName is the claim, or the field of the token's header, that holds the credential's key. Default: iss.
	// For JWKS and rotation: kid.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +optional
	KeyClaimName string `json:"keyClaimName,omitempty"`
	// secretIsBase64 decodes HMAC secrets as base64url before use: clients sign with the bytes that the text stands
	// for. Tokens of a JwtToken, and of `kubectl kongjwt token create`, are signed with the text itself, and are
	// refused here. Default false.
	// +optional
	SecretIsBase64 *bool `json:"secretIsBase64,omitempty"`
	// runOnPreflight says whether OPTIONS requests need a token. Default true.
	// +optional
	RunOnPreflight *bool `json:"runOnPreflight,omitempty"`
	// maximumExpiration is how far in the future exp may be. Whole seconds, from 1s to 8760h (a year). Default:
	// any.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}h|[0-9]{1,7}m|[0-9]{1,9}s)+$') && duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="must be a duration from 1s to 8760h, such as 1h or 24h. Units are h, m and s; write 30 days as 720h."
	// +optional
	MaximumExpiration Duration `json:"maximumExpiration,omitempty"`
	// anonymous is the username of the consumer that requests without a valid token become. Default: none, they are
	// refused.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	// +optional
	Anonymous string `json:"anonymous,omitempty"`
	// realm in the WWW-Authenticate header. Kong 3.8 or newer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^"\\\x00-\x1f\x7f]+$`
	// +optional
	Realm string `json:"realm,omitempty"`
}

// TimeClaim is a claim about time that the jwt plugin can verify (RFC 7519 section 4.1).
//
// +kubebuilder:validation:Enum=exp;nbf
type TimeClaim string

const (
	// ClaimExpiration is the time from which a token is refused.
	ClaimExpiration TimeClaim = "exp"
	// ClaimNotBefore is the time until which a token is refused.
	ClaimNotBefore TimeClaim = "nbf"
)
