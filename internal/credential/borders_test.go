package credential

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"crypto/ed25519"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// A curve that is spelled out is one of the three only if all of it is.
func TestACurveIsKnownByAllOfIt(t *testing.T) {
	p := elliptic.P256().Params()
	curve := func(change func(*specifiedCurve)) specifiedCurve {
		var c specifiedCurve
		c.Field.Kind, c.Field.Prime, c.Order = oidPrimeField, p.P, p.N
		c.Equation.A, c.Equation.B = new(big.Int).Sub(p.P, big.NewInt(3)).Bytes(), p.B.Bytes()
		c.Base = elliptic.Marshal(elliptic.P256(), p.Gx, p.Gy) //nolint:staticcheck // Bytes are compared.
		change(&c)
		return c
	}
	if !curve(func(*specifiedCurve) {}).is(elliptic.P256()) {
		t.Fatal("P-256 is not itself")
	}
	for what, change := range map[string]func(*specifiedCurve){
		"field":  func(c *specifiedCurve) { c.Field.Kind = asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 2} },
		"prime":  func(c *specifiedCurve) { c.Field.Prime = p.N },
		"order":  func(c *specifiedCurve) { c.Order = p.P },
		"a":      func(c *specifiedCurve) { c.Equation.A = []byte{1} },
		"b":      func(c *specifiedCurve) { c.Equation.B = []byte{1} },
		"base":   func(c *specifiedCurve) { c.Base = c.Base[:33] },
		"all":    func(c *specifiedCurve) { *c = specifiedCurve{} },
		"P-384?": func(c *specifiedCurve) { c.Field.Prime = elliptic.P384().Params().P },
	} {
		if curve(change).is(elliptic.P256()) {
			t.Errorf("with another %s it is P-256", what)
		}
	}
}

func TestPublicKeysThatAreNone(t *testing.T) {
	block, _ := pem.Decode([]byte(pairs()["P-256"].public))
	var info subjectPublicKeyInfo
	if _, err := asn1.Unmarshal(block.Bytes, &info); err != nil {
		t.Fatal(err)
	}
	der := func(change func(*subjectPublicKeyInfo)) []byte {
		changed := info
		change(&changed)
		content, err := asn1.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	type half struct {
		Version int
		Field   struct {
			Kind  asn1.ObjectIdentifier
			Prime string
		}
	}
	damaged := half{Version: 1}
	damaged.Field.Kind = oidPrimeField
	parameters, err := asn1.Marshal(damaged)
	if err != nil {
		t.Fatal(err)
	}
	for what, content := range map[string][]byte{
		"something behind it": append(bytes.Clone(block.Bytes), 0),
		"another kind of key": der(func(i *subjectPublicKeyInfo) { i.Algorithm.ID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10} }),
		"an unknown curve":    der(func(i *subjectPublicKeyInfo) { i.Algorithm.Parameters = asn1.RawValue{FullBytes: []byte{6, 1, 1}} }),
		"half a curve":        der(func(i *subjectPublicKeyInfo) { i.Algorithm.Parameters = asn1.RawValue{FullBytes: parameters} }),
		"nothing":             nil,
	} {
		if key, err := parsePKIX(content); err == nil {
			t.Errorf("%s: %T", what, key)
		}
	}
	// The certificate of a kind of key that Go does not know: Ed448, by its number.
	_, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	unknown := bytes.ReplaceAll(certificate, []byte{0x06, 0x03, 0x2b, 0x65, 0x70}, []byte{0x06, 0x03, 0x2b, 0x65, 0x71})
	if key, err := parsePublic([]byte(encode("CERTIFICATE", unknown))); err == nil {
		t.Errorf("of a certificate: %T", key)
	}
}

