package desired

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var update = flag.Bool("update", false, "write what Kong is given of the samples, internal/desired/testdata")

// fullSample reads one of the samples that have every field.
func fullSample(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../config/samples/full", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, into); err != nil {
		t.Fatal(err)
	}
}

// isGiven compares a set with testdata: every entity, with every field as it is sent.
func isGiven(t *testing.T, set Set, name string) {
	t.Helper()
	type sent struct {
		Kind     kong.Kind      `json:"kind"`
		ID       string         `json:"id"`
		Consumer string         `json:"consumer,omitempty"`
		Fields   map[string]any `json:"fields"`
	}
	var all []sent
	for _, e := range set.Entities {
		if config := e.Fields.Object("config"); e.Fields.Text("name") == PluginClaims {
			// The program below its rules is in internal/claims.
			config["access"] = strings.SplitN(kong.Fields(config).Strings("access")[0], "\n", 3)[1]
		}
		arePlain(t, string(e.Kind), map[string]any(e.Fields))
		all = append(all, sent{e.Kind, e.ID, e.ConsumerID, e.Fields})
	}
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(all); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("Kong is given something else than %s says; read the difference after: go test ./internal/desired -update", path)
	}
}

// arePlain checks that values are of the types that kong.Fields reads: a type of the API would read as nothing.
func arePlain(t *testing.T, at string, value any) {
	t.Helper()
	switch v := value.(type) {
	case string, bool, int, int32, int64, float64, []string:
	case []any:
		for _, element := range v {
			arePlain(t, at+"[]", element)
		}
	case map[string]any:
		for name, element := range v {
			arePlain(t, at+"."+name, element)
		}
	default:
		t.Errorf("%s is a %T", at, value)
	}
}

// fullPolicy is that of the full sample of a gateway.
func fullPolicy(t *testing.T) Policy {
	t.Helper()
	var gateway v1alpha1.KongGateway
	fullSample(t, "konggateway", &gateway)
	return NewPolicy(&gateway, "cluster.local")
}

// TestEveryFieldOfAServiceIsGivenToKong: of the sample with every field, and of routes that differ from defaults.
func TestEveryFieldOfAServiceIsGivenToKong(t *testing.T) {
	var service v1alpha1.JwtProtectedService
	fullSample(t, "jwtprotectedservice", &service)
	service.Spec.Routes = append(service.Spec.Routes,
		v1alpha1.Route{
			Name: "other", Hosts: []string{"other.example.com"}, Paths: []string{"/other"}, StripPath: new(false), PreserveHost: new(true),
			RequestBuffering: new(false), ResponseBuffering: new(false), PathHandling: "v1",
		},
		v1alpha1.Route{Name: "calls", Hosts: []string{"grpc.example.com"}, Protocols: []v1alpha1.Protocol{"grpcs"}, StripPath: new(true)},
		v1alpha1.Route{Name: "by-sni", Hosts: []string{"sni.example.com"}, SNIs: []string{"sni.example.com"}},
	)
	in := ServiceInput{
		Service: &service, RedisPassword: "redis-password",
		Selected: []v1alpha1.ConsumerReference{{Namespace: "default", Name: "worker"}},
		Configs:  Configs{"audit": {[]byte("headers: {authorization: from-a-secret}")}},
	}
	policy := fullPolicy(t)
	policy.Routes = nil // paths as they are written; segments have a test of their own
	set, err := BuildService(testScope, policy, in)
	if err != nil {
		t.Fatal(err)
	}
	isGiven(t, set, "service")

	id, routes, plugins := ServiceEntities(testScope, policy, &service)
	named := map[string]bool{id: true}
	for _, e := range append(routes, plugins...) {
		named[e.KongID] = true
	}
	for _, e := range set.Entities {
		if !named[e.ID] {
			t.Errorf("the status does not name %s %s", e.Kind, e.Fields.Text("name"))
		}
	}
	if len(named) != len(set.Entities) {
		t.Errorf("the status names %d entities, Kong has %d", len(named), len(set.Entities))
	}
}

func TestEveryFieldOfAConsumerIsGivenToKong(t *testing.T) {
	var consumer v1alpha1.JwtConsumer
	fullSample(t, "jwtconsumer", &consumer)
	consumer.Spec.CustomID = "4711"
	policy := fullPolicy(t)
	policy.Identities = v1alpha1.IdentitiesAny // for the custom ID
	policy.ConsumerPlugins = []string{"ip-restriction"}
	policy.Plugins = []string{"ip-restriction"}
	public := credential.Material{Key: "default.partner", Algorithm: "RS256", PublicKeyPEM: "PEM"}
	set, err := BuildConsumer(testScope, policy, ConsumerInput{Consumer: &consumer, Credentials: []Credential{
		{Part: CredentialPart(credential.Slot{Credential: "shared-secret"}), Material: hmacMaterial("default.shared", strings.Repeat("given", 8))},
		{Part: CredentialPart(credential.Slot{Credential: "partner"}), Material: public},
		{Part: CredentialPart(credential.Slot{Credential: "made", Number: 7}), Material: hmacMaterial("default.made.7", strings.Repeat("made", 8))},
		KeySetCredential("spec.credentials[4]", "idp", credential.Material{Key: "kid-1", Algorithm: "ES256", PublicKeyPEM: "PEM"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	isGiven(t, set, "consumer")
}

// TestWhatDataPlanesAreAskedBy: the route, found by what cannot be guessed, and what answers it.
func TestWhatDataPlanesAreAskedBy(t *testing.T) {
	seed := []byte("a seed of an installation")
	route := NewProbeRoute(testScope, seed)
	set := BuildProbe(testScope, route, true)
	isGiven(t, set, "probe")
	if without := BuildProbe(testScope, route, false); len(without.Entities) != 5 {
		t.Errorf("%d entities where no service has claims", len(without.Entities))
	}
	routes := map[string]bool{ProbeRouteID(testScope): true, ClaimsProbeRouteID(testScope): true}
	for _, e := range ofKind(set, kong.KindRoute) {
		if !routes[e.ID] {
			t.Errorf("the operator looks for other routes than %s", e.ID)
		}
	}
	values := map[string]string{}
	for what, of := range map[string]ProbeRoute{
		"this gateway's":         route,
		"another gateway's":      NewProbeRoute(Scope{Installation: testScope.Installation, Gateway: "other"}, seed),
		"another installation's": NewProbeRoute(Scope{Installation: "other", Gateway: testScope.Gateway}, seed),
		"another seed's":         NewProbeRoute(testScope, []byte("another")),
	} {
		for _, value := range []string{of.Host, of.Path, of.ClaimsPath, of.Value, of.Proof} {
			if values[value] != "" {
				t.Errorf("%s and %s have %s in common", what, values[value], value)
			}
			values[value] = what
		}
	}
}
