package desired

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// capable is what a Kong of a version takes, with the plugins that are named; all where none is.
func capable(version string, plugins ...string) kong.Capabilities {
	node := kong.Node{Version: version}
	for _, name := range plugins {
		if node.Plugins == nil {
			node.Plugins = map[string]bool{}
		}
		node.Plugins[name] = true
	}
	return kong.CapabilitiesOf(node, kong.Schemas{})
}

// messages are those of joined errors, all of which stall.
func messages(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	var texts []string
	for _, one := range list {
		stalled, ok := errors.AsType[*status.StalledError](one)
		if !ok {
			t.Fatalf("%v does not stall", one)
		}
		texts = append(texts, stalled.Message)
	}
	return texts
}

func TestConsumerOnAKongThatLacksSomething(t *testing.T) {
	material := func(key string, algorithm v1alpha1.Algorithm) credential.Material {
		return credential.Material{Key: key, Algorithm: algorithm, PublicKeyPEM: "pem"}
	}
	in := ConsumerInput{Consumer: testConsumer(), Credentials: []Credential{
		{Field: "spec.credentials[0]", Part: CredentialPart(credential.Slot{Credential: "old", Number: 0}), Material: material("team-a.old", "RS256")},
		{Field: "spec.credentials[1]", Part: CredentialPart(credential.Slot{Credential: "new"}), Material: material("team-a.new", "PS256")},
		KeySetCredential("spec.credentials[2]", "idp", material("kid-1", "ES256")),
		KeySetCredential("spec.credentials[2]", "idp", material("kid-2", "EdDSA")),
	}}
	in.Consumer.Spec.Groups = []string{"team-a.readers"}
	all := []string{"kid-1", "kid-2", "team-a.new", "team-a.old"}
	for name, tt := range map[string]struct {
		kong   kong.Capabilities
		keys   []string
		groups int
		want   []string
	}{
		"the newest": {kong.Capabilities{}, all, 3, nil},
		"3.9.3":      {capable("3.9.3", "jwt", "acl"), all, 3, nil},
		"3.4.2": {capable("3.4.2", "jwt", "acl"), []string{"kid-1", "team-a.old"}, 3, []string{
			"spec.credentials[1].algorithm: PS256 needs Kong 3.7 (KongGateway default runs 3.4.2). Choose RS256, or upgrade Kong.",
			"spec.credentials[2].jwks: key kid-2 of the set: EdDSA needs Kong 3.7 (KongGateway default runs 3.4.2). " +
				"Upgrade Kong; the other keys are in use.",
		}},
		"without acl": {capable("3.9.3", "jwt"), all, 0, []string{
			"spec.groups: Kong has no acl plugin (KongGateway default runs 3.9.3). Remove the groups, or add acl to Kong's plugins.",
		}},
	} {
		in.Kong = tt.kong
		set, err := BuildConsumer(testScope, testPolicy(), in)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, e := range ofKind(set, kong.KindJWT) {
			keys = append(keys, e.Fields.Text("key"))
		}
		slices.Sort(keys)
		if groups := len(ofKind(set, kong.KindACL)); !slices.Equal(keys, tt.keys) || groups != tt.groups {
			t.Errorf("%s: keys %v, %d groups", name, keys, groups)
		}
		if got := messages(t, in.Unsupported("default")); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s", name, strings.Join(got, "\n"))
		}
	}
}

