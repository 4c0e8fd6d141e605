package explain_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	cli "github.com/kongjwt/kong-jwt-operator/internal/cli/explain"
)

const material = "a-secret-of-thirty-two-bytes-now"

var ready = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Programmed", LastTransitionTime: metav1.NewTime(clitest.Now)}}

func service(namespace, name string, change func(*v1alpha1.JwtProtectedService)) *v1alpha1.JwtProtectedService {
	s := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	s.Spec.GatewayRef.Name = "kong"
	s.Spec.Routes = []v1alpha1.Route{{Name: "api", Hosts: []string{"kong.example.com"}, Paths: []string{"/" + name}}}
	s.Spec.JWT = v1alpha1.JWTPlugin{KeyClaimName: "kid", ClaimsToVerify: []v1alpha1.TimeClaim{"exp"}}
	s.Status.Conditions = ready
	if change != nil {
		change(s)
	}
	return s
}

func consumer(name string, change func(*v1alpha1.JwtConsumer)) *v1alpha1.JwtConsumer {
	c := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	c.Spec.GatewayRef.Name = "kong"
	c.Spec.Credentials = []v1alpha1.Credential{{Name: "primary", Algorithm: "HS256", Key: "default." + name, SecretRef: &v1alpha1.CredentialSecretReference{Name: name}}}
	c.Status.Conditions, c.Status.ConsumerID = ready, "an-id"
	c.Status.Credentials = []v1alpha1.CredentialStatus{{Name: "primary", Key: "default." + name, Algorithm: "HS256", State: v1alpha1.CredentialActive}}
	if change != nil {
		change(c)
	}
	return c
}

func objects() []client.Object {
	secret := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string][]byte{"secret": []byte(material)}}
	}
	return []client.Object{
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "kong"}, Status: v1alpha1.KongGatewayStatus{Conditions: ready}},
		service("default", "orders", nil),
		service("default", "closed", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "john"}}}
		}),
		service("default", "stuck", func(s *v1alpha1.JwtProtectedService) {
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "Conflict", Message: "somebody holds its name"}}
		}),
		service("default", "slow", func(s *v1alpha1.JwtProtectedService) {
			minute := int32(5)
			s.Spec.RateLimit = &v1alpha1.RateLimit{Minute: &minute}
		}),
		service("default", "claimed", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Claims = &v1alpha1.ClaimChecks{
				Issuers: []string{"https://login/"}, Audiences: []string{"orders", "invoices"},
				Required: []v1alpha1.RequiredClaim{{Claim: "realm.roles", Contains: "clerk"}},
				Headers:  []v1alpha1.ClaimHeader{{Claim: "sub", Header: "X-Token-Subject"}},
			}
		}),
		consumer("john", nil), consumer("jane", nil),
		service("default", "closing", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Access = &v1alpha1.Access{Groups: []string{"admins"}}
			s.Generation, s.Status.ObservedGeneration = 2, 1
		}),
		// Nobody has served it: somebody else's route holds its path.
		service("default", "loser", func(s *v1alpha1.JwtProtectedService) {
			s.Spec.Routes[0].Paths = []string{"/orders"}
			s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "Conflict"}}
		}),
		consumer("leaked", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Revoked, c.Generation, c.Status.ObservedGeneration = true, 2, 1
		}),
		consumer("renamed", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].Key, c.Generation, c.Status.ObservedGeneration = "default.other", 2, 1
		}),
		consumer("other-alg", func(c *v1alpha1.JwtConsumer) {
			c.Spec.Credentials[0].Algorithm, c.Generation, c.Status.ObservedGeneration = "HS512", 2, 1
		}),
		consumer("former", func(c *v1alpha1.JwtConsumer) { c.Spec.Revoked = true }),
		secret("john"), secret("jane"), secret("former"), secret("leaked"), secret("renamed"), secret("other-alg"),
	}
}

