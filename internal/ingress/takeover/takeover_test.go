package takeover_test

import (
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/ingress/takeover"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func reference(kind, name string) objects.Reference {
	return objects.Reference{APIVersion: "v1", Kind: kind, Namespace: "shop", Name: name}
}

// wanted are the objects of a consumer with an HMAC credential, a public key and a group.
func wanted() []objects.Object {
	secret := func(name string, kind kong.Kind, data map[string]any) objects.Object {
		return objects.Object{Reference: reference("Secret", name), Entity: kind, Content: map[string]any{"stringData": data}}
	}
	return []objects.Object{
		secret("made-1", kong.KindJWT, map[string]any{"algorithm": "HS256", "key": "k", "secret": "s"}),
		secret("made-2", kong.KindJWT, map[string]any{
			"algorithm": "RS256", "key": "r", "rsa_public_key": pemOf("AAAA\nAAAA"),
		}),
		secret("made-3", kong.KindACL, map[string]any{"group": "staff"}),
		{
			Reference: reference(objects.KindConsumer, "made"), Entity: kong.KindConsumer,
			Content: map[string]any{"username": "billing", "custom_id": "42"},
		},
	}
}

func pemOf(lines string) string {
	return "-----BEGIN PUBLIC KEY-----\n" + lines + "\n-----END PUBLIC KEY-----\n"
}

func consumer(username string, secrets ...takeover.Secret) takeover.Consumer {
	return takeover.Consumer{Name: "billing", Username: username, CustomID: "42", Secrets: secrets}
}

func secret(name, kind string, data ...string) takeover.Secret {
	s := takeover.Secret{Name: name, Kind: kind, Data: map[string]string{}}
	for i := 0; i < len(data); i += 2 {
		s.Data[data[i]] = data[i+1]
	}
	return s
}

func TestWhatSaysTheSameIsTakenOver(t *testing.T) {
	names, refusal := takeover.Match(consumer("billing",
		secret("by-hand", "jwt", "key", "k", "secret", "s"), // HS256 is Kong's default
		secret("public", "jwt", "key", "r", "algorithm", "RS256", "rsa_public_key", pemOf("AAAAAAAA"), "secret", "unused"),
		secret("group", "acl", "group", "staff"),
	), wanted())
	if refusal != nil {
		t.Fatal(refusal)
	}
	for would, name := range map[objects.Reference]string{
		reference(objects.KindConsumer, "made"): "billing", reference("Secret", "made-1"): "by-hand",
		reference("Secret", "made-2"): "public", reference("Secret", "made-3"): "group",
	} {
		if names[would] != name || !names.Has(reference(would.Kind, name)) || names.Has(would) {
			t.Errorf("%s is called %q", would, names[would])
		}
	}
}

// public is a Secret with a public key.
func public(key string) takeover.Secret {
	return secret("x", "jwt", "key", "r", "algorithm", "RS256", "rsa_public_key", key)
}

func TestWhatWouldChangeKongIsNotTakenOver(t *testing.T) {
	for name, test := range map[string]struct {
		consumer takeover.Consumer
		what     string
	}{
		"another username": {consumer("other"), "username"},
		"another secret":   {consumer("billing", secret("x", "jwt", "key", "k", "secret", "t")), "Secret x"},
		"another key":      {consumer("billing", secret("x", "jwt", "key", "l", "secret", "s")), "Secret x"},
		"another algorithm": {
			consumer("billing", secret("x", "jwt", "key", "k", "secret", "s", "algorithm", "HS512")), "Secret x",
		},
		"another group":        {consumer("billing", secret("x", "acl", "group", "guests")), "Secret x"},
		"another kind":         {consumer("billing", secret("x", "key-auth", "key", "k")), "Secret x"},
		"a Secret of no kind":  {consumer("billing", secret("x", "", "key", "k", "secret", "s")), "Secret x"},
		"another public key":   {consumer("billing", public(pemOf("BBBB"))), "Secret x"},
		"a key that is no PEM": {consumer("billing", public("AAAA")), "Secret x"},
	} {
		_, refusal := takeover.Match(test.consumer, wanted())
		if refusal == nil || !strings.Contains(refusal.What, test.what) || refusal.Remedy == "" {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}

func TestTwoSecretsWithOneContentAreNotBothTakenOver(t *testing.T) {
	twice := consumer("billing", secret("one", "acl", "group", "staff"), secret("two", "acl", "group", "staff"))
	if _, refusal := takeover.Match(twice, wanted()); refusal == nil {
		t.Error("one object cannot be two")
	}
}

func TestNamesOfObjectsThatAreThere(t *testing.T) {
	names := takeover.Names{}
	takeover.Of(objects.Object{Reference: reference("Secret", "by-hand"), StandsFor: "made-1"}, names)
	takeover.Of(objects.Object{Reference: reference("Secret", "made-2")}, names)
	if len(names) != 1 || names[reference("Secret", "made-1")] != "by-hand" {
		t.Error(names)
	}
}
