package desired

import (
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestKeysOfAnIssuerAreNotBoundByIdentities(t *testing.T) {
	material := credential.Material{Key: "https://login.example.com/keys,1", Algorithm: "ES256", PublicKeyPEM: "a public key"}
	set := buildConsumer(t, ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{KeySetCredential("spec.credentials[0]", "idp", material)}})
	jwt := only(t, set, kong.KindJWT)
	if jwt.Fields.Text("key") != material.Key || jwt.Fields.Text("algorithm") != "ES256" || jwt.Fields.Text("rsa_public_key") != "a public key" {
		t.Errorf("got %v", jwt.Fields)
	}
	for _, tag := range jwt.Fields.Tags() {
		if strings.ContainsAny(tag, ",/") {
			t.Errorf("tag %q is one that Kong refuses", tag)
		}
	}
}

func TestPartsOfAKeySetDiffer(t *testing.T) {
	seen := map[string]string{}
	add := func(part, what string) {
		if other, found := seen[part]; found {
			t.Errorf("%s and %s have the part %s", what, other, part)
		}
		seen[part] = what
	}
	for _, name := range []string{"idp", "idp2"} {
		add(CredentialPart(credential.Slot{Credential: name, Number: 0}), "credential "+name)
		add(CredentialPart(credential.Slot{Credential: name, Number: 2}), "a generation of "+name)
		for _, kid := range []string{"1", "2", "idp", strings.Repeat("k", 255), strings.Repeat("k", 254) + "l"} {
			add(KeySetPart(name, kid), "kid "+kid+" of "+name)
		}
	}
	if part := KeySetPart(strings.Repeat("n", 63), strings.Repeat("k", 255)); len(part) > 128 {
		t.Errorf("%d characters", len(part))
	}
}
