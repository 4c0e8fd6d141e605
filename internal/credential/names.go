package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// maxKey is the longest key: in characters where a person chose it, as in the schema, and in bytes where we did.
const maxKey = 255

// DefaultKey is the key of a credential that sets none: <username>.<name>, and behind it the revision where it is not
// zero. One that would be longer than 255 bytes ends in a hash of it instead.
func DefaultKey(username, name string, revision int64) string {
	key := username + "." + name
	if revision > 0 {
		key = fmt.Sprintf("%s.%d", key, revision)
	}
	return bounded(key, maxKey)
}

// keyOf is the key of a revision.
func (w Want) keyOf(number int64, salt string) string {
	switch {
	case w.Key != "":
		return w.Key
	case number == 1 && !w.Numbered && salt == "":
		return DefaultKey(w.Username, w.Name, 0)
	default:
		return w.numberedKey(number, salt)
	}
}

// numberedKey ends in a revision's number, and in its salt where it has one.
func (w Want) numberedKey(number int64, salt string) string {
	if salt == "" {
		return DefaultKey(w.Username, w.Name, number)
	}
	return bounded(fmt.Sprintf("%s.%s.%d-%s", w.Username, w.Name, number, salt), maxKey)
}

// fits says whether a revision is what the spec asks for.
func (w Want) fits(r Revision) bool {
	switch {
	case w.Missing:
		return true
	case w.Given != nil:
		return r.Given && r.Material.Equal(*w.Given)
	case r.Given || r.Recipe != w.Recipe:
		return false
	case w.Key != "":
		return r.Material.Key == w.Key
	default:
		return r.Material.Key == DefaultKey(w.Username, w.Name, 0) || r.Material.Key == w.numberedKey(r.Number, r.Salt)
	}
}

// saltLength makes 40 random bits: somebody who wants to take a key beforehand cannot take them all.
const saltLength = 8

func newSalt() string { return strings.ToLower(rand.Text()[:saltLength]) }

const (
	maxSecretName = 253
	stateSuffix   = "-kongjwt-state"
	jwksSuffix    = "-kongjwt-jwks"
)

// StateSecretName is the name of the Secret in which the operator keeps what it generated for a consumer. The name of
// a consumer that leaves no room for the suffix is shortened with a hash.
func StateSecretName(consumer string) string {
	return bounded(consumer, maxSecretName-len(stateSuffix)) + stateSuffix
}

// JWKSSecretName is the name of the Secret in which the operator keeps the keys of the issuers that a consumer
// follows. They are public; they have a Secret of their own so that no write of theirs touches what StateSecretName
// holds.
func JWKSSecretName(consumer string) string {
	return bounded(consumer, maxSecretName-len(jwksSuffix)) + jwksSuffix
}

// bounded cuts a text to max bytes, between characters, and puts a hash of the whole where it ends: texts that differ
// stay different. A Kubernetes name stays one: no dot or dash is left before the hash.
func bounded(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	hash := "-" + hex.EncodeToString(sum[:16])
	cut := limit - len(hash)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.TrimRight(text[:cut], ".-") + hash
}

// CheckSecretName refuses a credential that would be published over the operator's own state; the schema sees to it
// that no two are published in one Secret. field is where the credential is in the spec. The error is a
// *status.StalledError with reason InvalidSpec.
func CheckSecretName(consumer, field string, c v1alpha1.Credential) error {
	if c.Generate == nil || c.Generate.SecretName != StateSecretName(consumer) && c.Generate.SecretName != JWKSSecretName(consumer) {
		return nil
	}
	return status.Stalled(v1alpha1.ReasonInvalidSpec,
		"%s.generate.secretName: the operator keeps its state in Secret %s (of this consumer). Choose another name.",
		field, c.Generate.SecretName)
}
