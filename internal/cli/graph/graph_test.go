package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/graph"
)

func consumer(namespace, name string, groups ...string) *v1alpha1.JwtConsumer {
	return &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: "default"}, Groups: groups},
	}
}

func service(name string, access *v1alpha1.Access, paths ...string) *v1alpha1.JwtProtectedService {
	return &v1alpha1.JwtProtectedService{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: v1alpha1.JwtProtectedServiceSpec{
			GatewayRef: v1alpha1.GatewayReference{Name: "default"}, Access: access,
			Routes: []v1alpha1.Route{{Name: "r", Paths: paths, Methods: []string{"GET"}, Hosts: []string{"api.example.com"}}},
		},
	}
}

func objects() []client.Object {
	revoked := consumer("default", "mobile", "readers")
	revoked.Spec.Revoked = true
	elsewhere := consumer("default", "far", "readers")
	elsewhere.Spec.GatewayRef.Name = "other"
	attached := service("attached", &v1alpha1.Access{Groups: []string{"nobody-is-in"}})
	attached.Spec.Routes, attached.Spec.AttachTo = nil, &v1alpha1.AttachTo{ServiceName: "theirs"}
	attached.Spec.JWT.Anonymous = "guest"
	return []client.Object{
		consumer("default", "john", "readers", "admins"), revoked, elsewhere, consumer("default", "idle"), consumer("team-b", "mary"),
		service("orders", &v1alpha1.Access{Groups: []string{"readers"}, Consumers: []v1alpha1.ConsumerReference{{Namespace: "team-b", Name: "mary"}}}, "/orders"),
		service("selected", &v1alpha1.Access{ConsumerSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "john"}}}, "/selected"),
		attached,
	}
}

func run(t *testing.T, objects []client.Object, args ...string) string {
	t.Helper()
	s := clitest.New(t, objects...)
	if err := s.Run(t, graph.Command, args...); err != nil {
		t.Fatal(err)
	}
	return s.Out.String()
}

const inWords = `gateway default
  service default/attached
    at    service theirs in Kong
    from  group nobody-is-in: nobody
    from  no token, as guest
  service default/orders
    at    GET api.example.com/orders
    from  group readers: default/john, default/mobile (revoked)
    from  consumer team-b/mary
  service default/selected
    at    GET api.example.com/selected
    from  consumer default/john
  may call nothing: default/idle
gateway other
  may call nothing: default/far
`

func TestInWords(t *testing.T) {
	for _, args := range [][]string{{"-A"}, {"-A", "-o", "text"}} {
		if text := run(t, objects(), args...); text != inWords {
			t.Errorf("%v:\n%s", args, text)
		}
	}
	if text := run(t, nil); !strings.Contains(text, "no services") {
		t.Errorf("%q", text)
	}
}

func TestOpenServices(t *testing.T) {
	text := run(t, append(objects(), service("open", nil, "/open")), "-A")
	if !strings.Contains(text, "from  every consumer of the gateway (4)") || strings.Contains(text, "default/idle") {
		t.Errorf("\n%s", text)
	}
}

func TestOneOfThem(t *testing.T) {
	all := append(objects(), service("open", nil, "/open"))
	for name, c := range map[string]struct {
		args       []string
		has, lacks []string
	}{
		"a consumer": {[]string{"--consumer", "john"}, []string{"orders", "selected", "open", "default/john"}, []string{"mobile", "mary", "attached"}},
		"a service":  {[]string{"--service", "default/orders"}, []string{"orders", "john", "mobile", "mary", "/orders"}, []string{"selected", "open", "attached", "idle"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := run(t, all, append(c.args, "-A", "-o", "json")...)
			var g struct{ Nodes []struct{ Label string } }
			if err := json.Unmarshal([]byte(text), &g); err != nil {
				t.Fatal(err)
			}
			labels := fmt.Sprint(g.Nodes)
			for _, expected := range c.has {
				if !strings.Contains(labels, expected) {
					t.Errorf("%s is not in %s", expected, labels)
				}
			}
			for _, unexpected := range c.lacks {
				if strings.Contains(labels, unexpected) {
					t.Errorf("%s is in %s", unexpected, labels)
				}
			}
		})
	}
	s := clitest.New(t, all...)
	if err := s.Run(t, graph.Command, "--service", "none"); err == nil || !strings.Contains(err.Error(), "there is no service default/none") {
		t.Errorf("%v", err)
	}
}

