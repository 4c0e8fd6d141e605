package secrets

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// Fingerprint stands for a Secret's content in memory: it changes with it and gives nothing of it away. It must not leave the process.
type Fingerprint [sha256.Size]byte

// Fingerprinter makes fingerprints with a key of its own, which only this process has.
type Fingerprinter struct{ key []byte }

// NewFingerprinter makes a Fingerprinter with a random key.
func NewFingerprinter() Fingerprinter {
	key := make([]byte, sha256.Size)
	// It never fails, and never gives fewer bytes.
	_, _ = rand.Read(key)
	return Fingerprinter{key: key}
}

// Of gives the fingerprint of a Secret's data. No two contents that differ in keys or values share what is hashed.
func (f Fingerprinter) Of(data map[string][]byte) Fingerprint {
	sum := hmac.New(sha256.New, f.key)
	part := func(text []byte) {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		sum.Write(text)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		part([]byte(key))
		part(data[key])
	}
	return Fingerprint(sum.Sum(nil))
}
