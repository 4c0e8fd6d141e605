package status_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/status"
)

func condition(kind string, value metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: value, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(clitest.Now.Add(-5 * time.Minute))}
}

func ready() []metav1.Condition {
	return []metav1.Condition{condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "fine")}
}

func abnormal(kind, reason, message string) []metav1.Condition {
	return []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message), condition(kind, metav1.ConditionTrue, reason, message),
	}
}

func consumer(namespace, name string, conditions []metav1.Condition) *v1alpha1.JwtConsumer {
	return &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: "default"}},
		Status:     v1alpha1.JwtConsumerStatus{Conditions: conditions, Username: namespace + "." + name},
	}
}

func objects() []client.Object {
	rotating := consumer("default", "rotating", ready())
	due := metav1.NewTime(clitest.Now.Add(72 * time.Hour))
	rotating.Status.NextRotationTime = &due
	rotating.Status.Credentials = []v1alpha1.CredentialStatus{{Name: "primary", State: v1alpha1.CredentialActive, RotationTime: &due}, {Name: "primary", State: v1alpha1.CredentialRetiring}}
	weak := consumer("default", "weak", append(ready(), condition(v1alpha1.ConditionWeakSecret, metav1.ConditionTrue, "ShortSecret", "8 bytes")))
	old := consumer("default", "changed", ready())
	old.Generation, old.Status.ObservedGeneration = 2, 1
	suspended := consumer("default", "suspended", append(ready(), condition(v1alpha1.ConditionSuspended, metav1.ConditionTrue, v1alpha1.ReasonSuspended, "left alone")))
	suspended.Spec.Suspend = true
	return []client.Object{
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: v1alpha1.KongGatewayStatus{Conditions: ready(), KongVersion: "3.9.3", Mode: v1alpha1.ModeDatabase}},
		rotating, weak, old, suspended,
		consumer("default", "lacking", abnormal(v1alpha1.ConditionStalled, v1alpha1.ReasonSecretNotFound, "Secret lacking is not there\nat all")),
		consumer("default", "fresh", nil),
		&v1alpha1.JwtProtectedService{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "api"},
			Status:     v1alpha1.JwtProtectedServiceStatus{Conditions: abnormal(v1alpha1.ConditionReconciling, v1alpha1.ReasonKongUnreachable, "connection refused")},
		},
		&v1alpha1.JwtToken{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "worker"},
			Status:     v1alpha1.JwtTokenStatus{Conditions: ready(), ExpirationTime: &due},
		},
		consumer("elsewhere", "other", abnormal(v1alpha1.ConditionStalled, v1alpha1.ReasonConflict, "held")),
	}
}

func TestAGatewayWhoseControllerOpensRoutesNeedsALook(t *testing.T) {
	opens := condition(v1alpha1.ConditionFallbackOpens, metav1.ConditionTrue, v1alpha1.ReasonPluginLeftOut, "HTTPRoute shop/a")
	s := clitest.New(t, &v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: v1alpha1.KongGatewayStatus{Conditions: append(ready(), opens)},
	}, consumer("default", "app", ready()))
	_ = s.Run(t, status.Command) // whether it is the answer no is not this test's
	if text := s.Out.String(); !strings.Contains(text, "KongGateway default: Warning, PluginLeftOut") ||
		!strings.Contains(text, "HTTPRoute shop/a") {
		t.Error(text)
	}
}

func TestWhatIsWrongComesFirst(t *testing.T) {
	s := clitest.New(t, objects()...)
	if err := s.Run(t, status.Command); !errors.Is(err, env.ErrNegative) {
		t.Fatalf("error %v, want the answer no", err)
	}
	text := s.Out.String()
	last := -1
	for _, expected := range []string{
		"JwtConsumer           6",
		"What needs a look",
		"JwtConsumer default/lacking: Stalled, SecretNotFound, 5m ago\n    Secret lacking is not there at all\n    -> Create the Secret",
		"JwtConsumer default/changed: NotSeen",
		"JwtConsumer default/fresh: NotSeen",
		"JwtProtectedService default/api: Progressing, KongUnreachable",
		"JwtConsumer default/weak: Warning, ShortSecret",
		"KongGateways", "3.9.3", "JwtConsumers", "1 active, 1 retiring", "in 3d", "JwtTokens", "Next rotations", "2026-11-27T12:00:00Z",
	} {
		at := strings.Index(text, expected)
		if at < 0 {
			t.Fatalf("%q is not in\n%s", expected, text)
		}
		if at < last {
			t.Errorf("%q comes too early in\n%s", expected, text)
		}
		last = at
	}
	if strings.Contains(text, "elsewhere") {
		t.Errorf("another namespace is in\n%s", text)
	}
}

func TestJSONOfAllNamespaces(t *testing.T) {
	s := clitest.New(t, objects()...)
	if err := s.Run(t, status.Command, "-A", "-o", "json"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	var report struct {
		Kind      string
		Works     bool
		Summary   map[string]map[string]int
		Resources []struct{ Namespace, Name, Health, Remedy string }
		Rotations []struct{ Consumer string }
	}
	if err := json.Unmarshal(s.Out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if report.Kind != "Status" || report.Works || report.Summary["JwtConsumer"]["Stalled"] != 2 || len(report.Resources) != 10 || len(report.Rotations) != 1 {
		t.Errorf("%+v", report)
	}
	for _, r := range report.Resources {
		if (r.Remedy == "") != (r.Health == "Ready") {
			t.Errorf("%s is %s with the remedy %q", r.Name, r.Health, r.Remedy)
		}
	}
}

func TestNothingWrong(t *testing.T) {
	s := clitest.New(t, consumer("default", "john", ready()))
	if err := s.Run(t, status.Command); err != nil || !strings.Contains(s.Out.String(), "Nothing is wrong.") {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
	if err := s.Run(t, status.Command, "-o", "name"); err != nil || s.Out.String() != "jwtconsumer.kongjwt.dev/john\n" {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
}

func TestNothingThere(t *testing.T) {
	s := clitest.New(t)
	if err := s.Run(t, status.Command); err != nil || !strings.Contains(s.Out.String(), "in namespace default; -A looks everywhere") {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
}

func TestLongListsAreCut(t *testing.T) {
	var many []client.Object
	for i := range 30 {
		many = append(many, consumer("default", "c"+strings.Repeat("x", i), ready()))
	}
	s := clitest.New(t, many...)
	if err := s.Run(t, status.Command); err != nil || !strings.Contains(s.Out.String(), "... and 10 more JwtConsumers") {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
	if err := s.Run(t, status.Command, "--limit", "0"); err != nil || strings.Contains(s.Out.String(), "more") {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
}

// Whoever adds a reason says in its comment what to do about it, and runs make docs.
func TestEveryReasonHasARemedy(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || spec.Names[0].Name == "ReasonSucceeded" {
			return true
		}
		found++
		reason := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
		s := clitest.New(t, consumer("default", "john", abnormal(v1alpha1.ConditionStalled, reason, "m")))
		if err := s.Run(t, status.Command); !errors.Is(err, env.ErrNegative) || !strings.Contains(s.Out.String(), "    -> ") {
			t.Errorf("reason %s has no remedy", reason)
		}
		return true
	})
	if found < 20 {
		t.Errorf("found only %d reasons", found)
	}
}

func clientKey(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: "default", Name: name}
}
