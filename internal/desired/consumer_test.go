package desired

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

func testConsumer(change ...func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
	consumer := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "john"}}
	for _, f := range change {
		f(&consumer.Spec)
	}
	return consumer
}

func hmacMaterial(key, secret string) credential.Material {
	return credential.Material{Key: key, Algorithm: "HS256", Secret: credential.Conceal(secret)}
}

// only gives the one entity of a kind.
func only(t *testing.T, set Set, kind kong.Kind) kong.Entity {
	t.Helper()
	all := ofKind(set, kind)
	if len(all) != 1 {
		t.Fatalf("got %d %s, want 1", len(all), kind)
	}
	return all[0]
}

func ofKind(set Set, kind kong.Kind) []kong.Entity {
	var found []kong.Entity
	for _, e := range set.Entities {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func buildConsumer(t *testing.T, in ConsumerInput) Set {
	t.Helper()
	set, err := BuildConsumer(testScope, testPolicy(), in)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestConsumerIsNamedAfterItsNamespace(t *testing.T) {
	set := buildConsumer(t, ConsumerInput{Consumer: testConsumer()})
	consumer := only(t, set, kong.KindConsumer)
	if got := consumer.Fields.Text("username"); got != "team-a.john" {
		t.Errorf("username %q", got)
	}
	if consumer.ID != ConsumerID(testScope, "team-a", "john") {
		t.Errorf("id %s is not the one that the status names", consumer.ID)
	}
	if _, set := consumer.Fields["custom_id"]; set {
		t.Error("an empty custom_id is sent: Kong refuses it")
	}
	if len(set.Entities) != 3 {
		t.Errorf("%d entities for a consumer and its two reserved groups", len(set.Entities))
	}
}

func TestHMACCredentialHasItsSecret(t *testing.T) {
	set := buildConsumer(t, ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{
		{Field: "spec.credentials[0]", Part: CredentialPart(credential.Slot{Credential: "primary", Number: 0}), Material: hmacMaterial("team-a.john.primary", "s3cret")},
	}})
	jwt := only(t, set, kong.KindJWT)
	if jwt.ConsumerID != only(t, set, kong.KindConsumer).ID {
		t.Error("it hangs on another consumer")
	}
	if jwt.Fields.Text("secret") != "s3cret" || jwt.Fields.Text("key") != "team-a.john.primary" || jwt.Fields.Text("algorithm") != "HS256" {
		t.Error("key, algorithm or secret is not the material's")
	}
	if _, set := jwt.Fields["rsa_public_key"]; set {
		t.Error("rsa_public_key is sent with HMAC")
	}
}

// Kong makes a secret for every credential that has none, at every write: a listing would never agree with the spec.
func TestPublicKeyCredentialHasASecretThatStays(t *testing.T) {
	in := ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{{Part: CredentialPart(credential.Slot{Credential: "primary", Number: 0}), Material: credential.Material{
		Key: "team-a.john.primary", Algorithm: "RS256", PublicKeyPEM: "PEM", PrivateKeyPEM: credential.Conceal("private"),
	}}}}
	first, second := only(t, buildConsumer(t, in), kong.KindJWT), only(t, buildConsumer(t, in), kong.KindJWT)
	if first.Fields.Text("secret") == "" || first.Fields.Text("secret") != second.Fields.Text("secret") {
		t.Error("the unused secret is empty, or another at each build")
	}
	for name, value := range first.Fields {
		if value == "private" {
			t.Errorf("the private key is sent to Kong as %s", name)
		}
	}
}

func TestGroupsAreTheSpecsAndTwoReservedOnes(t *testing.T) {
	set := buildConsumer(t, ConsumerInput{
		Consumer: testConsumer(func(s *v1alpha1.JwtConsumerSpec) { s.Groups = []string{"team-a.writers", "team-a.readers"} }),
	})
	var groups []string
	for _, acl := range ofKind(set, kong.KindACL) {
		groups = append(groups, acl.Fields.Text("group"))
		if acl.ID != testScope.ACLID(acl.ConsumerID, acl.Fields.Text("group")) {
			t.Errorf("the row of %s has another id at each build", acl.Fields.Text("group"))
		}
	}
	slices.Sort(groups)
	if want := []string{"kongjwt:team-a", "kongjwt:team-a.john", "team-a.readers", "team-a.writers"}; !slices.Equal(groups, want) {
		t.Errorf("got groups %v, want %v", groups, want)
	}
}

func TestConsumerPluginMergesItsSecrets(t *testing.T) {
	set := buildConsumer(t, ConsumerInput{
		Consumer: testConsumer(func(s *v1alpha1.JwtConsumerSpec) {
			s.Plugins = []v1alpha1.PluginSpec{{Name: "log", Plugin: "http-log", Config: &apiextensionsv1.JSON{Raw: []byte(`{"http_endpoint":"https://a.example.com","headers":{"a":"1"}}`)}}}
		}),
		Configs: Configs{"log": {[]byte("headers: {authorization: s3cret}"), []byte(`{"timeout":1}`)}},
	})
	plugin := only(t, set, kong.KindPlugin)
	config := plugin.Fields.Object("config")
	headers, _ := config["headers"].(map[string]any)
	if headers["a"] != "1" || headers["authorization"] != "s3cret" || config["timeout"] != float64(1) && config["timeout"] != int64(1) {
		t.Errorf("merged headers have %d entries, timeout is %v", len(headers), config["timeout"])
	}
	if plugin.Fields.Ref("consumer") != only(t, set, kong.KindConsumer).ID {
		t.Error("the plugin is not the consumer's")
	}
}

// What is wrong with a plugin or a credential holds up nothing else: that stays as Kong has it.
func TestWhatIsRefusedOfAConsumerStaysAsItIs(t *testing.T) {
	consumer := testConsumer(func(s *v1alpha1.JwtConsumerSpec) {
		s.Plugins = []v1alpha1.PluginSpec{{Name: "t", Plugin: "request-transformer"}, {Name: "log", Plugin: "http-log"}}
	})
	in := ConsumerInput{Consumer: consumer, Credentials: []Credential{
		{Field: "spec.credentials[0]", Part: "credential:a", Material: hmacMaterial("team-a.a", "{vault://env/x}")},
		{Field: "spec.credentials[1]", Part: "credential:b", Material: hmacMaterial("team-a.b", "good")},
	}}
	owner := ConsumerOwner(consumer.Namespace, consumer.Name)
	transformer, log := testScope.ID(kong.KindPlugin, owner, "plugin:t"), testScope.ID(kong.KindPlugin, owner, "plugin:log")
	set, err := BuildConsumer(testScope, testPolicy(), in)
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.credentials[0]")
	if want := []string{CredentialID(testScope, owner, "credential:a"), transformer}; !slices.Equal(set.Keep, want) {
		t.Errorf("kept %v, not %v", set.Keep, want)
	}
	if only(t, set, kong.KindJWT).Fields.Text("key") != "team-a.b" || only(t, set, kong.KindPlugin).ID != log {
		t.Error("the rest is not built")
	}
	in.Credentials, in.Unread = in.Credentials[1:], status.Stalled(v1alpha1.ReasonSecretNotFound, "spec.plugins[1].configFrom[0]: gone")
	set, err = BuildConsumer(testScope, testPolicy(), in)
	wantStalled(t, err, v1alpha1.ReasonSecretNotFound, "spec.plugins[1]")
	if !slices.Equal(set.Keep, []string{transformer, log}) || only(t, set, kong.KindJWT).Fields.Text("key") != "team-a.b" {
		t.Errorf("with no configuration to read: kept %v", set.Keep)
	}
}

// A reference to a vault is refused wherever it is, and stops what it is in, not what is beside it.
func TestAVaultReferenceStopsItsOwnEntityAlone(t *testing.T) {
	const reference = "{vault://env/pg-password}"
	owner := ConsumerOwner("team-a", "john")
	consumerID := ConsumerID(testScope, "team-a", "john")
	endpoint := func(url string) *apiextensionsv1.JSON {
		return &apiextensionsv1.JSON{Raw: []byte(`{"http_endpoint":"` + url + `"}`)}
	}
	for what, c := range map[string]struct {
		change func(*v1alpha1.JwtConsumerSpec)
		field  string
		keep   []string
	}{
		"a username": {
			func(s *v1alpha1.JwtConsumerSpec) { s.Username = "team-a." + reference }, "spec.username", []string{consumerID},
		},
		"a custom id": {func(s *v1alpha1.JwtConsumerSpec) { s.CustomID = reference }, "spec.customID", []string{consumerID}},
		"a tag":       {func(s *v1alpha1.JwtConsumerSpec) { s.Tags = append(s.Tags, reference) }, "spec.tags[1]", nil},
		"a group": {
			func(s *v1alpha1.JwtConsumerSpec) { s.Groups = append(s.Groups, "team-a."+reference) },
			"spec.groups[1]", []string{testScope.ACLID(consumerID, "team-a."+reference)},
		},
		"in a plugin": {
			func(s *v1alpha1.JwtConsumerSpec) { s.Plugins[0].Config = endpoint(reference) },
			"spec.plugins[0].config", []string{testScope.ID(kong.KindPlugin, owner, "plugin:log")},
		},
	} {
		t.Run(what, func(t *testing.T) {
			consumer := testConsumer(func(s *v1alpha1.JwtConsumerSpec) {
				s.Tags, s.Groups = []v1alpha1.Tag{"mine"}, []string{"team-a.readers"}
				s.Plugins = []v1alpha1.PluginSpec{{Name: "log", Plugin: "http-log", Config: endpoint("https://log.example.com")}}
			})
			in := ConsumerInput{Consumer: consumer, Credentials: []Credential{{
				Field: "spec.credentials[0]", Part: "credential:a", Held: true, Material: hmacMaterial("team-a.a", "good"),
			}}}
			whole, err := BuildConsumer(testScope, testPolicy(), in)
			if err != nil {
				t.Fatal(err)
			}
			c.change(&consumer.Spec)
			set, err := BuildConsumer(testScope, testPolicy(), in)
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, c.field, "vault")
			if !slices.Equal(set.Keep, c.keep) {
				t.Errorf("kept %v, not %v", set.Keep, c.keep)
			}
			rest := slices.DeleteFunc(whole.Entities, func(e kong.Entity) bool { return slices.Contains(c.keep, e.ID) })
			if !reflect.DeepEqual(set.Entities, rest) {
				t.Errorf("built %v, not %v", set.Entities, rest)
			}
		})
	}
}

