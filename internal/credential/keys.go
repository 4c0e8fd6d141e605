package credential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// keyError says what is wrong with a key in PEM, and what to do.
type keyError string

// Error gives both, as sentences.
func (e keyError) Error() string { return string(e) }

func mistake(format string, args ...any) error { return keyError(fmt.Sprintf(format, args...)) }

// maxPEM is the largest PEM that is read, in bytes: twice an RSA key of maxRSABits with its private half. Checking
// the primes of a much larger one would keep the operator busy for minutes.
const maxPEM = 16384

// readPEM reads the one PEM block of a text. Certificates may follow a certificate: its issuers'. Its errors quote
// nothing of the input.
func readPEM(text []byte, expected string) (*pem.Block, error) {
	if len(text) > maxPEM {
		return nil, mistake("has %d bytes, and a key has at most %d. Put the key alone there.", len(text), maxPEM)
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte(byteOrderMark)))
	block, rest := pem.Decode(text)
	// openssl ecparam -genkey writes the curve in front of the key, which names it too.
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, describeText(string(text), expected)
	}
	for next, rest := pem.Decode(rest); next != nil; next, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || next.Type != "CERTIFICATE" {
			return nil, mistake("has more than one key in it. Leave the one that is meant.")
		}
	}
	return block, nil
}

// byteOrderMark begins texts that some editors write.
const byteOrderMark = "\ufeff"

var indented = regexp.MustCompile(`(?m)^[ \t]+\S`)

// describeText says what a text is that should be a PEM, and what to do, for the mistakes that are made most.
func describeText(text, expected string) error {
	begins := strings.Contains(text, "-----BEGIN ")
	switch {
	case strings.HasPrefix(text, "LS0tLS1CRUdJTi"):
		return mistake("is base64 of a PEM: it was encoded twice. Values under stringData are not to be encoded.")
	case begins && strings.Contains(text, `\n`):
		return mistake(`is a PEM with \n spelled out. Put line breaks there.`)
	case begins && strings.Trim(text, `"'`) != text:
		return mistake("is a PEM in quotes. Take the quotes off.")
	case begins && !strings.Contains(text, "-----END "):
		return mistake("is a PEM that is cut off: it has no line -----END. Put the whole text there.")
	case begins && !strings.ContainsAny(text, "\r\n"):
		return mistake("is a PEM in one line. Put its line breaks there (in YAML, key: | and the lines below).")
	case begins && indented.MatchString(text):
		return mistake("is a PEM with spaces before its lines. Take them off (in YAML, indent each line as the first).")
	case begins:
		return mistake("is a damaged PEM. Put it there as it was made, from -----BEGIN %s----- on.", expected)
	case strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-sha2-"):
		return mistake("is an SSH key, no PEM. Convert it (ssh-keygen -e -m PKCS8).")
	case strings.HasPrefix(text, "{"):
		return mistake("is JSON, no PEM. Convert a JWK.")
	}
	return mistake("is no PEM. It has to begin with -----BEGIN %s-----.", expected)
}

// parsePublic reads a public key in PEM: PKIX, PKCS #1, or that of a certificate, whose dates and issuer do not
// matter here. Its errors quote nothing of the input.
func parsePublic(text []byte) (crypto.PublicKey, error) {
	block, err := readPEM(text, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	if strings.Contains(block.Type, "PRIVATE KEY") {
		return nil, mistake("is a private key, which Kong must not get. Put the public key there (openssl pkey -pubout), and a private key under dataKeys.privateKey.")
	}
	var key crypto.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		key, err = parsePKIX(block.Bytes)
	case "RSA PUBLIC KEY":
		if key, err = x509.ParsePKCS1PublicKey(block.Bytes); err != nil {
			key, err = parsePKIX(block.Bytes) // OpenSSL looks into it, and so do those who write it
		}
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		return nil, mistake("is PEM of another kind than PUBLIC KEY. Put the public key there (openssl pkey -pubout).")
	}
	if err != nil || key == nil {
		return nil, mistake("is no valid public key of a kind that Kong verifies with: RSA (not RSA-PSS), EC on P-256, P-384 or P-521, Ed25519. " +
			"Put one of these there.")
	}
	return key, nil
}

// parsePrivate reads a private key in PEM: PKCS #8, PKCS #1 or SEC 1. Its errors quote nothing of the input.
func parsePrivate(text []byte) (crypto.Signer, error) {
	block, err := readPEM(text, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, mistake("is encrypted. Put the key there without a passphrase (openssl pkey).")
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "OPENSSH PRIVATE KEY":
		return nil, mistake("is an OpenSSH key. Convert it (ssh-keygen -p -m PKCS8).")
	default:
		return nil, mistake("is no private key. Put one there as PKCS #8, PKCS #1 or SEC 1 (openssl pkey).")
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, mistake("is no valid private key. Put one there as PKCS #8 (openssl pkey).")
	}
	return signer, nil
}

// checkFits says why a public key cannot serve an algorithm, and what to do.
func checkFits(key crypto.PublicKey, algorithm v1alpha1.Algorithm) error {
	kind, fitting := describeKey(key)
	if fitting == "" {
		return mistake("is a key of a kind that no JWT algorithm here uses. %s needs %s.", algorithm, needs(algorithm))
	}
	typed, isRSA := key.(*rsa.PublicKey)
	if isRSA && FamilyOf(algorithm) == RSA {
		return checkBits(typed.N.BitLen(), algorithm)
	}
	if isRSA || fitting != algorithm {
		return mistake("is %s, and %s needs %s. Put one there, or set algorithm to %s.", kind, algorithm, needs(algorithm), fitting)
	}
	return nil
}

// describeKey names a kind of key, and an algorithm that it fits.
func describeKey(key crypto.PublicKey) (kind string, fitting v1alpha1.Algorithm) {
	switch typed := key.(type) {
	case *rsa.PublicKey:
		return "an RSA key", "RS256"
	case ed25519.PublicKey:
		return "an Ed25519 key", "EdDSA"
	case *ecdsa.PublicKey:
		for _, algorithm := range []v1alpha1.Algorithm{"ES256", "ES384", "ES512"} {
			if typed.Curve == curveOf(algorithm) {
				return needs(algorithm), algorithm
			}
		}
	}
	return "", ""
}

func checkBits(bits int, algorithm v1alpha1.Algorithm) error {
	switch {
	case isPS(algorithm) && bits != psBits:
		return mistake("has %d bits, and Kong verifies %s with %d-bit keys only. Use one, or RS%s.", bits, algorithm, psBits, algorithm[2:])
	case bits < minRSABits:
		return mistake("has %d bits, and %s asks for %d or more (RFC 7518 section 3.3). Make a new one.", bits, algorithm, minRSABits)
	case bits > maxRSABits:
		return mistake("has %d bits, and at most %d are taken. Make a smaller one.", bits, maxRSABits)
	default:
		return nil
	}
}

// needs names the key that an algorithm takes.
func needs(algorithm v1alpha1.Algorithm) string {
	switch FamilyOf(algorithm) {
	case ECDSA:
		return "an EC key on " + curveOf(algorithm).Params().Name
	case Ed25519:
		return "an Ed25519 key"
	default:
		return "an RSA key"
	}
}
