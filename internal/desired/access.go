package desired

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// NamesConsumer says whether a service's access names a consumer, by name or by its labels. The error is a *status.StalledError where the
// selector cannot be read.
func NamesConsumer(service *v1alpha1.JwtProtectedService, consumer metav1.Object) (bool, error) {
	access := service.Spec.Access
	if access == nil {
		return false, nil
	}
	named := func(ref v1alpha1.ConsumerReference) bool {
		namespace := ref.Namespace
		if namespace == "" {
			namespace = service.Namespace
		}
		return namespace == consumer.GetNamespace() && ref.Name == consumer.GetName()
	}
	if slices.ContainsFunc(access.Consumers, named) {
		return true, nil
	}
	if access.ConsumerSelector == nil || !slices.Contains(AccessNamespaces(service), consumer.GetNamespace()) {
		return false, nil
	}
	selector, err := AccessSelector(access)
	if err != nil {
		return false, err
	}
	return selector.Matches(labels.Set(consumer.GetLabels())), nil
}

// AccessSelector reads the selector of an access block that has one.
func AccessSelector(access *v1alpha1.Access) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(access.ConsumerSelector)
	if err != nil {
		return nil, status.Stalled(v1alpha1.ReasonInvalidSpec, "spec.access.consumerSelector: %v. Write it as a label selector of Kubernetes.", err)
	}
	return selector, nil
}

// AccessNamespaces are the namespaces in which the selector of a service looks for consumers.
func AccessNamespaces(service *v1alpha1.JwtProtectedService) []string {
	if names := service.Spec.Access.ConsumerNamespaces; len(names) > 0 {
		return names
	}
	return []string{service.Namespace}
}