func TestServiceOnAKongThatLacksSomething(t *testing.T) {
	old := capable("3.4.2", "jwt", "acl", "rate-limiting", "cors")
	for want, tt := range map[string]struct {
		kong   kong.Capabilities
		change func(*v1alpha1.JwtProtectedServiceSpec)
	}{
		"spec.jwt.realm: realm needs Kong 3.8 (KongGateway edge runs 3.4.2). Remove it, or upgrade Kong.": {
			old, func(s *v1alpha1.JwtProtectedServiceSpec) { s.JWT.Realm = "r" },
		},
		"spec.access: Kong has no acl plugin (KongGateway edge runs 3.9.3). Remove it, or add acl to Kong's plugins.": {
			capable("3.9.3", "jwt"), func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = &v1alpha1.Access{Groups: []string{"a"}} },
		},
		"spec.rateLimit: Kong has no rate-limiting plugin (KongGateway edge runs 3.9.3). Remove it, or add rate-limiting to Kong's plugins.": {
			capable("3.9.3", "jwt"), func(s *v1alpha1.JwtProtectedServiceSpec) { s.RateLimit = &v1alpha1.RateLimit{Minute: new(int32(1))} },
		},
		"spec.plugins[0].plugin: Kong has no cors plugin (KongGateway edge runs 3.9.3). Add it to Kong's plugins, or name another.": {
			capable("3.9.3", "jwt"), func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "c", Plugin: "cors"}}}
			},
		},
		"spec.claims: Kong has no post-function plugin (KongGateway edge runs 3.9.3). Add post-function to plugins in kong.conf, " +
			"where bundled has it, or remove spec.claims.": {
			capable("3.9.3", "jwt", "acl"), checking(v1alpha1.ClaimChecks{Issuers: []string{"i"}}),
		},
		"spec.claims: Kong runs no Lua of plugins (KongGateway edge has untrusted_lua = off). " +
			"Set untrusted_lua = sandbox in kong.conf and restart Kong, or remove spec.claims.": {
			kong.CapabilitiesOf(kong.Node{Version: "3.9.3", UntrustedLua: "off"}, kong.Schemas{}),
			checking(v1alpha1.ClaimChecks{Issuers: []string{"i"}}),
		},
		"spec.jwt: Kong has no jwt plugin (KongGateway edge runs 3.9.3). Add jwt to Kong's plugins.": {
			capable("3.9.3", "acl"), func(*v1alpha1.JwtProtectedServiceSpec) {},
		},
		"spec.upstream.tlsVerify: Kong refuses false while its tls_certificate_verify is on (KongGateway edge runs 3.14.0.1). " +
			"Set it to true, or remove it.": {
			kong.CapabilitiesOf(kong.Node{Version: "3.14.0.1", TLSCertificateVerify: true}, kong.Schemas{}),
			func(s *v1alpha1.JwtProtectedServiceSpec) { s.Upstream.TLSVerify = new(false) },
		},
	} {
		_, err := BuildService(testScope, testPolicy(), ServiceInput{Service: testService(tt.change), Kong: tt.kong})
		if got := messages(t, err); len(got) != 1 || got[0] != want {
			t.Errorf("want %s\ngot  %v", want, got)
		}
		if _, err := BuildService(testScope, testPolicy(), ServiceInput{Service: testService(tt.change)}); err != nil {
			t.Errorf("the newest Kong: %v", err)
		}
	}
}

// Before 3.6 Kong takes a header's expression that it cannot compile, and no route is there.
func TestHeadersThatKongDoesNotCheck(t *testing.T) {
	for version, want := range map[string]string{
		"3.4.2": "spec.routes[0].headers.x-version: no regular expression follows ~*, and Kong would leave the route out without a word " +
			"(KongGateway edge runs 3.4.2). Correct it.",
		"3.6.1": "", "": "",
	} {
		for value, want := range map[string]string{"~*[": want, "~*^v[12]$": "", "[": ""} {
			service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
				s.Routes = []v1alpha1.Route{{Name: "api", Headers: map[string]v1alpha1.HeaderValues{"x-a": {"1"}, "x-version": {"1", value}}}}
			})
			in := ServiceInput{Service: service, Kong: kong.Capabilities{Version: version}}
			if got := strings.Join(messages(t, in.Unsupported("edge")), "; "); got != want {
				t.Errorf("%s on %q: %q, want %q", value, version, got, want)
			}
		}
	}
}

// wholeService uses all fields that a default could stand in for, or none of them.
func wholeService(bare bool) ServiceInput {
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		if bare {
			s.Access = &v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace}
			return
		}
		s.Access = &v1alpha1.Access{Groups: []string{"team-a.readers"}}
		s.RateLimit = &v1alpha1.RateLimit{Minute: new(int32(5)), Policy: "redis", Redis: "shared"}
		s.Routes = append(s.Routes, v1alpha1.Route{Name: "grpc", Hosts: []string{"grpc.example.com"}, Protocols: []v1alpha1.Protocol{"grpcs"}},
			v1alpha1.Route{Name: "sni", Hosts: []string{"sni.example.com"}, SNIs: []string{"sni.example.com"}})
	})
	return ServiceInput{Service: service, RedisPassword: "hidden"}
}

