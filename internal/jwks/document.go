package jwks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// documentVersion goes up with every field that is added: an operator that did not know it would lose it with its next write.
const documentVersion = 1

// ErrUnreadable says that what is kept cannot be read. What is in Kong stays then.
var ErrUnreadable = errors.New("what is kept of the key sets cannot be read")

// Kept is what is kept of one key set, so that it survives a restart, and an issuer that is away.
type Kept struct {
	Held []Held
	// RevokePrevious is the last request to end the overlaps that was handled.
	RevokePrevious string
}

// Equal compares in everything that is kept.
func (k Kept) Equal(other Kept) bool {
	return k.RevokePrevious == other.RevokePrevious && slices.EqualFunc(k.Held, other.Held, Held.equal)
}

type document struct {
	Version int                     `json:"version"`
	Sets    map[string]keptDocument `json:"sets"`
}

type keptDocument struct {
	RevokePrevious string        `json:"revokePrevious,omitempty"`
	Keys           []keyDocument `json:"keys"`
}

type keyDocument struct {
	ID        string     `json:"kid"`
	Algorithm string     `json:"algorithm"`
	PublicKey string     `json:"publicKey"`
	Since     time.Time  `json:"since"`
	Removed   *time.Time `json:"removed,omitempty"`
}

// Encode writes what is kept of key sets, by name. Equal content gives equal bytes.
func Encode(sets map[string]Kept) ([]byte, error) {
	stored := document{Version: documentVersion, Sets: make(map[string]keptDocument, len(sets))}
	for name, kept := range sets {
		set := keptDocument{RevokePrevious: kept.RevokePrevious, Keys: []keyDocument{}}
		for _, h := range kept.Held {
			key := keyDocument{ID: h.ID, Algorithm: h.Algorithm, PublicKey: h.PublicKeyPEM, Since: h.Since.UTC()}
			if h.Leaving() {
				removed := h.Removed.UTC()
				key.Removed = &removed
			}
			set.Keys = append(set.Keys, key)
		}
		stored.Sets[name] = set
	}
	return json.Marshal(stored)
}

// Decode reads what Encode wrote. Every error is ErrUnreadable, and quotes nothing.
func Decode(content []byte) (map[string]Kept, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return nil, fmt.Errorf("%w: it is no JSON of ours", ErrUnreadable)
	}
	if head.Version != documentVersion {
		return nil, fmt.Errorf("%w: it has version %d, and this operator reads %d", ErrUnreadable, head.Version, documentVersion)
	}
	var stored document
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stored); err != nil {
		return nil, fmt.Errorf("%w: it has fields that this operator does not know, or values of the wrong type", ErrUnreadable)
	}
	sets := make(map[string]Kept, len(stored.Sets))
	for name, set := range stored.Sets {
		kept := Kept{RevokePrevious: set.RevokePrevious}
		for _, key := range set.Keys {
			if key.ID == "" || key.Algorithm == "" || key.PublicKey == "" {
				return nil, fmt.Errorf("%w: a key is not whole", ErrUnreadable)
			}
			held := Held{Key: Key{ID: key.ID, Algorithm: key.Algorithm, PublicKeyPEM: key.PublicKey}, Since: key.Since}
			if key.Removed != nil {
				held.Removed = *key.Removed
			}
			kept.Held = append(kept.Held, held)
		}
		sets[name] = kept
	}
	return sets, nil
}