func TestConsumerIsRefused(t *testing.T) {
	anything := func(s *v1alpha1.JwtConsumerSpec) {}
	secret := func(value string) []Credential {
		return []Credential{{Field: "spec.credentials[0]", Part: "credential:a", Material: hmacMaterial("team-a.x", value)}}
	}
	for what, c := range map[string]struct {
		change  func(*v1alpha1.JwtConsumerSpec)
		in      ConsumerInput
		reason  string
		message []string
	}{
		"a username of another namespace": {
			change: func(s *v1alpha1.JwtConsumerSpec) { s.Username = "team-b.john" },
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.username", `"team-a."`},
		},
		"a custom id": {
			change: func(s *v1alpha1.JwtConsumerSpec) { s.CustomID = "7" },
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.customID", "Remove it"},
		},
		"a group of another namespace": {
			change: func(s *v1alpha1.JwtConsumerSpec) { s.Groups = []string{"team-a.x", "admins"} },
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.groups[1]", "admins"},
		},
		"a key of another namespace": {
			change: anything, in: ConsumerInput{Credentials: []Credential{{Field: "spec.credentials[2]", TenantKey: true, Material: hmacMaterial("team-b.x", "s")}}},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.credentials[2].key", `begin with "team-a."`},
		},
		"a vault reference in a Secret": {
			change: anything, in: ConsumerInput{Credentials: secret("{vault://env/pg-password}")},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.credentials[0]", "vault"},
		},
		"a vault reference in a plugin's Secret": {
			change: func(s *v1alpha1.JwtConsumerSpec) {
				s.Plugins = []v1alpha1.PluginSpec{{Name: "log", Plugin: "http-log"}}
			},
			in:     ConsumerInput{Configs: Configs{"log": {[]byte("http_endpoint: '{vault://env/x}'")}}},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.plugins[0].configFrom", "vault"},
		},
		"a plugin that is not allowed": {
			change: func(s *v1alpha1.JwtConsumerSpec) {
				s.Plugins = []v1alpha1.PluginSpec{{Name: "t", Plugin: "request-transformer"}}
			},
			reason: v1alpha1.ReasonPolicyViolation, message: []string{"spec.plugins[0].plugin", "request-transformer", "cors"},
		},
		"a plugin's Secret that is no object": {
			change: func(s *v1alpha1.JwtConsumerSpec) {
				s.Plugins = []v1alpha1.PluginSpec{{Name: "log", Plugin: "http-log"}}
			},
			in:     ConsumerInput{Configs: Configs{"log": {[]byte("{}"), []byte("just: [s3cret")}}},
			reason: v1alpha1.ReasonSecretInvalid, message: []string{"spec.plugins[0].configFrom[1]"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			c.in.Consumer = testConsumer(c.change)
			set, err := BuildConsumer(testScope, testPolicy(), c.in)
			wantStalled(t, err, c.reason, c.message...)
			for _, e := range set.Entities {
				if e.Kind == kong.KindPlugin || e.Kind == kong.KindJWT {
					t.Errorf("a %s is built all the same", e.Kind.Singular())
				}
			}
		})
	}
}

