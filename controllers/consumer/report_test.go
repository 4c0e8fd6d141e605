package consumer

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func TestNextRotationIsTheSoonestOfAll(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	due := func(hours int) v1alpha1.CredentialStatus {
		return v1alpha1.CredentialStatus{RotationTime: &metav1.Time{Time: now.Add(time.Duration(hours) * time.Hour)}}
	}
	never := v1alpha1.CredentialStatus{}
	for name, c := range map[string]struct {
		credentials []v1alpha1.CredentialStatus
		hours       int
	}{
		"nothing":              {nil, 0},
		"nothing that rotates": {[]v1alpha1.CredentialStatus{never}, 0},
		"the later one first":  {[]v1alpha1.CredentialStatus{never, due(48), due(2), due(5)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := nextRotation(c.credentials)
			if (got != nil) != (c.hours > 0) || got != nil && !got.Time.Equal(now.Add(time.Duration(c.hours)*time.Hour)) {
				t.Errorf("got %v, want in %d hours", got, c.hours)
			}
		})
	}
}
