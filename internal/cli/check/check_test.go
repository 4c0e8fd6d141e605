package check_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/check"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

func gateway(ready metav1.ConditionStatus) *v1alpha1.KongGateway {
	return &v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: "main"},
		Status: v1alpha1.KongGatewayStatus{KongVersion: "3.9.3", Mode: v1alpha1.ModeDatabase, Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: ready, Reason: v1alpha1.ReasonKongUnreachable, Message: "spec.adminAPI: it is away",
		}}},
	}
}

func pod(ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "operator", Name: "manager-0", Labels: map[string]string{"app.kubernetes.io/name": "kong-jwt-operator"}},
		Spec: corev1.PodSpec{ServiceAccountName: "manager", Containers: []corev1.Container{
			{Name: "manager", Image: "kong-jwt-operator:v1"}, {Name: "mesh", Image: "mesh:v2"},
		}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

func lease(renewed time.Duration) *coordinationv1.Lease {
	holder, seconds, at := "manager-0_1", int32(15), metav1.NewMicroTime(clitest.Now.Add(renewed))
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "operator", Name: "kong-jwt-operator"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at},
	}
}

// session has an API server that serves the operator's kinds, or none of them.
func session(t *testing.T, served bool, objects ...client.Object) *clitest.Session {
	t.Helper()
	s := clitest.New(t, objects...)
	clientset := fake.NewClientset()
	clientset.PrependReactor("create", "subjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	if served {
		list := &metav1.APIResourceList{GroupVersion: v1alpha1.GroupVersion.String()}
		for _, kind := range v1alpha1.ResourceKinds() {
			list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind.Name})
		}
		clientset.Resources = append(clientset.Resources, list)
	}
	s.Env.NewClientset = func() (kubernetes.Interface, error) { return clientset, nil }
	return s
}

