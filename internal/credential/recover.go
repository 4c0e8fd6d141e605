package credential

import (
	"crypto/rsa"
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// FromPublished reads the material out of a Secret for clients; ok is false where it is not what PublishedData writes.
// Tenants may write such a Secret: a key or a shared secret that FromSecret would refuse is not read either.
func FromPublished(data map[string][]byte) (material Material, ok bool) {
	material = Material{
		Key: string(data[DataKeyKey]), Algorithm: v1alpha1.Algorithm(data[DataKeyAlgorithm]),
		PublicKeyPEM: string(data[DataKeyPublicKey]), PrivateKeyPEM: Conceal(string(data[DataKeyPrivateKey])),
	}
	reader := secretReader{data: data}
	if material.Key == "" || reader.checkKey(DataKeyKey, material.Key) != nil || !slices.Contains(Algorithms(), material.Algorithm) {
		return Material{}, false
	}
	if FamilyOf(material.Algorithm) == HMAC {
		shared, err := reader.hmac(Material{Key: material.Key, Algorithm: material.Algorithm}, DataKeySecret)
		return shared, err == nil
	}
	public, err := parsePublic(data[DataKeyPublicKey])
	if err != nil || checkFits(public, material.Algorithm) != nil {
		return Material{}, false
	}
	signer, err := parsePrivate(data[DataKeyPrivateKey])
	return material, err == nil && samePublic(signer.Public(), public)
}

// takeUp recovers a history that is lost, or older than what Kong and the status show: a state that was deleted, left
// out of a backup, or restored from one. What Kong holds stays, for the overlap at least, and no number is given
// twice.
func (in Input) takeUp(h History, want Want, seen Seen, now time.Time) (Step, bool) {
	if want.Revoked || want.Superseded || want.Missing && len(seen.InKong) == 0 {
		return Step{}, false
	}
	lost := len(h.Revisions) == 0 && h.Last == 0
	outdated := !lost && seen.Last > h.Last
	unknown := slices.ContainsFunc(seen.InKong, func(holding Holding) bool { return !h.holds(holding) })
	elsewhere := func(slot Slot) bool {
		return in.State.Known(slot) && !slices.ContainsFunc(h.Revisions, func(r Revision) bool { return r.Slot == slot })
	}
	recovered := h.recovered(want, seen, outdated, now, elsewhere)
	if len(recovered.Revisions) == 0 {
		return Step{}, false
	}
	return Step{Kind: StepRecover, Recovered: recovered}, lost || outdated || unknown
}

func (h History) holds(holding Holding) bool {
	return slices.ContainsFunc(h.Revisions, func(r Revision) bool {
		return r.Slot == holding.Slot && r.Material.SameInKong(holding.Material)
	})
}

// SameInKong compares what Kong has of two materials. It never gets a private key.
func (m Material) SameInKong(other Material) bool {
	return m.Key == other.Key && m.Algorithm == other.Algorithm && m.PublicKeyPEM == other.PublicKeyPEM &&
		(m.PublicKeyPEM != "" || m.Secret.Equal(other.Secret))
}

// recovered is a history with what Kong and clients hold beside, or instead of, what it has.
// elsewhere says of a slot that another credential has it.
func (h History) recovered(want Want, seen Seen, outdated bool, now time.Time, elsewhere func(Slot) bool) History {
	next := History{
		Last: max(h.Last, seen.Last), ReplaceThrough: h.ReplaceThrough, SecretName: h.SecretName, FormerSecrets: h.FormerSecrets,
	}
	next.relocate(want.SecretName, now.UTC())
	for _, r := range h.Revisions {
		same := slices.ContainsFunc(seen.InKong, func(holding Holding) bool { return r.Slot == holding.Slot && r.Material.SameInKong(holding.Material) })
		other := slices.ContainsFunc(seen.InKong, func(holding Holding) bool { return r.Slot == holding.Slot && !r.Material.SameInKong(holding.Material) })
		if !other && (same || !outdated) {
			next.Revisions = append(next.Revisions, r)
		}
	}
	for _, holding := range seen.InKong {
		if !next.holds(holding) {
			r := want.revisionOf(holding, now)
			if want.Key == r.Material.Key {
				// Those of a pinned key share a slot: it is the newest.
				r.Number = max(r.Number, next.Last)
			}
			next.take(r)
		}
	}
	if r, found := next.takeClients(want, seen, now); found && !elsewhere(r.Slot) {
		next.Revisions = slices.DeleteFunc(next.Revisions, func(other Revision) bool { return other.Slot == r.Slot })
		next.take(r)
	}
	if len(next.Revisions) == 0 {
		next.Revisions = slices.Clone(h.Revisions) // all there is
	}
	next.settle(seen, outdated || len(h.Revisions) == 0, now)
	return next
}

// take adds a revision. One whose number is taken gets the next.
func (h *History) take(r Revision) {
	if slices.ContainsFunc(h.Revisions, func(other Revision) bool { return other.Number == r.Number }) {
		r.Number = h.Last + 1
	}
	h.Last = max(h.Last, r.Number)
	h.Revisions = append(h.Revisions, r)
	slices.SortFunc(h.Revisions, func(a, b Revision) int { return int(a.Number - b.Number) })
}

// takeClients takes up what clients have: it completes the revision that Kong holds of it, or gives a new one. Only
// under a key that the spec could have given: whoever may write Secrets must not choose one.
func (h *History) takeClients(want Want, seen Seen, now time.Time) (Revision, bool) {
	if seen.Clients == nil || want.Given != nil {
		return Revision{}, false
	}
	for i := range h.Revisions {
		if r := &h.Revisions[i]; r.Material.SameInKong(*seen.Clients) {
			r.Material, r.Recipe, r.Given = *seen.Clients, recipeOf(*seen.Clients), false
			return Revision{}, false
		}
	}
	number, _ := want.numberOf(seen.Clients.Key)
	slot := Slot{Credential: want.Name}
	if number > 1 {
		slot.Number = number
	}
	r := want.revisionOf(Holding{Slot: slot, Material: *seen.Clients}, now)
	if want.Key != "" {
		r.Number = max(number, h.Last)
	}
	return r, number > 0
}

// settle says which revision is in use: what clients have, else the one that the state says. Where nobody knows, it
// is the oldest, which every data plane has, and the newest is on its way. All others retire from now on.
func (h *History) settle(seen Seen, anew bool, now time.Time) {
	inUse, pending := h.Published(seen), int64(0)
	if active, found := h.Active(); inUse == 0 && found && !anew {
		inUse = active.Number
	}
	if last := len(h.Revisions) - 1; inUse == 0 && last >= 0 {
		inUse = h.Revisions[0].Number
		pending = h.Revisions[last].Number
	} else if before, found := h.Pending(); found && before.Number == h.Last {
		pending = before.Number
	}
	for i := range h.Revisions {
		r := &h.Revisions[i]
		switch {
		case r.Number == inUse:
			r.State, r.RetiredAt, r.Ended, r.Over = v1alpha1.CredentialActive, time.Time{}, false, false
		case r.Number == pending:
			r.State, r.RetiredAt, r.Ended, r.Over = v1alpha1.CredentialPending, time.Time{}, false, false
		case r.State != v1alpha1.CredentialRetiring:
			r.retire(now.UTC())
		}
	}
	// Something newer than what clients have was on its way: somebody had asked for it.
	if anew && inUse < h.Last {
		h.ReplaceThrough = max(h.ReplaceThrough, inUse)
	}
}

// revisionOf makes a revision of what Kong holds.
func (w Want) revisionOf(holding Holding, now time.Time) Revision {
	m := holding.Material
	number, salt := w.numberOf(m.Key)
	if holding.Slot.Number > 0 {
		number = holding.Slot.Number
	}
	return Revision{
		Number: max(number, 1), Slot: holding.Slot, Salt: salt, Recipe: recipeOf(m), Material: m, IssueTime: now.UTC().Truncate(time.Second),
		// Kong never gets a private key: such material can only be taken for somebody else's.
		Given: w.Given != nil || holding.InPlace || !m.CanSign(),
	}
}

var numberedKey = regexp.MustCompile(`^([1-9][0-9]{0,17})(?:-([a-z2-7]+))?$`)

// numberOf is the revision that a key is of, and its random end; zero where the spec gives no such key.
func (w Want) numberOf(key string) (number int64, salt string) {
	switch {
	case w.Key != "" && key == w.Key, w.Key == "" && key == DefaultKey(w.Username, w.Name, 0):
		return 1, ""
	case w.Key != "":
		return 0, ""
	}
	parts := numberedKey.FindStringSubmatch(key[strings.LastIndexByte(key, '.')+1:])
	if parts == nil {
		return 0, ""
	}
	number, _ = strconv.ParseInt(parts[1], 10, 64) // the pattern has 18 digits at most
	if key != w.numberedKey(number, parts[2]) {
		return 0, ""
	}
	return number, parts[2]
}

// recipeOf is the recipe that material was made by.
func recipeOf(m Material) Recipe {
	recipe := Recipe{Algorithm: m.Algorithm}
	switch FamilyOf(m.Algorithm) {
	case HMAC:
		recipe.Length = base64.RawURLEncoding.DecodedLen(len(m.Secret.Reveal()))
	case RSA:
		if key, err := parsePublic([]byte(m.PublicKeyPEM)); err == nil {
			if public, ok := key.(*rsa.PublicKey); ok {
				recipe.RSABits = public.N.BitLen()
			}
		}
	}
	return recipe
}
