package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// algorithms that Kong's jwt plugin verifies.
var algorithms = []v1alpha1.Algorithm{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// claims are a token's, without iss, kid and exp, which sign adds.
type claims = jwt.MapClaims

// sign makes a token that is valid for ten minutes, names its credential in kid, and differs from that as changes
// say. A claim that is nil is left out.
func sign(algorithm v1alpha1.Algorithm, signingKey any, credentialKey string, changes ...claims) string {
	GinkgoHelper()
	payload := claims{"iss": credentialKey, "exp": time.Now().Add(10 * time.Minute).Unix()}
	for _, change := range changes {
		for name, value := range change {
			payload[name] = value
			if value == nil {
				delete(payload, name)
			}
		}
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(string(algorithm)), payload)
	token.Header["kid"] = credentialKey
	text, err := token.SignedString(signingKey)
	Expect(err).NotTo(HaveOccurred())
	return text
}

// signText makes a token by HS256 whose payload is a text, whatever it is.
func signText(material, keyID, payload string) string {
	GinkgoHelper()
	header, err := json.Marshal(map[string]string{"alg": "HS256", "typ": "JWT", "kid": keyID})
	Expect(err).NotTo(HaveOccurred())
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(header) + "." + encode([]byte(payload))
	signature, err := jwt.SigningMethodHS256.Sign(text, []byte(material))
	Expect(err).NotTo(HaveOccurred())
	return text + "." + encode(signature)
}

// expired is what makes a token's time be over.
func expired() claims { return claims{"exp": time.Now().Add(-time.Minute).Unix()} }

func isHMAC(algorithm v1alpha1.Algorithm) bool { return strings.HasPrefix(string(algorithm), "HS") }

// newSigningKey makes a key of an algorithm: bytes for HMAC.
func newSigningKey(algorithm v1alpha1.Algorithm) any {
	GinkgoHelper()
	var key any
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		if isHMAC(algorithm) {
			return []byte(rand.Text() + rand.Text() + rand.Text())
		}
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	Expect(err).NotTo(HaveOccurred())
	return key
}

// materialOf is a Secret's content for a signing key, as a user writes it for spec.credentials[].secretRef.
func materialOf(signingKey any) map[string]string {
	GinkgoHelper()
	if secret, ok := signingKey.([]byte); ok {
		return map[string]string{"secret": string(secret)}
	}
	signer, ok := signingKey.(crypto.Signer)
	Expect(ok).To(BeTrue())
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	Expect(err).NotTo(HaveOccurred())
	return map[string]string{"public.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// privatePEMOf is a signing key's private half in PEM.
func privatePEMOf(signingKey any) string {
	GinkgoHelper()
	der, err := x509.MarshalPKCS8PrivateKey(signingKey)
	Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// signingKeyOf reads the signing key out of a Secret that the operator wrote for a client.
func signingKeyOf(secret *corev1.Secret) any {
	GinkgoHelper()
	algorithm := v1alpha1.Algorithm(secret.Data["algorithm"])
	if isHMAC(algorithm) {
		Expect(secret.Data).To(HaveKey("secret"))
		return secret.Data["secret"]
	}
	block, _ := pem.Decode(secret.Data["private.pem"])
	Expect(block).NotTo(BeNil(), "private.pem is PEM")
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	return key
}

// farAway is an exp beyond what a service allows.
func farAway() int64 { return time.Now().Add(48 * time.Hour).Unix() }
