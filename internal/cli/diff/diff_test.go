package diff_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	cli "github.com/kongjwt/kong-jwt-operator/internal/cli/diff"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

func objects() []client.Object {
	g := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "main"}}
	g.Spec.Policy.Identities = v1alpha1.IdentitiesNamespaced
	c := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "john"}}
	c.Spec.GatewayRef.Name = "main"
	c.Spec.Credentials = []v1alpha1.Credential{{Name: "primary", Algorithm: "HS256", Key: "default.k", SecretRef: &v1alpha1.CredentialSecretReference{Name: "one"}}}
	s := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orders"}}
	s.Spec.GatewayRef.Name = "main"
	s.Spec.Upstream = &v1alpha1.Upstream{URL: "http://orders.example.com"}
	s.Spec.Routes = []v1alpha1.Route{{Name: "api", Paths: []string{"/orders"}}}
	return []client.Object{g, c, s}
}

const consumer = `
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: john}
spec:
  gatewayRef: {name: main}
  credentials: [{name: primary, algorithm: HS256, key: default.k, secretRef: {name: one}}]
`

const service = `
apiVersion: kongjwt.dev/v1alpha1
kind: JwtProtectedService
metadata: {name: orders}
spec:
  gatewayRef: {name: main}
  upstream: {url: "http://orders.example.com"}
  routes: [{name: api, paths: [/orders]}]
`

// TestDiff: what an apply would cause, and nothing where it would cause nothing.
func TestDiff(t *testing.T) {
	tests := []struct {
		name, manifests string
		want            []string // "METHOD change kind name", in order
		refused         string
		unknown         string
	}{
		{"nothing", consumer + "---" + service, nil, "", ""},
		{"a group", consumer + "  groups: [default.a]\n", []string{"PUT create acl group default.a"}, "", ""},
		{"another Secret", strings.Replace(consumer, "name: one", "name: two", 1), []string{"PUT update jwt credential default.k"}, "", ""},
		{"nothing of a field that is left out", strings.Replace(service, "  routes: [{name: api, paths: [/orders]}]\n", "", 1), []string{"DELETE delete route default.orders.api"}, "", ""},
		{"revoked", consumer + "  revoked: true\n", []string{"DELETE delete jwt credential default.k"}, "", ""},
		{"access names the consumer, which gets its group first", service + "  access: {consumers: [{name: john}]}\n", []string{"PUT create plugin acl", "PUT create acl group kongjwt:default.orders"}, "", ""},
		{"another path", strings.Replace(service, "[/orders]", "[/other]", 1), []string{"PUT update route default.orders.api"}, "", ""},
		{"a new service", strings.Replace(service, "name: orders}", "name: second}", 1), []string{"PUT create service default.second", "PUT create plugin jwt", "PUT create route default.second.api"}, "", ""},
		{"what the policy forbids", consumer + "  groups: [others]\n", nil, "spec.groups[0]", ""},
		{"suspended", service + "  suspend: true\n  rateLimit: {minute: 5}\n", nil, "", "it is suspended"},
		{"something else", "apiVersion: v1\nkind: Secret\nmetadata: {name: one}\n", nil, "", "Secret default/one: what it changes in Kong is not looked at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := clitest.New(t, objects()...)
			s.In.WriteString(tt.manifests)
			err := s.Run(t, cli.Command, "-f", "-", "-o", "json")
			differs := len(tt.want) > 0 || tt.refused != ""
			if errors.Is(err, env.ErrNegative) != differs || !differs && err != nil {
				t.Fatalf("ended with %v: %s", err, s.Out)
			}
			var answer struct {
				Requests []struct{ Method, Change, Kind, Name string }
				Refused  []string
				Unknown  []string
			}
			if err := json.Unmarshal(s.Out.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range answer.Requests {
				got = append(got, strings.Join([]string{r.Method, r.Change, r.Kind, r.Name}, " "))
			}
			if strings.Join(got, "; ") != strings.Join(tt.want, "; ") {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if !strings.Contains(strings.Join(answer.Refused, "\n"), tt.refused) || !strings.Contains(strings.Join(answer.Unknown, "\n"), tt.unknown) {
				t.Errorf("refused %q, unknown %q", answer.Refused, answer.Unknown)
			}
		})
	}
}

// TestDiffChangesNothing: what is asked of the API server is a dry run.
func TestDiffChangesNothing(t *testing.T) {
	s := clitest.New(t, objects()...)
	s.In.WriteString(consumer + "  groups: [default.a]\n")
	if err := s.Run(t, cli.Command, "-f", "-"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	if !strings.Contains(s.Out.String(), "create   PUT       acl group default.a") {
		t.Errorf("printed:\n%s", s.Out)
	}
	var stored v1alpha1.JwtConsumer
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "john"}, &stored); err != nil || len(stored.Spec.Groups) > 0 {
		t.Errorf("stored: %+v, %v", stored.Spec, err)
	}
}