func sign(t *testing.T, secret, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = kid
	text, err := token.SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func at(d time.Duration) jwt.MapClaims { return jwt.MapClaims{"exp": clitest.Now.Add(d).Unix()} }

// TestExplain: what is printed for people, and the exit code.
func TestExplain(t *testing.T) {
	valid := sign(t, material, "default.john", at(time.Hour))
	claimed := func(changes jwt.MapClaims) string {
		claims := at(time.Hour)
		maps.Copy(claims, jwt.MapClaims{
			"iss": "https://login/", "aud": "orders", "sub": "me", "realm": map[string]any{"roles": []string{"clerk"}},
		})
		maps.Copy(claims, changes)
		return sign(t, material, "default.john", claims)
	}
	tests := []struct {
		name  string
		token string
		args  []string
		want  []string // parts of the answer
		err   error
	}{
		{"accepted", valid, []string{"--service", "orders"}, []string{"ACCEPTED  as the consumer default.john", "expires in 1 hour", "credential primary of JwtConsumer default/john, from Secret john"}, nil},
		{"expired", sign(t, material, "default.john", at(-3*time.Minute)), []string{"--service", "default/orders"}, []string{`REFUSED  Kong answers 401 {"exp":"token expired"}`, "expired 3 minutes ago", "Fetch a fresh token"}, env.ErrNegative},
		{"all claims are right", claimed(nil), []string{"--service", "claimed"}, []string{
			"ACCEPTED", `iss is "https://login/": it is "https://login/"`, `the upstream gets X-Token-Subject: "me"`,
		}, nil},
		{"another audience", claimed(jwt.MapClaims{"aud": []string{"x"}}), []string{"--service", "claimed"}, []string{
			`REFUSED  Kong answers 401 {"message":"Unauthorized"}`, `aud is ["x"], and has to be one of orders, invoices`,
			"spec.claims.audiences",
		}, env.ErrNegative},
		{"a role is missing", claimed(jwt.MapClaims{"realm": nil}), []string{"--service", "claimed"}, []string{
			`REFUSED  Kong answers 403 {"message":"Forbidden"}`, "realm.roles is missing", "claims.required[0]",
		}, env.ErrNegative},
		{"a header of two lines", claimed(jwt.MapClaims{"sub": "a\nb"}), []string{"--service", "claimed"}, []string{
			"REFUSED", "leave out line breaks",
		}, env.ErrNegative},
		{"expired and for others", claimed(jwt.MapClaims{"exp": 1, "aud": "x"}), []string{"--service", "claimed"}, []string{
			`REFUSED  Kong answers 401 {"exp":"token expired"}`, `aud is "x", and has to be one of orders, invoices`,
		}, env.ErrNegative},
		{"another secret", sign(t, "another-secret-of-thirty-two-byt", "default.john", at(time.Hour)), []string{"--service", "orders"}, []string{`401 {"message":"Invalid signature"}`}, env.ErrNegative},
		{"unknown key", sign(t, material, "nobody", at(time.Hour)), []string{"--service", "orders"}, []string{`No credentials found for given 'kid'`, "among the JwtConsumers of gateway kong"}, env.ErrNegative},
		{"revoked", sign(t, material, "default.former", at(time.Hour)), []string{"--service", "orders"}, []string{`No credentials found for given 'kid'`, "JwtConsumer default/former, from Secret former has the key, and spec.revoked is set"}, env.ErrNegative},
		{"found by its URL", valid, []string{"--url", "https://kong.example.com/orders/7"}, []string{"ACCEPTED", "route api of JwtProtectedService default/orders"}, nil},
		{"no route", valid, []string{"--url", "https://elsewhere.example.com/orders"}, []string{"UNKNOWN  for route: ", "by its path alone it would be api of JwtProtectedService default/orders"}, env.ErrNegative},
		{"in the group", valid, []string{"--service", "closed"}, []string{"ACCEPTED", "kongjwt:default.john, which may call"}, nil},
		{"not in the group", sign(t, material, "default.jane", at(time.Hour)), []string{"--service", "closed"}, []string{`403 {"message":"You cannot consume this service"}`, "spec.access.consumers"}, env.ErrNegative},
		{"a service that is stuck", valid, []string{"--service", "stuck"}, []string{"UNKNOWN  for JwtProtectedService default/stuck: Stalled (Conflict): somebody holds its name", "FAILED   JwtProtectedService default/stuck"}, env.ErrNegative},
		{"a limit", valid, []string{"--service", "slow"}, []string{"5 a minute for each consumer"}, nil},
		{"revoked, and the operator is down", sign(t, material, "default.leaked", at(time.Hour)), []string{"--service", "orders"},
			[]string{"UNKNOWN  for credential: ", "and spec.revoked is set; the operator has not acted on JwtConsumer default/leaked as it is " +
				"now: Kong may still accept it", "--kong"}, env.ErrNegative},
		{"revoked, not acted on, and expired", sign(t, material, "default.leaked", at(-time.Hour)), []string{"--service", "orders"},
			[]string{`REFUSED  Kong answers 401 {"exp":"token expired"}`}, env.ErrNegative},
		{"a key that Kong still has", sign(t, material, "default.renamed", at(time.Hour)), []string{"--service", "orders"},
			[]string{"UNKNOWN", "JwtConsumer default/renamed"}, env.ErrNegative},
		{"an algorithm that Kong may not have yet", sign(t, material, "default.other-alg", at(time.Hour)),
			[]string{"--service", "orders"}, []string{"UNKNOWN  for algorithm: ", "Kong may still accept it"}, env.ErrNegative},
		{"access that Kong may not have yet", valid, []string{"--service", "closing"},
			[]string{"UNKNOWN", "only admins may call; the operator has not acted on JwtProtectedService default/closing"}, env.ErrNegative},
		{"a route that Kong does not have", valid, []string{"--url", "https://kong.example.com/stuck"},
			[]string{"UNKNOWN", "which Kong does not have: JwtProtectedService default/stuck is not Ready (Conflict)"}, env.ErrNegative},
		{"exp in milliseconds", sign(t, material, "default.john", jwt.MapClaims{"exp": clitest.Now.Add(time.Hour).UnixMilli()}),
			[]string{"--service", "orders"}, []string{"ACCEPTED", "exp is in milliseconds (2026-11-24T13:00:00Z)"}, nil},
		{"a line break behind the secret", sign(t, material+"\n", "default.john", at(time.Hour)), []string{"--service", "orders"},
			[]string{"REFUSED", "signed with the credential's secret and a line break behind it"}, env.ErrNegative},
		{"base64 of the secret", sign(t, base64.StdEncoding.EncodeToString([]byte(material)), "default.john", at(time.Hour)),
			[]string{"--service", "orders"}, []string{"REFUSED", "base64 text of the credential's secret", "base64 -d"}, env.ErrNegative},
		{"a key in other case", sign(t, material, "Default.John", at(time.Hour)), []string{"--service", "orders"},
			[]string{"REFUSED", `there is one with the key "default.john"`, "capitals and spaces count"}, env.ErrNegative},
		{"garbage", "garbage", []string{"--service", "orders"}, []string{`Bad token; invalid JSON`}, env.ErrNegative},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := clitest.New(t, objects()...)
			s.In.WriteString(tt.token)
			if err := s.Run(t, cli.Command, tt.args...); !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Fatalf("ended with %v", err)
			}
			out := s.Out.String()
			for _, part := range tt.want {
				if !strings.Contains(out, part) {
					t.Errorf("%q is not in:\n%s", part, out)
				}
			}
			if parts := strings.Split(tt.token, "."); len(parts) == 3 && strings.Contains(out, parts[2]) {
				t.Error("the signature is shown")
			}
			if strings.Contains(out, material) {
				t.Error("the secret is shown")
			}
		})
	}
}

