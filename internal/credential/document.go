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
)

// stateVersion is the version of the document. It goes up with every field or phase that is added: an operator that did not know it
// would lose it with its next write. Documents of former versions stay readable.
const stateVersion = 2

// oldestVersion is the oldest that is read.
const oldestVersion = 1

// StateDataKey is where in the Secret the document is.
const StateDataKey = "state.json"

// ErrUnreadableState says that there is a state and that it cannot be read. Nothing may be generated then: it would lose what is in use.
var ErrUnreadableState = errors.New("the state cannot be read")

// stateDocument and the types below are the state as it is stored: the one place where material is written out.
type stateDocument struct {
	Version     int                           `json:"version"`
	Credentials map[string]credentialDocument `json:"credentials"`
}

type credentialDocument struct {
	Last           int64                `json:"lastGeneration"`
	Rotate         string               `json:"rotate,omitempty"`
	RevokePrevious string               `json:"revokePrevious,omitempty"`
	Generations    []generationDocument `json:"generations"`
}

type generationDocument struct {
	Generation int64                    `json:"generation"`
	Slot       int64                    `json:"slot,omitempty"`
	Given      bool                     `json:"given,omitempty"`
	Phase      v1alpha1.CredentialState `json:"phase"`
	Recipe     Recipe                   `json:"recipe"`
	Key        string                   `json:"key"`
	Secret     string                   `json:"secret,omitempty"`
	PublicKey  string                   `json:"publicKey,omitempty"`
	PrivateKey string                   `json:"privateKey,omitempty"`
	IssueTime  time.Time                `json:"issueTime"`
	RetiredAt  time.Time                `json:"retiredAt,omitzero"`
	Ended      bool                     `json:"ended,omitempty"`
}

// Encode writes a state for its Secret. Equal states are written in equal bytes.
func (s State) Encode() ([]byte, error) {
	document := stateDocument{Version: stateVersion, Credentials: make(map[string]credentialDocument, len(s.Credentials))}
	for name, state := range s.Credentials {
		stored := credentialDocument{Last: state.Last, Rotate: state.Rotate, RevokePrevious: state.RevokePrevious}
		for _, g := range state.Generations {
			stored.Generations = append(stored.Generations, generationDocument{
				Generation: g.Number, Slot: g.Slot, Phase: g.Phase, Given: g.Given, Recipe: g.Recipe,
				IssueTime: g.IssueTime.UTC(), RetiredAt: g.RetiredAt.UTC(), Ended: g.Ended,
				Key: g.Material.Key, Secret: g.Material.Secret.Reveal(),
				PublicKey: g.Material.PublicKeyPEM, PrivateKey: g.Material.PrivateKeyPEM.Reveal(),
			})
		}
		document.Credentials[name] = stored
	}
	return json.Marshal(document)
}

// DecodeState reads a state. Every error is ErrUnreadableState. It quotes nothing of the content but version and generation numbers.
func DecodeState(content []byte) (State, error) {
	document, err := readDocument(content)
	if err != nil {
		return State{}, err
	}
	state := State{Credentials: make(map[string]CredentialState, len(document.Credentials))}
	for name, stored := range document.Credentials {
		credential := CredentialState{Last: stored.Last, Rotate: stored.Rotate, RevokePrevious: stored.RevokePrevious}
		for _, g := range stored.Generations {
			credential.Generations = append(credential.Generations, Generation{
				Number: g.Generation, Slot: g.Slot, Phase: g.Phase, Given: g.Given, Recipe: g.Recipe,
				IssueTime: g.IssueTime, RetiredAt: g.RetiredAt, Ended: g.Ended,
				Material: Material{
					Key: g.Key, Algorithm: g.Recipe.Algorithm, Secret: Conceal(g.Secret),
					PublicKeyPEM: g.PublicKey, PrivateKeyPEM: Conceal(g.PrivateKey),
				},
			})
		}
		if err := credential.check(); err != nil {
			return State{}, err
		}
		state.Credentials[name] = credential
	}
	return state, nil
}

// readDocument takes nothing that it does not know: what it left out would be lost with the next write. The version comes first, so that a
// newer document is told apart from a damaged one.
func readDocument(content []byte) (stateDocument, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return stateDocument{}, fmt.Errorf("%w: it is no JSON of ours", ErrUnreadableState)
	}
	if head.Version < oldestVersion || head.Version > stateVersion {
		return stateDocument{}, fmt.Errorf("%w: it has version %d, and this operator reads %d to %d", ErrUnreadableState, head.Version, oldestVersion, stateVersion)
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
func (s CredentialState) check() error {
	if len(s.Generations) == 0 {
		return fmt.Errorf("%w: a credential has no generations", ErrUnreadableState)
	}
	last, phases := int64(0), map[v1alpha1.CredentialState]int{}
	for _, g := range s.Generations {
		if !g.whole() {
			return fmt.Errorf("%w: generation %d of a credential is not whole", ErrUnreadableState, g.Number)
		}
		if g.Number <= last || g.Number > s.Last {
			return fmt.Errorf("%w: generation %d of a credential is out of order", ErrUnreadableState, g.Number)
		}
		last = g.Number
		phases[g.Phase]++
	}
	if active := phases[v1alpha1.CredentialActive]; active > 1 {
		return fmt.Errorf("%w: a credential has %d active generations", ErrUnreadableState, active)
	}
	return nil
}

func (g Generation) whole() bool {
	phases := []v1alpha1.CredentialState{v1alpha1.CredentialPending, v1alpha1.CredentialActive, v1alpha1.CredentialRetiring}
	asymmetric := FamilyOf(g.Recipe.Algorithm) != HMAC
	// Of somebody else's material the private half may be unknown.
	return slices.Contains(phases, g.Phase) && slices.Contains(Algorithms(), g.Recipe.Algorithm) &&
		g.Material.Key != "" && (g.Given && asymmetric || g.Material.CanSign()) && asymmetric == (g.Material.PublicKeyPEM != "")
}
