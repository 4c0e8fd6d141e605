package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// KeySetPart is the part of one key of an issuer's set: a kid may have characters, and a length, that tags do not
// take. No name of a credential has a colon in it.
func KeySetPart(name, kid string) string {
	sum := sha256.Sum256([]byte(kid))
	return fmt.Sprintf("credential:%s:%s", name, hex.EncodeToString(sum[:16]))
}

// KeySetCredential is a key of an issuer's set as it shall be in Kong. The issuer chose its kid, not the tenant:
// policy.identities does not bound it, but policy.jwks does the issuer. name is the one that the set's entities
// carry.
func KeySetCredential(field, name string, material credential.Material) Credential {
	return Credential{Field: field, Part: KeySetPart(name, material.Key), Material: material}
}