// TestExplainKnowsTheVersion: checks and answers are those of the gateway's Kong, or of the version that is named.
func TestExplainKnowsTheVersion(t *testing.T) {
	// {"x":">>>>"} with a + in it.
	const standardBase64 = "eyJhbGciOiJIUzI1NiIsImtpZCI6Im5vYm9keSIsIngiOiI+Pj4+In0.e30.c2ln"
	expired := sign(t, material, "default.john", at(-time.Hour))
	for _, c := range []struct{ what, token, gateway, flag, want string }{
		{"a challenge since 3.8", expired, "3.9.3", "", "\"challenge\": \"Bearer"},
		{"none in 3.4", expired, "3.4.2", "", ""},
		{"the flag goes before the gateway", expired, "3.9.3", "3.4", ""},
		{"the alphabet of before 3.7", standardBase64, "3.4.2", "", "No credentials found"},
		{"no dots, where some fail", "garbage", "3.12.0.1", "", "answer 500 to one without dots"},
		{"refused since", standardBase64, "3.7.0", "", "Bad token"},
	} {
		t.Run(c.what, func(t *testing.T) {
			all := objects()
			all[0].(*v1alpha1.KongGateway).Status.KongVersion = c.gateway
			s := clitest.New(t, all...)
			s.In.WriteString(c.token)
			err := s.Run(t, cli.Command, "--service", "orders", "--kong-version", c.flag, "-o", "json")
			if !errors.Is(err, env.ErrNegative) {
				t.Fatalf("%v", err)
			}
			if out := s.Out.String(); c.want == "" && strings.Contains(out, "challenge") || !strings.Contains(out, c.want) {
				t.Errorf("want %q:\n%s", c.want, out)
			}
		})
	}
}

