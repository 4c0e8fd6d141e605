package check

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/operatorpods"
)

// needed are rights that the operator cannot do without: each of another rule of its roles. own is its namespace,
// watched are those that it watches, an empty one for all.
func needed(own string, watched []string) []authorizationv1.ResourceAttributes {
	ours := v1alpha1.GroupVersion.Group
	rights := []authorizationv1.ResourceAttributes{
		{Group: ours, Resource: "konggateways", Verb: "watch"},
		{Group: ours, Resource: "konggateways", Subresource: "status", Verb: "patch"},
		{Resource: "namespaces", Verb: "watch"},
		{Resource: "services", Verb: "watch"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verb: "watch"},
		{Namespace: own, Group: "coordination.k8s.io", Resource: "leases", Verb: "update"},
	}
	for _, namespace := range watched {
		rights = append(rights, []authorizationv1.ResourceAttributes{
			{Namespace: namespace, Group: ours, Resource: "jwtconsumers", Verb: "patch"},
			{Namespace: namespace, Group: ours, Resource: "jwtconsumers", Subresource: "status", Verb: "patch"},
			{Namespace: namespace, Group: ours, Resource: "jwttokens", Verb: "watch"},
			{Namespace: namespace, Resource: "secrets", Verb: "update"},
		}...)
	}
	return rights
}

// watchFlag is the operator's flag that names the namespaces that it watches, with commas between.
const watchFlag = "--watch-namespaces="

// watchedBy are the namespaces that a pod's operator watches.
func watchedBy(pod corev1.Pod) []string {
	for _, container := range operatorpods.Containers(pod) {
		for _, argument := range container.Args {
			if names, is := strings.CutPrefix(argument, watchFlag); is && names != "" {
				return strings.Split(names, ",")
			}
		}
	}
	return []string{metav1.NamespaceAll}
}

// rights says of each ServiceAccount of the operator's pods whether it may do what the operator has to.
func rights(ctx context.Context, api kubernetes.Interface, pods []corev1.Pod) []Finding {
	var found []Finding
	asked := map[string]bool{}
	for _, pod := range pods {
		account := pod.Namespace + "/" + pod.Spec.ServiceAccountName
		if asked[account] || pod.Spec.ServiceAccountName == "" {
			continue
		}
		asked[account] = true
		found = append(found, rightsOf(ctx, api, pod))
	}
	return found
}

func rightsOf(ctx context.Context, api kubernetes.Interface, pod corev1.Pod) Finding {
	f := Finding{Name: "rights", Outcome: passed}
	account := pod.Namespace + "/" + pod.Spec.ServiceAccountName
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + pod.Namespace, "system:authenticated"}
	all := needed(pod.Namespace, watchedBy(pod))
	var refused []string
	for _, right := range all {
		review, err := api.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + strings.Replace(account, "/", ":", 1), Groups: groups, ResourceAttributes: &right,
			},
		}, metav1.CreateOptions{})
		if err != nil {
			f.Outcome, f.Detail = unknown, err.Error()
			f.Remedy = "To ask takes the right to create subjectaccessreviews."
			return f
		}
		if !review.Status.Allowed {
			refused = append(refused, inWords(right))
		}
	}
	f.Detail = fmt.Sprintf("ServiceAccount %s has each of %d that were asked for", account, len(all))
	if len(refused) > 0 {
		f.Outcome = failed
		f.Detail = fmt.Sprintf("ServiceAccount %s may not %s", account, strings.Join(refused, ", "))
		f.Remedy = "Install the roles of the chart (rbac.create: true), or bind roles with their rules to it."
	}
	return f
}

// inWords is a right as kubectl auth can-i takes it.
func inWords(right authorizationv1.ResourceAttributes) string {
	text := right.Verb + " " + right.Resource
	if right.Group != "" {
		text += "." + right.Group
	}
	if right.Subresource != "" {
		text += "/" + right.Subresource
	}
	if right.Namespace != "" {
		text += " in " + right.Namespace
	}
	return text
}
