package check_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/check"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
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
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "kong-jwt-operator:v1"}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
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
			false, nil, []string{"the cluster has no KongGateway, JwtConsumer, JwtProtectedService, JwtToken", "there is no pod of it", "there is no KongGateway"}, true,
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
	if err := s.Run(t, check.Version); err != nil || !strings.Contains(s.Out.String(), "operator  unknown: there is no pod of it") {
		t.Errorf("%v, %s", err, s.Out)
	}
}
