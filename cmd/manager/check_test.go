package main

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func TestCheckSaysWhatIsNotAsItShouldBe(t *testing.T) {
	durations := lease{duration: 15 * time.Second}
	now := time.Unix(1_700_000_000, 0)
	leaseOf := func(age time.Duration) client.Object {
		renewed := metav1.NewMicroTime(now.Add(-age))
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kong-jwt-system", Name: leaseName},
			Spec:       coordinationv1.LeaseSpec{RenewTime: &renewed},
		}
	}
	gateway := func(conditions ...metav1.Condition) client.Object {
		return &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: v1alpha1.KongGatewayStatus{Conditions: conditions}}
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}
	away := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "KongUnreachable", Message: "spec.adminAPI: it is away."}
	for what, c := range map[string]struct {
		objects []client.Object
		says    []string
	}{
		"all is well":           {[]client.Object{leaseOf(time.Second), gateway(ready)}, nil},
		"no gateway":            {[]client.Object{leaseOf(time.Second)}, nil},
		"no lease":              {nil, []string{"No operator leads: the Lease kong-jwt-system/kong-jwt-operator"}},
		"a lease of yesterday":  {[]client.Object{leaseOf(24 * time.Hour)}, []string{"No operator leads"}},
		"a gateway that is new": {[]client.Object{leaseOf(time.Second), gateway()}, []string{"no operator has looked at it"}},
		"Kong is away":          {[]client.Object{leaseOf(time.Second), gateway(away)}, []string{"KongGateway default is not Ready (KongUnreachable): spec.adminAPI: it is away."}},
	} {
		t.Run(what, func(t *testing.T) {
			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
				if err := add(scheme); err != nil {
					t.Fatal(err)
				}
			}
			kube := fake.NewClientBuilder().WithScheme(scheme).WithObjects(c.objects...).Build()
			s := settings{namespace: "kong-jwt-system", lease: durations}
			findings, err := look(t.Context(), s, kube, now)
			if err != nil || len(findings) != len(c.says) {
				t.Fatalf("%v, %v", findings, err)
			}
			for i, want := range c.says {
				if !strings.Contains(findings[i], want) {
					t.Errorf("%q does not say %q", findings[i], want)
				}
			}
		})
	}
}
