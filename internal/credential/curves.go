package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
)

// OpenSSL, and with it Kong, reads two forms of EC keys that crypto/x509 does not: compressed points, and curves that
// are spelled out (RFC 3279 section 2.3.5) in place of being named. Kong is given them in the usual form.

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidPrimeField  = asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}
	oidCurves      = map[string]elliptic.Curve{
		"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384(), "1.3.132.0.35": elliptic.P521(),
	}
)

// subjectPublicKeyInfo is that of RFC 5280 section 4.1, of an EC key.
type subjectPublicKeyInfo struct {
	Algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	Point asn1.BitString
}

// specifiedCurve is ECParameters of RFC 3279 section 2.3.5, over a prime field.
type specifiedCurve struct {
	Version int
	Field   struct {
		Kind  asn1.ObjectIdentifier
		Prime *big.Int
	}
	Equation struct {
		A, B []byte
		Seed asn1.BitString `asn1:"optional"`
	}
	Base     []byte
	Order    *big.Int
	Cofactor *big.Int `asn1:"optional"`
}

var errNoKey = errors.New("no public key")

// parsePKIX reads a public key in any form that OpenSSL reads.
func parsePKIX(der []byte) (crypto.PublicKey, error) {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key, nil
	}
	var info subjectPublicKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 || !info.Algorithm.ID.Equal(oidECPublicKey) {
		return nil, errNoKey
	}
	curve := curveOfParameters(info.Algorithm.Parameters.FullBytes)
	if curve == nil {
		return nil, errNoKey
	}
	return parsePoint(curve, info.Point.RightAlign())
}

// curveOfParameters is the curve that parameters name or spell out; nil where it is none of Kong's.
func curveOfParameters(der []byte) elliptic.Curve {
	var name asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(der, &name); err == nil {
		return oidCurves[name.String()]
	}
	var specified specifiedCurve
	if rest, err := asn1.Unmarshal(der, &specified); err != nil || len(rest) > 0 {
		return nil
	}
	for _, curve := range oidCurves {
		if specified.is(curve) {
			return curve
		}
	}
	return nil
}

// is says whether all of what is spelled out is the curve's: with another base point anybody could make a private key
// for somebody's public key.
func (s specifiedCurve) is(curve elliptic.Curve) bool {
	p := curve.Params()
	a := new(big.Int).Sub(p.P, big.NewInt(3))
	if !s.Field.Kind.Equal(oidPrimeField) || s.Field.Prime.Cmp(p.P) != 0 || s.Order.Cmp(p.N) != 0 ||
		new(big.Int).SetBytes(s.Equation.A).Cmp(a) != 0 || new(big.Int).SetBytes(s.Equation.B).Cmp(p.B) != 0 {
		return false
	}
	return bytes.Equal(s.Base, elliptic.Marshal(curve, p.Gx, p.Gy)) || //nolint:staticcheck // Bytes are compared, nothing is computed.
		bytes.Equal(s.Base, elliptic.MarshalCompressed(curve, p.Gx, p.Gy))
}

// parsePoint reads a point on a curve, compressed or not.
func parsePoint(curve elliptic.Curve, point []byte) (crypto.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(curve, point)
	if x == nil {
		return ecdsa.ParseUncompressedPublicKey(curve, point)
	}
	size := (curve.Params().BitSize + 7) / 8
	uncompressed := append([]byte{4}, x.FillBytes(make([]byte, size))...)
	return ecdsa.ParseUncompressedPublicKey(curve, append(uncompressed, y.FillBytes(make([]byte, size))...))
}
