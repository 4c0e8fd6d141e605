package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func TestSlimLeavesAllThatIsRead(t *testing.T) {
	room := make([]v1alpha1.Credential, 1, 4)
	room[0] = v1alpha1.Credential{Name: "primary", Algorithm: "HS256"}
	consumer := &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: "john", Finalizers: []string{v1alpha1.Finalizer}, Labels: map[string]string{"team": "a"},
			Annotations: map[string]string{v1alpha1.AnnotationRotate: "1"},
		},
		Spec: v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: "eu"}, Credentials: room},
		Status: v1alpha1.JwtConsumerStatus{
			Gateway:     "eu",
			Conditions:  []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: "m"}},
			Credentials: []v1alpha1.CredentialStatus{{Name: "primary", Key: "k", Algorithm: "HS256", State: v1alpha1.CredentialActive}},
		},
	}
	want := consumer.DeepCopy()
	consumer.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	consumer.Annotations[corev1.LastAppliedConfigAnnotation] = "{}"

	got, err := slim(consumer)
	if err != nil || !apiequality.Semantic.DeepEqual(got, want) {
		t.Errorf("%v: %+v is not %+v", err, got, want)
	}
	if room := cap(consumer.Spec.Credentials); room != 1 {
		t.Errorf("there is room for %d credentials", room)
	}
}

func TestSlimTakesAnyObject(t *testing.T) {
	gone := toolscache.DeletedFinalStateUnknown{Key: "a/john"}
	if got, err := slim(gone); err != nil || got != any(gone) {
		t.Errorf("%v, %v", got, err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "shop", ManagedFields: []metav1.ManagedFieldsEntry{{}}}}
	if _, err := slim(service); err != nil || service.ManagedFields != nil || service.Name != "shop" {
		t.Errorf("%+v, %v", service, err)
	}
}
