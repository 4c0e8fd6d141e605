package jwks

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/MicahParks/jwkset"
)

// MaxSetKeys is how many keys a set may have, of use or not.
const MaxSetKeys = 256

// maxID is the longest kid, in characters, as the longest key of any credential.
const maxID = 255

// MaxKeys is how many keys of a set are used at most, the highest value of jwks.maxKeys.
const MaxKeys = 64

// Set is what is kept of a key set: what is used of it, and not what was parsed.
type Set struct {
	candidates []candidate
	skipped    []Skipped
	// beyond is how many candidates there are more than MaxKeys.
	beyond int
	// size in bytes, of what the fields above hold.
	size int
}

// candidate is a key that can serve some algorithm.
type candidate struct {
	id        string
	algorithm string
	// fits are the algorithms of such a key.
	fits []string
	pem  string
}

// Skipped is the first key of a set that is not used for a reason.
type Skipped struct {
	// Index in the set, from 0.
	Index int
	// Reason says why, without a quote from the set.
	Reason string
	// Foreign says that it is no key for signatures: nobody misses it.
	Foreign bool
}

// errForeign are keys that are meant for something else.
var errForeign = errors.New("is not for signatures (use, key_ops)")

// Parse reads a key set (RFC 7517 section 5). A key of no use is skipped, as section 5 asks; the error is ErrInvalid
// where the document is no set at all.
func Parse(document []byte) (Set, error) {
	var raw struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	document = bytes.TrimSpace(bytes.TrimPrefix(document, []byte(byteOrderMark)))
	decoder := json.NewDecoder(bytes.NewReader(document))
	if err := decoder.Decode(&raw); err != nil {
		return Set{}, invalid("%s", describeDocument(document, errors.Is(err, io.ErrUnexpectedEOF)))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Set{}, invalid("something follows the key set")
	}
	if raw.Keys == nil {
		return Set{}, invalid("%s", describeObject(document))
	}
	if len(*raw.Keys) > MaxSetKeys {
		return Set{}, invalid("the set has %d keys, and at most %d are read", len(*raw.Keys), MaxSetKeys)
	}
	var set Set
	ids := map[string]bool{}
	for i, text := range *raw.Keys {
		found, err := read(text)
		switch {
		case err != nil:
			set.skip(Skipped{Index: i, Reason: err.Error(), Foreign: errors.Is(err, errForeign)})
		case ids[found.id]:
			set.skip(Skipped{Index: i, Reason: "another key has the same kid, and Kong keeps one credential a key"})
		default:
			ids[found.id] = true
			set.take(found)
		}
	}
	return set, nil
}

// perItem is what a candidate, or a Skipped, takes without its texts, in bytes.
const perItem = 80

// take keeps a candidate, or counts it.
func (s *Set) take(c candidate) {
	if len(s.candidates) == MaxKeys {
		s.beyond++
		return
	}
	s.candidates = append(s.candidates, c)
	s.size += perItem + len(c.id) + len(c.algorithm) + len(c.pem)
}

// skip keeps why a key is not used, each reason once.
func (s *Set) skip(key Skipped) {
	if slices.ContainsFunc(s.skipped, func(other Skipped) bool { return other.Reason == key.Reason }) {
		return
	}
	s.skipped = append(s.skipped, key)
	s.size += perItem + len(key.Reason)
}

// byteOrderMark begins texts that some editors write.
const byteOrderMark = "\ufeff"

// describeDocument says what a document is that is no JSON object, for what is found most where a set should be. It
// quotes nothing of it.
func describeDocument(document []byte, endsEarly bool) string {
	text := string(document)
	switch {
	case text == "":
		return "what is there is empty; publish the key set there"
	case strings.HasPrefix(text, "<"):
		return "what is there is a web page, such as one to log in on; name the address of the set (jwks_uri)"
	case strings.Contains(text, "-----BEGIN "):
		return "what is there is a PEM; publish the key as a JSON Web Key Set, or name a Secret with it in secretRef"
	case strings.HasPrefix(text, `"`), strings.HasPrefix(text, "'"):
		return "what is there is a key set in quotes; publish it without"
	case strings.HasPrefix(text, "eyJ"):
		return "what is there is base64; publish the key set as JSON"
	case endsEarly:
		return "what is there is cut off; publish the whole key set"
	}
	return "what is there is no JSON Web Key Set; name the address of the set, not of the issuer or its discovery document"
}

