package secrets

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Seal tells what the operator wrote from what somebody else did. Tenants may write every Secret of their namespace,
// those of the operator too.
//
// It is a MAC over the namespace, the name and the data of a Secret: none can be made without the operator's seed,
// and none can be copied to another Secret. The UID is not part of it: a restore from a backup changes that. An old
// content with its old seal is told by other means.
type Seal struct{ key []byte }

// sealKey is the key of a Secret's data that its seal is under.
const sealKey = "mac"

// NewSeal derives a Seal from the operator's seed.
func NewSeal(seed []byte) Seal {
	sum := hmac.New(sha256.New, seed)
	sum.Write([]byte("kongjwt: what the operator keeps in a Secret"))
	return Seal{key: sum.Sum(nil)}
}

// Close adds the seal to the data of a Secret.
func (s Seal) Close(namespace, name string, data map[string][]byte) map[string][]byte {
	sealed := maps.Clone(data)
	sealed[sealKey] = []byte(hex.EncodeToString(s.mac(namespace, name, data)))
	return sealed
}

// Intact says whether the operator wrote a Secret as it was read.
func (s Seal) Intact(snapshot Snapshot) bool {
	if !snapshot.Found() {
		return false
	}
	secret := snapshot.secret()
	mac, err := hex.DecodeString(string(secret.Data[sealKey]))
	return err == nil && hmac.Equal(mac, s.mac(secret.Namespace, secret.Name, secret.Data))
}

// mac hashes every part behind its length: no two Secrets that differ share what is hashed.
func (s Seal) mac(namespace, name string, data map[string][]byte) []byte {
	sum := hmac.New(sha256.New, s.key)
	part := func(text []byte) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		sum.Write(text)
	}
	part([]byte(namespace))
	part([]byte(name))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if key != sealKey {
			part([]byte(key))
			part(data[key])
		}
	}
	return sum.Sum(nil)
}

// SealBy names the Secret with the operator's seed: what Keep writes carries its seal, and Kept holds to it. It is
// called before the store is used.
func (s *Store) SealBy(namespace, name string) {
	s.seed = client.ObjectKey{Namespace: namespace, Name: name}
}

// openSeal reads the seed once; the first one makes it. Errors are those of Seed.
func (s *Store) openSeal(ctx context.Context) (Seal, error) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	if s.seal.key == nil {
		seed, err := s.Seed(ctx, "spec.credentials", s.seed.Namespace, s.seed.Name)
		if err != nil {
			return Seal{}, err
		}
		s.seal = NewSeal(seed)
	}
	return s.seal, nil
}

// Kept reads a Secret in which the operator keeps something of an owner's. intact says that the operator wrote it as
// it is. Errors are those of Snapshot and Seed.
func (s *Store) Kept(ctx context.Context, owner Owner, name string) (snapshot Snapshot, intact bool, err error) {
	snapshot, err = s.Snapshot(ctx, owner, "state", name)
	if err != nil || !snapshot.Found() || s.seed.Name == "" {
		return snapshot, snapshot.Found(), err
	}
	seal, err := s.openSeal(ctx)
	return snapshot, err == nil && seal.Intact(snapshot), err
}

// Keep is Replace for a Secret that Kept reads.
func (s *Store) Keep(ctx context.Context, owner Owner, name string, from Snapshot, data map[string][]byte) (Snapshot, error) {
	if s.seed.Name != "" {
		seal, err := s.openSeal(ctx)
		if err != nil {
			return from, err
		}
		data = seal.Close(owner.Object.GetNamespace(), name, data)
	}
	return s.Replace(ctx, owner, name, from, data)
}