// TestExplainWithFewRights: what may not be read is unknown; the rest is checked.
func TestExplainWithFewRights(t *testing.T) {
	forbid := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no right"))
	}
	noSecrets := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if _, isSecret := o.(*corev1.Secret); isSecret {
			return forbid("secrets")
		}
		return c.Get(ctx, key, o, opts...)
	}}
	oneNamespace := interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		var o client.ListOptions
		o.ApplyOptions(opts)
		if _, gateways := list.(*v1alpha1.KongGatewayList); !gateways && o.Namespace == "" {
			return forbid("jwtconsumers")
		}
		return c.List(ctx, list, opts...)
	}}
	tests := []struct {
		name  string
		funcs interceptor.Funcs
		token string
		want  []string
	}{
		{"no Secret", noSecrets, sign(t, material, "default.john", at(time.Hour)), []string{"UNKNOWN", "you may not read Secret default/"}},
		{"no Secret, and expired", noSecrets, sign(t, material, "default.john", at(-time.Hour)), []string{"REFUSED", "token expired", "you may not read Secret default/"}},
		{"one namespace", oneNamespace, sign(t, material, "elsewhere.jack", at(time.Hour)), []string{"UNKNOWN", "none that you may see has the key", "You may read JwtConsumers of default alone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := clitest.New(t, objects()...)
			bounded := interceptor.NewClient(s.Client, tt.funcs)
			s.Env.NewClient = func() (client.WithWatch, error) { return bounded, nil }
			s.In.WriteString(tt.token)
			if err := s.Run(t, cli.Command, "--service", "orders"); !errors.Is(err, env.ErrNegative) {
				t.Fatalf("ended with %v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(s.Out.String(), part) {
					t.Errorf("%q is not in:\n%s", part, s.Out)
				}
			}
		})
	}
}

// TestExplainAsks: where the service is not clear, the candidates are named.
func TestExplainAsks(t *testing.T) {
	twin := service("default", "twin", func(s *v1alpha1.JwtProtectedService) {
		s.Spec.GatewayRef.Name, s.Spec.Routes = "other", []v1alpha1.Route{{Name: "api", Paths: []string{"/orders"}}}
	})
	for args, want := range map[string]string{
		"":                                      "several JwtProtectedServices: claimed, closed, closing, loser, orders, slow, stuck, twin",
		"--url https://kong.example.com/orders": "default/orders (gateway kong), default/twin (gateway other)",
		"--url ftp://x":                         "write it like https://",
		"--service a/b/c":                       "write it [NAMESPACE/]NAME",
		"--service nothing":                     "there is no JwtProtectedService default/nothing",
		"--service orders --header no-colon-here": "write it like",
	} {
		s := clitest.New(t, append(objects(), twin)...)
		s.In.WriteString("token")
		err := s.Run(t, cli.Command, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestExplainJSON: the answer for machines, with the signature where it is asked for.
func TestExplainJSON(t *testing.T) {
	s := clitest.New(t, objects()...)
	token := sign(t, material, "default.john", at(-time.Hour))
	s.In.WriteString(token)
	if err := s.Run(t, cli.Command, "--service", "orders", "-o", "json", "--show-signature"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	var answer struct {
		Kind, Verdict, Service, Gateway string
		Answer                          struct {
			Status int
			Body   map[string]string
		}
		Token struct{ Signature string }
	}
	if err := json.Unmarshal(s.Out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Kind != "TokenExplanation" || answer.Verdict != "refused" || answer.Answer.Status != 401 || answer.Answer.Body["exp"] != "token expired" ||
		answer.Service != "default/orders" || answer.Gateway != "kong" || answer.Token.Signature != strings.Split(token, ".")[2] {
		t.Errorf("%+v\n%s", answer, s.Out)
	}
}
