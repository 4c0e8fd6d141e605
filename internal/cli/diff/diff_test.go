package diff_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	cli "github.com/kongjwt/kong-jwt-operator/internal/cli/diff"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

func objects() []client.Object {
	g := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "main"}}
	g.Spec.Policy.Identities, g.Spec.AllowedNamespaces.From = v1alpha1.IdentitiesNamespaced, v1alpha1.NamespacesAll
	g.Status.KongVersion = "3.4.2"
	closed := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "closed"}}
	selective := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "selective"}}
	selective.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kong": "yes"}}}
	dbless := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "dbless"}}
	dbless.Spec.AllowedNamespaces.From, dbless.Status.Mode = v1alpha1.NamespacesAll, v1alpha1.ModeDBLess
	holder := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "holder"}}
	holder.Spec.GatewayRef.Name, holder.Spec.Username = "main", "default.taken"
	stuck := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "stuck"}}
	stuck.Spec.GatewayRef.Name = "main"
	stuck.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonConflict}}
	loser := stuck.DeepCopy()
	loser.Name, loser.Spec.Username = "loser", "default.wanted"
	worker := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "worker"}}
	worker.Spec.GatewayRef.Name = "main"
	worker.Spec.Credentials = []v1alpha1.Credential{{Name: "made", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: "made"}}}
	c := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "john"}}
	c.Spec.GatewayRef.Name = "main"
	c.Spec.Credentials = []v1alpha1.Credential{{Name: "primary", Algorithm: "HS256", Key: "default.k", SecretRef: &v1alpha1.CredentialSecretReference{Name: "one"}}}
	s := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "orders"}}
	s.Spec.GatewayRef.Name = "main"
	s.Spec.Upstream = &v1alpha1.Upstream{URL: "http://orders.example.com"}
	s.Spec.Routes = []v1alpha1.Route{{Name: "api", Paths: []string{"/orders"}}}
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded}}
	c.Status.Conditions, s.Status.Conditions, holder.Status.Conditions, worker.Status.Conditions = ready, ready, ready, ready
	return []client.Object{
		g, closed, selective, dbless, c, s, holder, stuck, loser, worker,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{"kong": "no"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}, Data: map[string][]byte{"secret": []byte(material)}},
	}
}

const material = "a-secret-of-thirty-two-bytes-now"

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: one}\nstringData: {secret: " + material + "}\n"

