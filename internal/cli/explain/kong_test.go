package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/claims"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	cli "github.com/kongjwt/kong-jwt-operator/internal/cli/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

func id(name string) string { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String() }

func kongAt(t *testing.T, url string) *kong.Client {
	t.Helper()
	api, err := kong.New(kong.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.CloseIdle)
	return api
}

// likeAnID is a key that the Admin API takes for an id, and the jwt plugin for a key.
const likeAnID = "40af65f4-2a40-4ab2-bb9d-bf1ee39ecab3"

// kongWith starts a Kong that holds the service orders, its route and plugins, and the credentials default.leaked and
// likeAnID.
func kongWith(t *testing.T) (url string, remove func()) {
	t.Helper()
	server, err := kongsim.Start(kongsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	api := kongAt(t, server.AdminURL())
	ref := func(name string) map[string]any { return map[string]any{"id": id(name)} }
	consumer, credential := id("consumer"), id("credential")
	for _, e := range []kong.Entity{
		{Kind: kong.KindService, ID: id("service"), Fields: kong.Fields{"name": "default.orders", "host": "orders.example.com"}},
		{Kind: kong.KindRoute, ID: id("route"), Fields: kong.Fields{
			"name": "orders-api", "paths": []string{"/orders"}, "service": ref("service"),
		}},
		{Kind: kong.KindPlugin, ID: id("global"), Fields: kong.Fields{"name": "jwt", "config": map[string]any{"key_claim_name": "iss"}}},
		{Kind: kong.KindPlugin, ID: id("jwt"), Fields: kong.Fields{
			"name": "jwt", "service": ref("service"), "config": map[string]any{"key_claim_name": "kid", "claims_to_verify": []string{"exp"}},
		}},
		{Kind: kong.KindPlugin, ID: id("acl"), Fields: kong.Fields{
			"name": "acl", "service": ref("service"), "config": map[string]any{"allow": []string{"buyers"}},
		}},
		{Kind: kong.KindService, ID: id("claimed"), Fields: kong.Fields{"name": "default.claimed", "host": "orders.example.com"}},
		{Kind: kong.KindPlugin, ID: id("jwt of claimed"), Fields: kong.Fields{
			"name": "jwt", "service": ref("claimed"), "config": map[string]any{"key_claim_name": "kid", "claims_to_verify": []string{"exp"}},
		}},
		{Kind: kong.KindPlugin, ID: id("claims"), Fields: kong.Fields{
			"name": "post-function", "service": ref("claimed"), "config": map[string]any{"access": []string{programOf(t, "claimed")}},
		}},
		{Kind: kong.KindService, ID: id("other program"), Fields: kong.Fields{"name": "default.closed", "host": "orders.example.com"}},
		{Kind: kong.KindPlugin, ID: id("somebody's"), Fields: kong.Fields{
			"name": "post-function", "service": ref("other program"), "config": map[string]any{"access": []string{"return 1"}},
		}},
		{Kind: kong.KindConsumer, ID: consumer, Fields: kong.Fields{"username": "leaked-in-kong"}},
		{Kind: kong.KindACL, ID: id("acl row"), ConsumerID: consumer, Fields: kong.Fields{"group": "buyers"}},
		{Kind: kong.KindJWT, ID: credential, ConsumerID: consumer, Fields: kong.Fields{
			"key": "default.leaked", "secret": material, "algorithm": "HS256",
		}},
		{Kind: kong.KindJWT, ID: id("like an id"), ConsumerID: consumer, Fields: kong.Fields{
			"key": likeAnID, "secret": material, "algorithm": "HS256",
		}},
	} {
		if _, err := api.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return server.AdminURL(), func() {
		if err := api.Delete(t.Context(), kong.KindJWT, consumer, credential); err != nil {
			t.Fatal(err)
		}
	}
}

// programOf is what Kong runs to check the claims of one of the objects.
func programOf(t *testing.T, name string) string {
	t.Helper()
	for _, o := range objects() {
		if service, ok := o.(*v1alpha1.JwtProtectedService); ok && service.Name == name {
			rules, err := claims.Of(*service.Spec.Claims, service.Spec.JWT)
			if err != nil {
				t.Fatal(err)
			}
			return rules.Program()
		}
	}
	t.Fatalf("there is no service %s", name)
	return ""
}

// older makes Kong run a program for claims that another version of the operator wrote.
func older(t *testing.T, url string) {
	t.Helper()
	if _, err := kongAt(t, url).Put(t.Context(), kong.Entity{Kind: kong.KindPlugin, ID: id("claims"), Fields: kong.Fields{
		"name": "post-function", "service": map[string]any{"id": id("claimed")},
		"config": map[string]any{"access": []string{"-- older\n" + programOf(t, "claimed")}},
	}}); err != nil {
		t.Fatal(err)
	}
}

// TestKongItself: what Kong holds is the answer, whatever the resources say.
func TestKongItself(t *testing.T) {
	url, remove := kongWith(t)
	ask := func(key string, args ...string) (string, error) {
		s := clitest.New(t, objects()...)
		s.In.WriteString(sign(t, material, key, at(time.Hour)))
		err := s.Run(t, cli.Command, append(args, "--kong", url)...)
		return s.Out.String(), err
	}
	check := func(out, want string) {
		t.Helper()
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	for _, args := range [][]string{{"--service", "orders"}, {"--url", "http://kong.example.com/orders/7"}} {
		out, err := ask("default.leaked", args...)
		if err != nil {
			t.Fatal(err)
		}
		check(out, "ACCEPTED  as the consumer leaked-in-kong")
		check(out, "leaked-in-kong is in buyers, which may call")
	}
	out, err := ask(likeAnID, "--service", "orders")
	if err != nil {
		t.Error(err)
	}
	check(out, "ACCEPTED  as the consumer leaked-in-kong")
	out, err = ask("default.leaked", "--service", "claimed")
	if err == nil {
		t.Error("a token without the claims is accepted")
	}
	check(out, `REFUSED  Kong answers 401 {"message":"Unauthorized"}`)
	older(t, url)
	if out, err = ask("default.leaked", "--service", "claimed"); err == nil {
		t.Error("a token that another program judges is accepted")
	}
	check(out, "UNKNOWN")
	check(out, "Kong runs another program than the one that is made of spec.claims here")
	out, _ = ask("default.leaked", "--service", "closed")
	check(out, "post-function")
	out, _ = ask("default.leaked", "--url", "http://kong.example.com/elsewhere")
	check(out, `REFUSED  Kong answers 404 {"message":"no Route matched with those values"}`)
	out, _ = ask("default.leaked", "--service", "stuck")
	check(out, "UNKNOWN  for route: Kong has nothing of JwtProtectedService stuck")

	remove()
	out, _ = ask("default.leaked", "--service", "orders")
	check(out, `REFUSED  Kong answers 401 {"message":"No credentials found for given 'kid'"}`)
	check(out, `none has the key "default.leaked" in Kong`)

	s := clitest.New(t, objects()...)
	s.In.WriteString(sign(t, material, "default.leaked", at(time.Hour)))
	err = s.Run(t, cli.Command, "--service", "orders", "--kong", "http://127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "--kong: ") || s.Out.Len() > 0 {
		t.Errorf("a Kong that is away: %v, printed %s", err, s.Out)
	}
}

// TestLiveAfterARevocation: data planes that hold the credential still are believed, and those that cannot be asked
// leave the answer open.
func TestLiveAfterARevocation(t *testing.T) {
	revoked := func(url string) *clitest.Session {
		objects := shop(url)
		for _, o := range objects {
			if c, ok := o.(*v1alpha1.JwtConsumer); ok {
				c.Spec.Revoked, c.Generation, c.Status.ObservedGeneration = true, 2, 1
			}
			if service, ok := o.(*v1alpha1.JwtProtectedService); ok {
				service.Spec.Access = &v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace}
			}
		}
		s := clitest.New(t, objects...)
		s.In.WriteString(sign(t, material, "shop.worker", at(time.Hour)))
		return s
	}
	for name, c := range map[string]struct {
		url  string
		want string
	}{
		"they hold it":           {dataPlane(t, material).URL, "ACCEPTED  as the consumer shop.worker"},
		"they cannot be asked":   {"http://127.0.0.1:1", "UNKNOWN  for credential: "},
		"they hold another then": {dataPlane(t, "another-secret-of-thirty-two-byt").URL, "REFUSED  for data planes: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := revoked(c.url)
			err := s.Run(t, cli.Command, "--service", "shop/orders", "--live")
			if !strings.HasPrefix(s.Out.String(), c.want) || (err == nil) != strings.HasPrefix(c.want, "ACCEPTED") {
				t.Errorf("want %s, printed\n%s\n%v", c.want, s.Out, err)
			}
		})
	}
	s := clitest.New(t, shop("http://127.0.0.1:1")...)
	s.In.WriteString(sign(t, material, "shop.worker", at(time.Hour)))
	if err := s.Run(t, cli.Command, "--service", "shop/orders", "--live"); err == nil || !strings.HasPrefix(s.Out.String(), "UNKNOWN") {
		t.Errorf("nobody could be asked: %v\n%s", err, s.Out)
	}
}