// describeObject says what a JSON object without keys is.
func describeObject(document []byte) string {
	var fields struct {
		Discovery any `json:"jwks_uri"`
		Type      any `json:"kty"`
	}
	_ = json.Unmarshal(document, &fields) // it was read before
	switch {
	case fields.Discovery != nil:
		return "what is there is a discovery document; name the address that it has as jwks_uri"
	case fields.Type != nil:
		return `what is there is one key; publish it in a set, {"keys": [...]}`
	}
	return "what is there is JSON without keys; name the address of the set (jwks_uri), not of the discovery document"
}

func invalid(format string, args ...any) error {
	return &Error{Kind: ErrInvalid, Message: fmt.Sprintf(format, args...)}
}

// read reads one key. Its errors say why it is of no use.
func read(text json.RawMessage) (candidate, error) {
	var fields jwkset.JWKMarshal
	if err := json.Unmarshal(text, &fields); err != nil {
		return candidate{}, errors.New("is no JSON Web Key")
	}
	if err := checkPurpose(fields); err != nil {
		return candidate{}, err
	}
	if err := checkID(fields.KID); err != nil {
		return candidate{}, err
	}
	// Certificates say nothing that Kong would look at, and x5u would be fetched.
	fields.X5C, fields.X5U, fields.X5T, fields.X5TS256 = nil, "", "", ""
	parsed, err := jwkset.NewJWKFromMarshal(fields, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipAll: true})
	if err != nil {
		return candidate{}, errors.New("is no valid public key of a kind that Kong verifies with: RSA, EC on P-256, P-384 or P-521, Ed25519")
	}
	key := parsed.Key()
	if err := checkRSA(key, fields.E); err != nil {
		return candidate{}, err
	}
	fits := fitting(key)
	if _, err := algorithmOf(fields.ALG.String(), "", fits); err != nil {
		return candidate{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return candidate{}, errors.New("cannot be written as PEM")
	}
	return candidate{
		id: fields.KID, algorithm: fields.ALG.String(), fits: fits,
		pem: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	}, nil
}

// checkPurpose refuses keys that are not for signatures (RFC 7517 sections 4.2 and 4.3), and those whose private half
// everybody can read.
func checkPurpose(fields jwkset.JWKMarshal) error {
	switch {
	case fields.KTY == jwkset.KtyOct:
		return errors.New("is symmetric: whoever can read the set could sign")
	case fields.D != "":
		return errors.New("is published with its private half: whoever can read the set could sign")
	case fields.USE != "" && fields.USE != jwkset.UseSig:
		return errForeign
	case len(fields.KEYOPS) > 0 && !slices.Contains(fields.KEYOPS, jwkset.KeyOpsVerify):
		return errForeign
	default:
		return nil
	}
}

// checkID refuses a kid that cannot be the key of a credential.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("has no kid, by which Kong would find it")
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) || strings.ContainsRune(id, utf8.RuneError):
		return errors.New("kid has characters that are not printable")
	case utf8.RuneCountInString(id) > maxID:
		return fmt.Errorf("kid has more than %d characters", maxID)
	case strings.Contains(id, "{vault://"):
		return errors.New("kid is a vault reference, which Kong would resolve")
	default:
		return nil
	}
}

// Without leaves out the keys whose kids are refused, for a reason.
func (s Set) Without(refused func(kid string) bool, reason string) Set {
	left := Set{skipped: slices.Clone(s.skipped), beyond: s.beyond}
	for _, c := range s.candidates {
		if refused(c.id) {
			left.skip(Skipped{Reason: reason})
			continue
		}
		left.candidates = append(left.candidates, c)
	}
	return left
}

// Selection is what is used of a set.
type Selection struct {
	// Keys in the order of the set.
	Keys []Key
	// Skipped are of no use.
	Skipped []Skipped
	// Beyond is how many would be of use, and are more than the limit lets in.
	Beyond int
}

// Select gives the keys to use: the first limit of those that serve. fallback is the algorithm of keys that name
// none; where it does not fit a key, its curve decides, and RS256 for RSA.
func (s Set) Select(fallback string, limit int) Selection {
	selection := Selection{Skipped: s.skipped, Beyond: s.beyond}
	for _, c := range s.candidates {
		if len(selection.Keys) == limit {
			selection.Beyond++
			continue
		}
		// Parse has seen that an algorithm fits.
		algorithm, _ := algorithmOf(c.algorithm, fallback, c.fits)
		selection.Keys = append(selection.Keys, Key{ID: c.id, Algorithm: algorithm, PublicKeyPEM: c.pem})
	}
	return selection
}
