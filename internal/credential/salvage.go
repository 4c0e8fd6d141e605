package credential

import (
	"crypto/rsa"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// FromPublished reads the material out of a Secret for clients; ok is false where it is not what PublishedData writes.
func FromPublished(data map[string][]byte) (material Material, ok bool) {
	material = Material{
		Key: string(data[DataKeyKey]), Algorithm: v1alpha1.Algorithm(data[DataKeyAlgorithm]),
		PublicKeyPEM: string(data[DataKeyPublicKey]), PrivateKeyPEM: Conceal(string(data[DataKeyPrivateKey])),
	}
	if material.Key == "" || !slices.Contains(Algorithms(), material.Algorithm) {
		return Material{}, false
	}
	if FamilyOf(material.Algorithm) == HMAC {
		material = Material{Key: material.Key, Algorithm: material.Algorithm, Secret: Conceal(string(data[DataKeySecret]))}
		return material, !material.Secret.Empty()
	}
	public, err := parsePublic(data[DataKeyPublicKey])
	if err != nil || checkFits(public, material.Algorithm) != nil {
		return Material{}, false
	}
	signer, err := parsePrivate(data[DataKeyPrivateKey])
	return material, err == nil && samePublic(signer.Public(), public)
}

// salvage makes a generation of what clients have, where the state of it is lost: deleted, or left out of a backup. Only under a key that the spec could have given:
// whoever may write Secrets must not choose one.
func (w Want) salvage() (Generation, bool) {
	if w.Published == nil || w.Given != nil {
		return Generation{}, false
	}
	number := w.numberOf(w.Published.Key)
	if number == 0 {
		return Generation{}, false
	}
	g := Generation{Number: number, Material: *w.Published, Recipe: recipeOf(*w.Published)}
	if number > 1 {
		g.Slot = number
	}
	return g, true
}

// former is what clients use that the spec no longer asks for: it begins, so that what the spec asks for comes beside it. What has the key already that the spec
// gives is replaced in place anyway.
func (w Want) former() (Material, bool) {
	if w.Former == nil || w.Revoked || w.Given != nil && w.Given.Key == w.Former.Key {
		return Material{}, false
	}
	return *w.Former, true
}

// numberOf is the generation that a key is of; zero where the spec gives no such key.
func (w Want) numberOf(key string) int64 {
	switch {
	case w.Key != "" && key == w.Key, w.Key == "" && key == DefaultKey(w.Username, w.Name, 0):
		return 1
	case w.Key != "":
		return 0
	}
	number, err := strconv.ParseInt(key[strings.LastIndexByte(key, '.')+1:], 10, 64)
	if err != nil || number < 1 || key != DefaultKey(w.Username, w.Name, number) {
		return 0
	}
	return number
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