func TestOneCredentialAKey(t *testing.T) {
	made := func(field, part, key string) Credential {
		return Credential{Field: field, Part: part, Material: credential.Material{Key: key}}
	}
	kept, err := DistinctKeys([]Credential{
		made("spec.credentials[0]", CredentialPart(credential.Slot{Credential: "a", Number: 2}), "k1"), made("spec.credentials[0]", CredentialPart(credential.Slot{Credential: "a", Number: 0}), "k2"),
		made("spec.credentials[1]", KeySetPart("b", "k2"), "k2"), made("spec.credentials[2]", CredentialPart(credential.Slot{Credential: "c", Number: 0}), "k3"),
	})
	var stalled *status.StalledError
	if !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonConflict {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{"spec.credentials[1]", "credential a "} {
		if !strings.Contains(stalled.Message, text) {
			t.Errorf("%q does not say %q", stalled.Message, text)
		}
	}
	if len(kept) != 3 || kept[1].Part != CredentialPart(credential.Slot{Credential: "a", Number: 0}) || kept[2].Part != CredentialPart(credential.Slot{Credential: "c", Number: 0}) {
		t.Errorf("kept %v", kept)
	}
	if kept, err := DistinctKeys(kept); err != nil || len(kept) != 3 {
		t.Errorf("of three keys %v are kept: %v", kept, err)
	}
}

// What works does not stop for a mistake elsewhere: neither for a key that another credential is given, nor for a kid
// that an issuer publishes.
func TestWhoHoldsAKeyKeepsIt(t *testing.T) {
	c := func(name string, held, pending bool) Credential {
		return Credential{
			Field: name, Part: CredentialPart(credential.Slot{Credential: name}), Held: held, Pending: pending,
			Material: credential.Material{Key: "k"},
		}
	}
	for keeps, credentials := range map[string][]Credential{
		"holder": {c("first", false, false), c("holder", true, false)}, "pending holder": {c("first", false, false), c("pending holder", true, true)},
		"active": {c("pending", false, true), c("active", false, false)}, "first": {c("first", false, false), c("second", false, false)},
	} {
		kept, err := DistinctKeys(credentials)
		if len(kept) != 1 || kept[0].Field != keeps || err == nil {
			t.Errorf("%v is kept, not %s: %v", kept, keeps, err)
		}
	}
}

func TestSlotOfAPart(t *testing.T) {
	for _, slot := range []credential.Slot{{Credential: "a-b"}, {Credential: "a", Number: 12}} {
		if again, ok := CredentialSlot(CredentialPart(slot)); !ok || again != slot {
			t.Errorf("%v is read as %v", slot, again)
		}
	}
	for _, part := range []string{KeySetPart("a", "kid"), "group:a", "consumer", "credential:a.x", "credential:a.-1"} {
		if slot, ok := CredentialSlot(part); ok {
			t.Errorf("%s is read as %v", part, slot)
		}
	}
}

func TestCredentialOfAPart(t *testing.T) {
	for part, want := range map[string]string{
		CredentialPart(credential.Slot{Credential: "a-b", Number: 0}): "a-b", CredentialPart(credential.Slot{Credential: "a", Number: 12}): "a", KeySetPart("a", "any kid: 1.2"): "a", "group:credential": "", "consumer": "",
	} {
		if name, found := CredentialOf(part); name != want && found || found != (want != "") {
			t.Errorf("part %s is of %q (%t), want %q", part, name, found, want)
		}
	}
}

func TestMaterialOfWhatKongHolds(t *testing.T) {
	for _, material := range []credential.Material{
		{Key: "k", Algorithm: "HS256", Secret: credential.Conceal("a secret")}, {Key: "k", Algorithm: "ES256", PublicKeyPEM: "a public key"},
	} {
		b := builder{scope: testScope, owner: ConsumerOwner("team", "john")}
		if err := b.addCredential("id", Credential{Part: CredentialPart(credential.Slot{Credential: "a", Number: 0}), Material: material}); err != nil {
			t.Fatal(err)
		}
		if got := MaterialOf(b.entities[0]); !got.Equal(material) {
			t.Errorf("%s is read back differently", material.Algorithm)
		}
	}
}

// A data key that is not a credential's key, such as a password, can be named by mistake: its value is not repeated.
func TestAKeyFromASecretIsNotQuoted(t *testing.T) {
	material := hmacMaterial("Tr0ub4dor-and-3", "s3cret")
	in := ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{
		{Field: "spec.credentials[0]", Part: CredentialPart(credential.Slot{Credential: "primary"}), Material: material, TenantKey: true},
	}}
	_, err := BuildConsumer(testScope, testPolicy(), in)
	wantStalled(t, err, v1alpha1.ReasonPolicyViolation, "spec.credentials[0].key", `begin with "team-a."`)
	if strings.Contains(err.Error(), material.Key) {
		t.Errorf("a value from a Secret is quoted: %v", err)
	}
}