// TestCheck: what is missing is named, with what to do, and the exit says so.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		served  bool
		objects []client.Object
		want    []string
		fails   bool
	}{
		"all is there": {
			true, []client.Object{gateway(metav1.ConditionTrue), pod(corev1.ConditionTrue), lease(-3 * time.Second)},
			[]string{"1 of 1 pods are Ready: operator/manager-0", "manager-0_1, seen 3s ago", "Ready, Kong 3.9.3 Database", "this machine's is the operator's"}, false,
		},
		"nothing is there": {
			false, nil, []string{"the cluster has no KongGateway, JwtConsumer, JwtProtectedService, JwtToken", "no pod has the labels app.", "there is no KongGateway"}, true,
		},
		"nobody leads": {
			true, []client.Object{gateway(metav1.ConditionTrue), pod(corev1.ConditionTrue), lease(-5 * time.Minute)},
			[]string{"FAILED   leader", "unknown  clock"}, true,
		},
		"clocks differ": {
			true, []client.Object{gateway(metav1.ConditionTrue), pod(corev1.ConditionTrue), lease(time.Minute)},
			[]string{"the operator's node is 1m0s ahead of this machine"}, true,
		},
		"a Kong that is away": {
			true, []client.Object{gateway(metav1.ConditionFalse), pod(corev1.ConditionFalse), lease(0)},
			[]string{"none of 1 pods is Ready", "Progressing (KongUnreachable): spec.adminAPI: it is away"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := session(t, c.served, c.objects...)
			if err := s.Run(t, check.Command); errors.Is(err, env.ErrNegative) != c.fails || !c.fails && err != nil {
				t.Errorf("ended with %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(s.Out.String(), part) {
					t.Errorf("%q is not in\n%s", part, s.Out)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	s := session(t, true, pod(corev1.ConditionTrue))
	if err := s.Run(t, check.Version); err != nil || s.Out.String() != "client    test\noperator  kong-jwt-operator:v1\n" {
		t.Errorf("%v, %s", err, s.Out)
	}
	s = session(t, true)
	if err := s.Run(t, check.Version); err != nil || !strings.Contains(s.Out.String(), "operator  unknown: no pod has the labels") {
		t.Errorf("%v, %s", err, s.Out)
	}
}

// TestOthersLabels: nameOverride of the chart gives the pods another label.
func TestOthersLabels(t *testing.T) {
	p := pod(corev1.ConditionTrue)
	p.Labels["app.kubernetes.io/name"] = "jwt"
	s := session(t, true, gateway(metav1.ConditionTrue), p, lease(0))
	if err := s.Run(t, check.Command); !errors.Is(err, env.ErrNegative) || !strings.Contains(s.Out.String(), "--selector") {
		t.Errorf("%v, %s", err, s.Out)
	}
	if err := s.Run(t, check.Command, "--selector", "app.kubernetes.io/name=jwt"); err != nil {
		t.Errorf("%v, %s", err, s.Out)
	}
	err := s.Run(t, check.Version, "--selector", "app.kubernetes.io/name=jwt")
	if err != nil || !strings.Contains(s.Out.String(), "operator:v1") {
		t.Errorf("%v, %s", err, s.Out)
	}
	for _, command := range []func(*env.Env) *cobra.Command{check.Command, check.Version} {
		if err := s.Run(t, command, "--selector", "a in"); err == nil || !strings.Contains(err.Error(), "--selector: ") {
			t.Errorf("%v", err)
		}
	}
}

// TestDefinitions: fields that the cluster does not know are named; what is less is said.
func TestDefinitions(t *testing.T) {
	spec := func(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
		return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	for name, c := range map[string]struct {
		change func(*apiextensionsv1.CustomResourceDefinition)
		want   string
		fails  bool
	}{
		"those of the plugin": {
			func(*apiextensionsv1.CustomResourceDefinition) {},
			"ok       definitions       they are those of this plugin", false,
		},
		"a default that is written in another way": {func(crd *apiextensionsv1.CustomResourceDefinition) {
			for _, version := range crd.Spec.Versions {
				reformat(version.Schema.OpenAPIV3Schema)
			}
		}, "ok       definitions", false},
		"a field less": {func(crd *apiextensionsv1.CustomResourceDefinition) {
			properties := spec(crd).Properties["spec"].Properties
			delete(properties, "gatewayRef")
			delete(properties, "adoption")
		}, "FAILED   definitions       they are older than this plugin: JwtConsumer has no spec.gatewayRef; " +
			"JwtProtectedService has no spec.gatewayRef; KongGateway has no spec.adoption", true},
		"a field more": {func(crd *apiextensionsv1.CustomResourceDefinition) {
			spec(crd).Properties["other"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}, "unknown  definitions       they are others than this plugin's: " +
			"JwtConsumer, JwtProtectedService, JwtToken, KongGateway", false},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{gateway(metav1.ConditionTrue), pod(corev1.ConditionTrue), lease(0)}
			crds, err := schema.Definitions()
			if err != nil {
				t.Fatal(err)
			}
			for i := range crds {
				c.change(&crds[i])
				objects = append(objects, &crds[i])
			}
			s := session(t, true, objects...)
			err = s.Run(t, check.Command)
			if errors.Is(err, env.ErrNegative) != c.fails || !strings.Contains(s.Out.String(), c.want) {
				t.Errorf("%v, want %q in\n%s", err, c.want, s.Out)
			}
		})
	}
}

// reformat puts a space before each default.
func reformat(s *apiextensionsv1.JSONSchemaProps) {
	if s.Default != nil {
		s.Default.Raw = append([]byte(" "), s.Default.Raw...)
	}
	for name, property := range s.Properties {
		reformat(&property)
		s.Properties[name] = property
	}
}

// TestRights: each right of the ServiceAccount that the operator cannot do without is asked for, where it watches.
func TestRights(t *testing.T) {
	answer := func(s *clitest.Session, allowed func(authorizationv1.SubjectAccessReviewSpec) (bool, error)) {
		clientset, _ := s.Env.NewClientset()
		react := func(action clienttesting.Action) (bool, runtime.Object, error) {
			review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
			var err error
			review.Status.Allowed, err = allowed(review.Spec)
			return true, review, err
		}
		clientset.(*fake.Clientset).PrependReactor("create", "subjectaccessreviews", react)
	}
	watching := pod(corev1.ConditionTrue)
	watching.Spec.Containers[0].Args = []string{"--leader-elect", "--watch-namespaces=team-a,team-b"}
	for name, c := range map[string]struct {
		pod     *corev1.Pod
		allowed func(authorizationv1.SubjectAccessReviewSpec) (bool, error)
		want    string
		fails   bool
	}{
		"all": {pod(corev1.ConditionTrue), func(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			return spec.User == "system:serviceaccount:operator:manager" &&
				slices.Contains(spec.Groups, "system:serviceaccounts:operator"), nil
		}, "ok       rights            ServiceAccount operator/manager has each of 10 ", false},
		"none of a rule": {pod(corev1.ConditionTrue), func(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			return spec.ResourceAttributes.Resource != "secrets" && spec.ResourceAttributes.Subresource != "status", nil
		}, "may not patch konggateways.kongjwt.dev/status, patch jwtconsumers.kongjwt.dev/status, update secrets\n", true},
		"none in one of two namespaces": {watching, func(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			return spec.ResourceAttributes.Resource != "secrets" || spec.ResourceAttributes.Namespace == "team-a", nil
		}, "may not update secrets in team-b\n", true},
		"it may not be asked": {pod(corev1.ConditionTrue), func(authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			return false, apierrors.NewForbidden(authorizationv1.Resource("subjectaccessreviews"), "", errors.New("not you"))
		}, "unknown  rights ", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := session(t, true, gateway(metav1.ConditionTrue), c.pod, lease(0))
			answer(s, c.allowed)
			err := s.Run(t, check.Command)
			if errors.Is(err, env.ErrNegative) != c.fails || !strings.Contains(s.Out.String(), c.want) {
				t.Errorf("%v, want %q in\n%s", err, c.want, s.Out)
			}
		})
	}

	t.Run("no more than the operator's role has", func(t *testing.T) {
		content, err := os.ReadFile("../../../config/rbac/role.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var rules []rbacv1.PolicyRule
		for _, document := range strings.Split(string(content), "---\n") {
			var role rbacv1.ClusterRole
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				t.Fatal(err)
			}
			rules = append(rules, role.Rules...)
		}
		s := session(t, true, gateway(metav1.ConditionTrue), pod(corev1.ConditionTrue), lease(0))
		answer(s, func(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
			right := spec.ResourceAttributes
			resource := strings.TrimSuffix(right.Resource+"/"+right.Subresource, "/")
			return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
				return slices.Contains(r.APIGroups, right.Group) && slices.Contains(r.Resources, resource) &&
					slices.Contains(r.Verbs, right.Verb)
			}), nil
		})
		if err := s.Run(t, check.Command); err != nil {
			t.Errorf("%v\n%s", err, s.Out)
		}
	})
}

// TestClockOfKong: exp and nbf are held against Kong's clock, which is asked.
func TestClockOfKong(t *testing.T) {
	for name, c := range map[string]struct {
		ahead  time.Duration
		status int
		want   string
		fails  bool
	}{
		"the same":        {0, 200, "ok       clock of Kong     it is this machine's", false},
		"within bounds":   {-4 * time.Second, 200, "ok       clock of Kong ", false},
		"ahead":           {2 * time.Minute, 200, "FAILED   clock of Kong     Kong is 2m0s ahead of this machine", true},
		"behind":          {-time.Hour, 200, "FAILED   clock of Kong     Kong is 1h0m0s behind this machine", true},
		"it asks a token": {0, 401, "FAILED   kong              --kong: ", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", clitest.Now.Add(c.ahead).UTC().Format(http.TimeFormat))
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(`{"version": "3.9.3", "configuration": {"database": "postgres"}}`))
			}))
			defer server.Close()
			s := session(t, true, gateway(metav1.ConditionTrue), pod(corev1.ConditionTrue), lease(0))
			err := s.Run(t, check.Command, "--kong", server.URL)
			if errors.Is(err, env.ErrNegative) != c.fails || !strings.Contains(s.Out.String(), c.want) {
				t.Errorf("%v, want %q in\n%s", err, c.want, s.Out)
			}
		})
	}
	s := session(t, true)
	if err := s.Run(t, check.Command, "--kong", "ftp://kong"); err == nil || !strings.Contains(err.Error(), "--kong: ") {
		t.Errorf("%v", err)
	}
}