// hostile are names that no schema lets through, as an API server without it could give them.
func hostile() []client.Object {
	return append(objects(), service("open", nil, `~/"><script>alert(1)</script>&#35;`+"\n\x1b]"))
}

func TestMermaid(t *testing.T) {
	text := run(t, hostile(), "-A", "-o", "mermaid")
	for _, expected := range []string{
		"flowchart LR\n", `subgraph g0["gateway default"]`, `(["default/john"]):::consumerDashed`, `(["default/mobile<br/>revoked"])`, `{{"readers"}}:::group`,
		`["default/orders<br/>GET api.example.com/orders"]`, " --> ", "#lt;script#gt;",
		"subgraph legend", `legend_group{{"group: it is let in"}}:::group`, "legend_consumer --> legend_group --> legend_service",
	} {
		if !strings.Contains(text, expected) {
			t.Errorf("%q is not in\n%s", expected, text)
		}
	}
	if strings.ContainsAny(strings.ReplaceAll(text, "<br/>", ""), "<\x1b") {
		t.Errorf("markup got through:\n%s", text)
	}
}

func TestDot(t *testing.T) {
	text := run(t, hostile(), "-A", "-o", "dot")
	for _, expected := range []string{
		"digraph kongjwt {", `"consumer:default:default/mobile" [label="default/mobile\nrevoked", shape=ellipse, fillcolor="#e3f2fd", style="filled,dashed"];`,
		`"group:default:readers" -> "service:default:default/orders";`, `"consumer:default:default/john" -> "everyone:default";`, "label=legend",
	} {
		if !strings.Contains(text, expected) {
			t.Errorf("%q is not in\n%s", expected, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Count(strings.ReplaceAll(text, `\"`, ""), `"`)%2 != 0 {
		t.Errorf("a name got out of its quotes:\n%s", text)
	}
}

// A picture of hundreds shows each kind of access once: a node for all consumers that may call the same.
func TestConsumersOfEqualAccessAreOne(t *testing.T) {
	var all []client.Object
	for i := range 300 {
		c := consumer("shop", fmt.Sprintf("worker-%d", i), fmt.Sprintf("group-%d", i%5))
		ready(c)
		if i == 7 {
			c.Status.Conditions = nil
		}
		all = append(all, c)
	}
	for i := range 50 {
		all = append(all, service(fmt.Sprintf("api-%d", i), &v1alpha1.Access{Groups: []string{fmt.Sprintf("group-%d", i%5)}}, fmt.Sprintf("/api-%d", i)))
	}
	text := run(t, all, "-A", "-o", "dot")
	if nodes := strings.Count(text, "shape=ellipse"); nodes != 5+1+2 {
		t.Errorf("%d nodes of consumers, want one for each group, one for the one that is not Ready, and the legend's two:\n%s", nodes, text)
	}
	for _, expected := range []string{
		`label="60 consumers\nshop/worker-0 to shop/worker-295", shape=ellipse, fillcolor="#e3f2fd"];`, `label="shop/worker-7", shape=ellipse, fillcolor="#e3f2fd", style="filled,dashed"`,
	} {
		if !strings.Contains(text, expected) {
			t.Errorf("%q is not in it", expected)
		}
	}
	if strings.Index(text, `"service:default:default/api-2" [`) > strings.Index(text, `"service:default:default/api-10" [`) {
		t.Error("api-10 is before api-2")
	}
	if words := run(t, all, "-A"); !strings.Contains(words, "from  group group-1: shop/worker-1, shop/worker-6, shop/worker-11, ") || !strings.Contains(words, " and 50 more (-o json has all)") {
		t.Error(words)
	}
}

func ready(c *v1alpha1.JwtConsumer) {
	c.Generation, c.Status.ObservedGeneration = 1, 1
	c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, ObservedGeneration: 1}}
}

// Of a namespace both sides are shown: what its consumers may call, and who may call its services.
func TestANamespace(t *testing.T) {
	text := run(t, objects(), "-n", "team-b")
	if !strings.Contains(text, "service default/orders") || !strings.Contains(text, "consumer team-b/mary") || strings.Contains(text, "default/john") {
		t.Error(text)
	}
	text = run(t, objects())
	if !strings.Contains(text, "service default/orders") || !strings.Contains(text, "team-b/mary") {
		t.Error(text)
	}
}
