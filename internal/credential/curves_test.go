package credential

import (
	"bytes"
	"crypto/elliptic"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// The files are from OpenSSL 3: openssl ec -pubout with -conv_form compressed and -param_enc explicit.
func TestEveryFormOfAnECKeyIsTheSameKey(t *testing.T) {
	for curve, algorithm := range map[string]string{"p256": "ES256", "p384": "ES384", "p521": "ES512"} {
		named, err := os.ReadFile("testdata/forms/" + curve + "-named.pem")
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"named", "compressed", "explicit", "explicit-compressed"} {
			t.Run(curve+" "+form, func(t *testing.T) {
				text, err := os.ReadFile("testdata/forms/" + curve + "-" + form + ".pem")
				if err != nil {
					t.Fatal(err)
				}
				for what, text := range map[string]string{"as it is": string(text), "with a byte order mark": "\ufeff" + string(text)} {
					got, err := FromSecret("spec.credentials[0]", spec(v1alpha1.Algorithm(algorithm), nil), "default", contents("public.pem", text))
					if err != nil || strings.TrimSpace(got.PublicKeyPEM) != strings.TrimSpace(string(named)) {
						t.Errorf("%s: got %s, %v", what, got.PublicKeyPEM, err)
					}
				}
			})
		}
	}
}

// With a base point of an attacker's choice, a private key can be made for a public key that is somebody else's
// (CVE-2020-0601).
func TestASpelledOutCurveWithAnotherBasePointIsRefused(t *testing.T) {
	text, err := os.ReadFile("testdata/forms/p256-explicit.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	p := elliptic.P256().Params()
	forged := bytes.Replace(block.Bytes, p.Gy.Bytes(), p.Gx.Bytes(), 1)
	if bytes.Equal(forged, block.Bytes) {
		t.Fatal("there is no base point in it")
	}
	_, err = FromSecret("spec.credentials[0]", spec("ES256", nil), "default", contents("public.pem", encode("PUBLIC KEY", forged)))
	if err == nil || !strings.Contains(err.Error(), "no valid public key") {
		t.Errorf("got %v", err)
	}
}

func TestPKIXUnderTheNameOfPKCS1IsTaken(t *testing.T) {
	p := pairs()["RSA"]
	got, err := FromSecret("spec.credentials[0]", spec("RS256", nil), "default", contents("public.pem", strings.ReplaceAll(p.public, "PUBLIC KEY", "RSA PUBLIC KEY")))
	if err != nil || strings.TrimSpace(got.PublicKeyPEM) != strings.TrimSpace(p.public) {
		t.Errorf("got %s, %v", got.PublicKeyPEM, err)
	}
}

func TestAPEMThatWasPastedWronglySaysHow(t *testing.T) {
	text := pairs()["RSA"].public
	for says, damaged := range map[string]string{
		"spaces before its lines": "  " + strings.ReplaceAll(text, "\n", "\n  "), "in quotes": `"` + text + `"`,
		"in one line": strings.ReplaceAll(text, "\n", " "), "is cut off": text[:len(text)/2], "damaged": text[:40] + "*" + text[40:],
	} {
		_, err := FromSecret("spec.credentials[0]", spec("RS256", nil), "default", contents("public.pem", damaged))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}
