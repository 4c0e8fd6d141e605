package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/request"
)

// stateVersion is the version of the document. It goes up with every field or state that is added: an operator that
// did not know it would lose it with its next write.
const stateVersion = 4

// StateDataKey is where in the Secret the document is.
const StateDataKey = "state.json"

// ErrUnreadableState says that there is a state and that it cannot be read. Nothing may be generated then: it would
// lose what is in use.
var ErrUnreadableState = errors.New("the state cannot be read")

// stateDocument and the types below are the state as it is stored: the one place where material is written out.
type stateDocument struct {
	Version     int                        `json:"version"`
	Requests    request.Record             `json:"requests"`
	Credentials map[string]historyDocument `json:"credentials"`
}

type historyDocument struct {
	Last           int64              `json:"lastRevision"`
	ReplaceThrough int64              `json:"replaceThrough,omitempty"`
	SecretName     string             `json:"secretName,omitempty"`
	FormerSecrets  []FormerSecret     `json:"formerSecrets,omitempty"`
	Revisions      []revisionDocument `json:"revisions"`
}

type revisionDocument struct {
	Revision   int64                    `json:"revision"`
	Slot       Slot                     `json:"slot"`
	Given      bool                     `json:"given,omitempty"`
	State      v1alpha1.CredentialState `json:"state"`
	Recipe     Recipe                   `json:"recipe"`
	Salt       string                   `json:"salt,omitempty"`
	Key        string                   `json:"key"`
	Secret     string                   `json:"secret,omitempty"`
	PublicKey  string                   `json:"publicKey,omitempty"`
	PrivateKey string                   `json:"privateKey,omitempty"`
	IssueTime  time.Time                `json:"issueTime"`
	RetiredAt  time.Time                `json:"retiredAt,omitzero"`
	Ended      bool                     `json:"ended,omitempty"`
	Over       bool                     `json:"over,omitempty"`
}

// Encode writes a state for its Secret. Equal states are written in equal bytes.
func (s State) Encode() ([]byte, error) {
	document := stateDocument{Version: stateVersion, Requests: s.Requests, Credentials: make(map[string]historyDocument, len(s.Credentials))}
	for name, h := range s.Credentials {
		stored := historyDocument{
			Last: h.Last, ReplaceThrough: h.ReplaceThrough, SecretName: h.SecretName, FormerSecrets: h.FormerSecrets,
			Revisions: []revisionDocument{},
		}
		for _, r := range h.Revisions {
			stored.Revisions = append(stored.Revisions, revisionDocument{
				Revision: r.Number, Slot: r.Slot, State: r.State, Given: r.Given, Recipe: r.Recipe, Salt: r.Salt,
				IssueTime: r.IssueTime.UTC(), RetiredAt: r.RetiredAt.UTC(), Ended: r.Ended, Over: r.Over,
				Key: r.Material.Key, Secret: r.Material.Secret.Reveal(),
				PublicKey: r.Material.PublicKeyPEM, PrivateKey: r.Material.PrivateKeyPEM.Reveal(),
			})
		}
		document.Credentials[name] = stored
	}
	return json.Marshal(document)
}

// DecodeState reads a state. Every error is ErrUnreadableState. It quotes nothing of the content but version and
// revision numbers.
func DecodeState(content []byte) (State, error) {
	document, err := readDocument(content)
	if err != nil {
		return State{}, err
	}
	state := State{Requests: document.Requests, Credentials: make(map[string]History, len(document.Credentials))}
	for name, stored := range document.Credentials {
		h := History{
			Last: stored.Last, ReplaceThrough: stored.ReplaceThrough, SecretName: stored.SecretName, FormerSecrets: stored.FormerSecrets,
		}
		for _, r := range stored.Revisions {
			h.Revisions = append(h.Revisions, Revision{
				Number: r.Revision, Slot: r.Slot, State: r.State, Given: r.Given, Recipe: r.Recipe, Salt: r.Salt,
				IssueTime: r.IssueTime, RetiredAt: r.RetiredAt, Ended: r.Ended, Over: r.Over,
				Material: Material{
					Key: r.Key, Algorithm: r.Recipe.Algorithm, Secret: Conceal(r.Secret),
					PublicKeyPEM: r.PublicKey, PrivateKeyPEM: Conceal(r.PrivateKey),
				},
			})
		}
		if err := h.check(); err != nil {
			return State{}, err
		}
		state.Credentials[name] = h
	}
	return state, nil
}

// readDocument takes nothing that it does not know: what it left out would be lost with the next write. The version
// comes first, so that a newer document is told apart from a damaged one.
func readDocument(content []byte) (stateDocument, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return stateDocument{}, fmt.Errorf("%w: it is no JSON of ours", ErrUnreadableState)
	}
	if head.Version != stateVersion {
		return stateDocument{}, fmt.Errorf("%w: it has version %d, and this operator reads %d", ErrUnreadableState, head.Version, stateVersion)
	}
	var document stateDocument
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return stateDocument{}, fmt.Errorf("%w: it has fields that this operator does not know, or values of the wrong type", ErrUnreadableState)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return stateDocument{}, fmt.Errorf("%w: something follows the document", ErrUnreadableState)
	}
	if document.Credentials == nil {
		return stateDocument{}, fmt.Errorf("%w: it has no credentials", ErrUnreadableState)
	}
	return document, nil
}

// check holds what was read to what Apply writes.
func (h History) check() error {
	last, states := int64(0), map[v1alpha1.CredentialState]int{}
	for _, r := range h.Revisions {
		if !r.whole() {
			return fmt.Errorf("%w: revision %d of a credential is not whole", ErrUnreadableState, r.Number)
		}
		if r.Number <= last || r.Number > h.Last {
			return fmt.Errorf("%w: revision %d of a credential is out of order", ErrUnreadableState, r.Number)
		}
		last = r.Number
		states[r.State]++
	}
	if active := states[v1alpha1.CredentialActive]; active > 1 {
		return fmt.Errorf("%w: a credential has %d active revisions", ErrUnreadableState, active)
	}
	return nil
}

func (r Revision) whole() bool {
	states := []v1alpha1.CredentialState{v1alpha1.CredentialPending, v1alpha1.CredentialActive, v1alpha1.CredentialRetiring}
	asymmetric := FamilyOf(r.Recipe.Algorithm) != HMAC
	// Of somebody else's material the private half may be unknown.
	return slices.Contains(states, r.State) && slices.Contains(Algorithms(), r.Recipe.Algorithm) && r.Slot.Credential != "" &&
		r.Material.Key != "" && (r.Given && asymmetric || r.Material.CanSign()) && asymmetric == (r.Material.PublicKeyPEM != "")
}