// TestWhatIsWrittenIsWhatIsRead: on each version, what is sent and what Kong then shows are the same, so that nothing
// is written again. And a newer version in the same place, with other defaults, shows no difference either.
func TestWhatIsWrittenIsWhatIsRead(t *testing.T) {
	for _, version := range []string{"3.4.2", "3.6.1", "3.9.3", "3.14.0.1"} {
		for _, bare := range []bool{true, false} {
			server, err := kongsim.Start(kongsim.Options{Version: version})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			client, err := kong.New(kong.Config{URL: server.AdminURL()})
			if err != nil {
				t.Fatal(err)
			}
			node, err := client.Node(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			in := wholeService(bare)
			if in.Kong, err = client.Capabilities(t.Context(), node); err != nil {
				t.Fatal(err)
			}
			sets := []Set{buildService(t, in), BuildProbe(testScope, NewProbeRoute(testScope, []byte("seed")), !bare)}
			written := writeAll(t, client, sets)
			differsFrom(t, version, client, written)

			next, err := server.Replace("3.14.0.1", kongsim.Schemas{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = next.Close() })
			if version == "3.4.2" && !bare {
				continue // its flat Redis becomes the record: a write, once
			}
			differsFrom(t, version+", then 3.14", client, written)
		}
	}
}

func writeAll(t *testing.T, client *kong.Client, sets []Set) (written []kong.Entity) {
	t.Helper()
	for _, set := range sets {
		for _, kind := range []kong.Kind{kong.KindService, kong.KindRoute, kong.KindPlugin} {
			for _, e := range ofKind(set, kind) {
				if _, err := client.Put(t.Context(), e); err != nil {
					t.Fatalf("%s %s: %v", kind, e.Fields.Text("name"), err)
				}
				written = append(written, e)
			}
		}
	}
	return written
}

// differsFrom looks for entities that Kong shows otherwise, and for fields that it has and that the built ones leave
// to a default.
func differsFrom(t *testing.T, name string, client *kong.Client, written []kong.Entity) {
	t.Helper()
	schema := func(plugin string) (kong.Schema, bool) {
		s, err := client.PluginSchema(t.Context(), plugin)
		return s, err == nil
	}
	known := kong.Known{Plugins: schema}
	for _, e := range written {
		shown, err := client.Get(t.Context(), e.Kind, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		want, got := string(kong.Canonical(e, known)), string(kong.Canonical(shown, known))
		if want != got {
			t.Errorf("%s: %s %s\nsent  %s\nshown %s", name, e.Kind, e.Fields.Text("name"), want, got)
		}
	}
}

// TestDefaultsAreSent: where Kong's answer has a value that is not null, the request had it too.
func TestDefaultsAreSent(t *testing.T) {
	server, err := kongsim.Start(kongsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	client, err := kong.New(kong.Config{URL: server.AdminURL()})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range writeAll(t, client, []Set{buildService(t, wholeService(true))}) {
		shown, err := client.Get(t.Context(), e.Kind, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		left := leftToDefaults(e.Fields, shown.Fields)
		left = append(left, leftToDefaults(e.Fields.Object("config"), shown.Fields.Object("config"))...)
		if len(left) > 0 {
			t.Errorf("%s %s: %v", e.Kind, e.Fields.Text("name"), left)
		}
	}
}

func leftToDefaults(sent, shown map[string]any) (names []string) {
	for name, value := range shown {
		if _, is := sent[name]; !is && value != nil {
			names = append(names, name)
		}
	}
	return names
}

func TestAnotherVersionIsSaid(t *testing.T) {
	for _, c := range []struct {
		before, now, says string
		older             bool
	}{
		{"", "3.9.3", "", false},
		{"3.9.3", "3.9.3", "", false},
		{"3.9.2", "3.9.3", "Kong 3.9.3 answers, where 3.9.2 did", false},
		{"3.4.2", "3.10.0.1", "Kong 3.10.0.1 answers, where 3.4.2 did", false},
		{"3.9.3", "3.4.2", "Kong 3.4.2 answers, which is older than 3.9.3: what it does not take is refused from now on", true},
	} {
		if says, older := VersionChange(c.before, c.now); says != c.says || older != c.older {
			t.Errorf("%q to %q: %q, %v", c.before, c.now, says, older)
		}
	}
}
