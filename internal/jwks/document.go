package jwks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// documentVersion goes up with every field that is added: an operator that did not know it would lose it with its
// next write.
const documentVersion = 3

// oldestVersion that is read; what it lacks counts as unknown.
const oldestVersion = 2

// ErrUnreadable says that what is kept cannot be read. What is in Kong stays then.
var ErrUnreadable = errors.New("what is kept of the key sets cannot be read")

// Sets are what is kept of a consumer's key sets, so that it survives a restart, and an issuer that is away.
type Sets struct {
	// Requests that were seen.
	Requests request.Record
	// ByName has a set for each credential that follows an issuer.
	ByName map[string]Kept
}

// Kept is what is kept of one key set.
type Kept struct {
	// URL at which Held was read last.
	URL string
	// Since is since when keys of the set are in Kong: those of then may be gone. Zero: not known.
	Since time.Time
	// Part is the name that the credential had when its keys were first put into Kong. One that gets another name
	// keeps its entities.
	Part string
	Held []Held
}

// Equal compares in everything that is kept.
func (s Sets) Equal(other Sets) bool {
	return s.Requests.Equal(other.Requests) && maps.EqualFunc(s.ByName, other.ByName, func(a, b Kept) bool {
		return a.URL == b.URL && a.Part == b.Part && a.Since.Equal(b.Since) && slices.EqualFunc(a.Held, b.Held, Held.equal)
	})
}

// Of gives what is kept for a credential that follows a set; its URL is the former one where that is another. Under a
// new name it is what was kept under a name that followed the same set and that follows none any more: follows says
// whether a name does.
func (s Sets) Of(name, url string, follows func(name string) bool) Kept {
	if kept, found := s.ByName[name]; found {
		return kept
	}
	for _, former := range slices.Sorted(maps.Keys(s.ByName)) {
		if kept := s.ByName[former]; kept.URL == url && !follows(former) {
			return kept
		}
	}
	return Kept{URL: url, Part: s.freePart(name)}
}

// freePart is a name for the entities of a new set, which no other set has taken along.
func (s Sets) freePart(name string) string {
	for _, kept := range s.ByName {
		if kept.Part == name {
			return s.freePart(name + "-")
		}
	}
	return name
}

type document struct {
	Version  int                     `json:"version"`
	Requests request.Record          `json:"requests"`
	Sets     map[string]keptDocument `json:"sets"`
}

type keptDocument struct {
	URL   string        `json:"url"`
	Part  string        `json:"part"`
	Since *time.Time    `json:"since,omitempty"`
	Keys  []keyDocument `json:"keys"`
}

type keyDocument struct {
	ID        string     `json:"kid"`
	Algorithm string     `json:"algorithm"`
	PublicKey string     `json:"publicKey"`
	Since     time.Time  `json:"since"`
	Removed   *time.Time `json:"removed,omitempty"`
}

// Encode writes what is kept. Equal content gives equal bytes.
func (s Sets) Encode() ([]byte, error) {
	stored := document{Version: documentVersion, Requests: s.Requests, Sets: make(map[string]keptDocument, len(s.ByName))}
	for name, kept := range s.ByName {
		set := keptDocument{URL: kept.URL, Part: kept.Part, Keys: []keyDocument{}}
		if !kept.Since.IsZero() {
			since := kept.Since.UTC()
			set.Since = &since
		}
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
func Decode(content []byte) (Sets, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return Sets{}, fmt.Errorf("%w: it is no JSON of ours", ErrUnreadable)
	}
	if head.Version < oldestVersion || head.Version > documentVersion {
		return Sets{}, fmt.Errorf("%w: it has version %d, and this operator reads %d", ErrUnreadable, head.Version, documentVersion)
	}
	var stored document
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stored); err != nil {
		return Sets{}, fmt.Errorf("%w: it has fields that this operator does not know, or values of the wrong type", ErrUnreadable)
	}
	sets := Sets{Requests: stored.Requests, ByName: make(map[string]Kept, len(stored.Sets))}
	for name, set := range stored.Sets {
		kept := Kept{URL: set.URL, Part: set.Part}
		if set.Since != nil {
			kept.Since = *set.Since
		}
		for _, key := range set.Keys {
			if key.ID == "" || key.Algorithm == "" || key.PublicKey == "" {
				return Sets{}, fmt.Errorf("%w: a key is not whole", ErrUnreadable)
			}
			held := Held{Key: Key{ID: key.ID, Algorithm: key.Algorithm, PublicKeyPEM: key.PublicKey}, Since: key.Since}
			if key.Removed != nil {
				held.Removed = *key.Removed
			}
			kept.Held = append(kept.Held, held)
		}
		sets.ByName[name] = kept
	}
	return sets, nil
}