const worker = `
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: worker}
spec: {gatewayRef: {name: main}, credentials: [{name: made, algorithm: HS256, generate: {secretName: made}}]}
`

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
		{"access names the consumer", service + "  access: {consumers: [{name: john}]}\n", []string{"PUT update plugin acl"}, "", ""},
		{"another path", strings.Replace(service, "[/orders]", "[/other]", 1), []string{"PUT update route default.orders.api"}, "", ""},
		{"a new service", strings.NewReplacer("name: orders}", "name: second}", "[/orders]", "[/second]").Replace(service), []string{"PUT create service default.second", "PUT create plugin acl", "PUT create plugin jwt", "PUT create route default.second.api"}, "", ""},
		{"what the policy forbids", consumer + "  groups: [others]\n", nil, "spec.groups[0]", ""},
		{"suspended", service + "  suspend: true\n  rateLimit: {minute: 5}\n", nil, "", "it is suspended"},
		{"what has nothing to do with Kong", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: one}\n", nil, "", ""},
		{"the same Secret", secret, nil, "", ""},
		{"another secret", strings.Replace(secret, "now", "new", 1), []string{"PUT update jwt credential default.k"}, "", ""},
		{"a Secret without what is asked for", strings.Replace(secret, "{secret", "{password", 1), nil, "JwtConsumer default/john: spec.credentials[0].secretRef: key secret of Secret one is missing", ""},
		{"a Secret that was not there", strings.Replace(consumer, "name: one", "name: new", 1) + "---\n" + strings.Replace(secret, "name: one", "name: new", 1), []string{"PUT update jwt credential default.k"}, "", ""},
		{"a key of others", strings.Replace(consumer, "default.k", "others.k", 1), nil, "spec.credentials[0].key", ""},
		{"other material", strings.Replace(worker, "secretName: made", "secretName: made, secretBytes: 64", 1), []string{"PUT create jwt credential (a new key of made)", "DELETE delete jwt credential default.worker.made"}, "", ""},
		{"a rotation", strings.Replace(worker, "{name: worker}", "{name: worker, annotations: {kongjwt.dev/rotate: now}}", 1), nil, "", "asks for a rotation"},
		{"what this Kong does not take", strings.Replace(worker, "HS256", "PS256", 1), nil, "spec.credentials[0].algorithm: PS256 needs Kong 3.7 (KongGateway main runs 3.4.2)", ""},
		{"a gateway that is not there", strings.Replace(consumer, "name: main", "name: none", 1), nil, "KongGateway none does not exist", ""},
		{"a gateway that is closed", strings.Replace(consumer, "name: main", "name: closed", 1), nil, "KongGateway closed takes no resources of namespace default", ""},
		{"a gateway for others", strings.Replace(consumer, "name: main", "name: selective", 1), nil, "KongGateway selective takes no resources of namespace default", ""},
		{"a gateway that opens", "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {kong: \"yes\"}}\n---" + strings.Replace(consumer, "name: main", "name: selective", 1),
			[]string{"DELETE delete jwt credential default.k", "DELETE delete consumer default.john", "PUT create consumer default.john", "PUT create jwt credential default.k"}, "", ""},
		{"a policy that forbids what is there", "apiVersion: kongjwt.dev/v1alpha1\nkind: KongGateway\nmetadata: {name: main}\nspec: {adminAPI: {url: \"http://k\"}, allowedNamespaces: {from: None}}\n", nil,
			"JwtConsumer default/john: KongGateway main takes no resources of namespace default", "its policy and who it admits is looked at, and not what else"},
		{"a resource that Kong does not hold as it says", strings.NewReplacer("name: john", "name: stuck", "default.k", "default.s").Replace(consumer), []string{"PUT create jwt credential default.s"}, "", "it is Stalled (Conflict)"},
		{"no database", strings.Replace(worker, "{name: main}", "{name: dbless}", 1),
			[]string{"DELETE delete jwt credential default.worker.made", "DELETE delete consumer default.worker", "POST /config create consumer default.worker", "POST /config create jwt credential default.worker.made"}, "", ""},
		{"a name that another holds", consumer + "  username: default.taken\n", nil, "username default.taken is held by JwtConsumer other/holder", ""},
		{"a name that a Stalled resource asks for", consumer + "  username: default.wanted\n",
			[]string{"PUT update consumer default.wanted"}, "", ""},
		{"a name that two ask for", strings.NewReplacer("name: john}", "name: b}", "default.k", "default.m").Replace(consumer) + "  username: default.both\n---" +
			strings.NewReplacer("name: john}", "name: a}", "default.k", "default.l").Replace(consumer) + "  username: default.both\n",
			[]string{"PUT create consumer default.both", "PUT create jwt credential default.m"}, "JwtConsumer default/a: username default.both is held by JwtConsumer default/b", ""},
		{"a name that is given on", consumer + "  username: default.other\n---" + strings.NewReplacer("name: john}", "name: next}", "default.k", "default.n").Replace(consumer) + "  username: default.john\n",
			[]string{"PUT update consumer default.other", "PUT create consumer default.john", "PUT create jwt credential default.n"}, "", ""},
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
				if strings.HasPrefix(r.Name, "kongjwt:") {
					continue // every consumer has two such groups
				}
				got = append(got, strings.Join([]string{r.Method, r.Change, r.Kind, r.Name}, " "))
			}
			if strings.Join(got, "; ") != strings.Join(tt.want, "; ") {
				t.Errorf("%q, want %q", got, tt.want)
			}
			for _, part := range []struct {
				got  []string
				want string
			}{{answer.Refused, tt.refused}, {answer.Unknown, tt.unknown}} {
				if text := strings.Join(part.got, "\n"); !strings.Contains(text, part.want) || part.want == "" && text != "" {
					t.Errorf("refused %q, unknown %q", answer.Refused, answer.Unknown)
				}
			}
			if strings.Contains(s.Out.String()+s.ErrOut.String(), material[:20]) {
				t.Errorf("it holds material:\n%s", s.Out)
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

// TestDiffWithFewRights: what may not be read is said to be unknown, and the rest is compared.
func TestDiffWithFewRights(t *testing.T) {
	forbidden := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no right"))
	}
	s := clitest.New(t, append(objects(), &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "second", Name: "john"}, Spec: v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: "main"}},
	})...)
	bounded := interceptor.NewClient(s.Client, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			var o client.ListOptions
			o.ApplyOptions(opts)
			if o.Namespace == "" {
				return forbidden("all") // gateways too: they are in no namespace
			}
			return c.List(ctx, list, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, secret := o.(*corev1.Secret); secret {
				return forbidden("secrets")
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	s.Env.NewClient = func() (client.WithWatch, error) { return bounded, nil }
	s.In.WriteString(strings.Replace(secret, "now", "new", 1) + "---" + strings.NewReplacer("{name: john}", "{name: john, namespace: second}", "default.k", "second.k").Replace(consumer) + "  username: someone\n")
	if err := s.Run(t, cli.Command, "-f", "-"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	for _, expected := range []string{
		"update   PUT       consumer someone", // it is there, in a namespace that the file names
		"create   PUT       jwt credential second.k",
		"unknown  you may not read KongGateways: what their policy forbids is not looked at",
		"unknown  you may not read the resources of all namespaces",
		"unknown  Secret default/one: you may not read it",
	} {
		if !strings.Contains(s.Out.String(), expected) {
			t.Errorf("%q is not in\n%s", expected, s.Out)
		}
	}
}

// TestDiffWhileTheOperatorWrites: its writes come in between, and the dry run is made again.
func TestDiffWhileTheOperatorWrites(t *testing.T) {
	s := clitest.New(t, objects()...)
	conflicts := 1
	busy := interceptor.NewClient(s.Client, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if conflicts--; conflicts >= 0 {
				return apierrors.NewConflict(schema.GroupResource{Resource: "jwtconsumers"}, o.GetName(), errors.New("it was changed"))
			}
			return c.Update(ctx, o, opts...)
		},
	})
	s.Env.NewClient = func() (client.WithWatch, error) { return busy, nil }
	s.In.WriteString(consumer)
	if err := s.Run(t, cli.Command, "-f", "-"); err != nil || s.Out.String() != "No request to Kong\n" {
		t.Errorf("%v, %s", err, s.Out)
	}
}

// TestDiffIsStrict: the API server is asked to refuse fields that there are not.
func TestDiffIsStrict(t *testing.T) {
	s := clitest.New(t, objects()...)
	asked := map[string]string{}
	recorded := interceptor.NewClient(s.Client, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			var all client.CreateOptions
			all.ApplyOptions(opts)
			asked["create"] = all.FieldValidation
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			var all client.UpdateOptions
			all.ApplyOptions(opts)
			asked["update"] = all.FieldValidation
			return c.Update(ctx, o, opts...)
		},
	})
	s.Env.NewClient = func() (client.WithWatch, error) { return recorded, nil }
	s.In.WriteString(consumer + "---" + strings.NewReplacer("name: john", "name: fresh", "default.k", "default.f").Replace(consumer))
	if err := s.Run(t, cli.Command, "-f", "-"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	if asked["create"] != "Strict" || asked["update"] != "Strict" {
		t.Errorf("it was asked for %v", asked)
	}
}