func TestPEMsAtTheirBorders(t *testing.T) {
	public, certified := pairs()["P-256"].public, certificate(t, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	for what, c := range map[string]struct {
		text  string
		taken bool
	}{
		"as long as may be":             {public + strings.Repeat(" ", maxPEM-len(public)), true},
		"longer":                        {public + strings.Repeat(" ", maxPEM+1-len(public)), false},
		"a chain of certificates":       {certified + certified, true},
		"a key, then a certificate":     {public + certified, false},
		"a certificate, and then a key": {certified + public, false},
		"two keys":                      {public + public, false},
	} {
		if _, err := readPEM([]byte(c.text), "PUBLIC KEY"); (err == nil) != c.taken {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestMaterialIsComparedInAllOfIt(t *testing.T) {
	signs := Material{Key: "k", Algorithm: "ES256", PublicKeyPEM: "public", PrivateKeyPEM: Conceal("private")}
	shared := Material{Key: "k", Algorithm: "HS256", Secret: Conceal("secret")}
	with := func(m Material, change func(*Material)) Material { change(&m); return m }
	for what, c := range map[string]struct {
		a, b                Material
		equal, inKong, nick bool // nick: but for the key
	}{
		"themselves":         {signs, signs, true, true, true},
		"a shared secret":    {shared, shared, true, true, true},
		"another key":        {signs, with(signs, func(m *Material) { m.Key = "other" }), false, false, true},
		"another algorithm":  {shared, with(shared, func(m *Material) { m.Algorithm = "HS384" }), false, false, false},
		"another secret":     {shared, with(shared, func(m *Material) { m.Secret = Conceal("other") }), false, false, false},
		"another public key": {signs, with(signs, func(m *Material) { m.PublicKeyPEM = "other" }), false, false, false},
		"no private key":     {signs, with(signs, func(m *Material) { m.PrivateKeyPEM = Sensitive{} }), false, true, false},
		// Kong makes a secret of its own for a public key.
		"a secret beside it": {signs, with(signs, func(m *Material) { m.Secret = Conceal("Kong's") }), false, true, false},
	} {
		if c.a.Equal(c.b) != c.equal || c.a.SameInKong(c.b) != c.inKong || c.a.sameButKey(c.b) != c.nick {
			t.Errorf("%s: equal %v, in Kong %v, but for the key %v", what, c.a.Equal(c.b), c.a.SameInKong(c.b), c.a.sameButKey(c.b))
		}
	}
	if shared.LineBreak() != "" || with(shared, func(m *Material) { m.Secret = Conceal("secret\n") }).LineBreak() == "" {
		t.Error("a line break is one at the end")
	}
	for _, format := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(format, Conceal("a secret")); text != redacted {
			t.Errorf("%s shows %q", format, text)
		}
	}
}

func TestLongNames(t *testing.T) {
	exact := strings.Repeat("a", 60)
	if got := bounded(exact, 60); got != exact {
		t.Errorf("what fits becomes %s", got)
	}
	// The hash has 33 characters: 27 bytes are left, the last of which would be half of an é.
	odd := "a" + strings.Repeat("é", 40)
	if got := bounded(odd, 61); !utf8.ValidString(got) || !strings.HasPrefix(got, "a"+strings.Repeat("é", 13)+"-") || len(got) != 60 {
		t.Errorf("%q has %d bytes", got, len(got))
	}
	if got := bounded(strings.Repeat("a.", 40), 61); !strings.HasPrefix(got, strings.TrimSuffix(strings.Repeat("a.", 14), ".")+"-") {
		t.Errorf("a dot is before the hash: %s", got)
	}
}

func TestSecretsAtTheirBorders(t *testing.T) {
	keys := &v1alpha1.CredentialDataKeys{Key: "key"}
	for what, c := range map[string]struct {
		key, secret string
		taken       bool
	}{
		"the longest key":        {strings.Repeat("é", maxKey), "secret", true},
		"a longer key":           {strings.Repeat("é", maxKey+1), "secret", false},
		"a key with a space":     {"two words", "secret", true},
		"a key with a control":   {"two\x1fwords", "secret", false},
		"the longest secret":     {"key", strings.Repeat("s", maxSecret), true},
		"a longer secret":        {"key", strings.Repeat("s", maxSecret+1), false},
		"a secret in two halves": {"key", "one two", true},
	} {
		_, err := FromSecret("spec.credentials[0]", spec("HS256", keys), "", contents("key", c.key, "secret", c.secret))
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", what, err)
		}
	}
	for bits, taken := range map[int]bool{minRSABits - 1: false, minRSABits: true, maxRSABits: true, maxRSABits + 1: false} {
		if err := checkBits(bits, "RS256"); (err == nil) != taken {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	if got := NewRecipe("RS256", v1alpha1.Generate{RSABits: 3072}).RSABits; got != 3072 {
		t.Errorf("%d bits, though the spec says 3072", got)
	}
}
