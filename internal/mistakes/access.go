package mistakes

import (
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Callers are the consumers that a service is held to.
type Callers struct {
	// Where they were looked for, such as "the manifests".
	Where string
	// HasConsumer says whether there is a JwtConsumer of this name.
	HasConsumer func(namespace, name string) bool
	// HasGroup says whether a JwtConsumer is in a group.
	HasGroup func(group string) bool
	// HasUsername says whether a consumer of Kong has a username.
	HasUsername func(username string) bool
}

// Access finds the names in spec.access and spec.jwt.anonymous that nobody has.
func Access(service *v1alpha1.JwtProtectedService, callers Callers) []Mistake {
	var found []Mistake
	if access := service.Spec.Access; access != nil {
		for i, ref := range access.Consumers {
			namespace := ref.Namespace
			if namespace == "" {
				namespace = service.Namespace
			}
			if !callers.HasConsumer(namespace, ref.Name) {
				found = append(found, Mistake{Rule: AccessNoConsumer, Message: fmt.Sprintf(
					"spec.access.consumers[%d]: there is no JwtConsumer %s/%s in %s. Write the name of one that there is.",
					i, namespace, ref.Name, callers.Where)})
			}
		}
		for i, group := range access.Groups {
			if !callers.HasGroup(group) {
				found = append(found, Mistake{Rule: AccessNoGroup, Message: fmt.Sprintf(
					"spec.access.groups[%d]: no JwtConsumer of %s is in the group %s. Write a group of a JwtConsumer's spec.groups.",
					i, callers.Where, group)})
			}
		}
	}
	if name := service.Spec.JWT.Anonymous; name != "" && !callers.HasUsername(name) {
		found = append(found, Mistake{Rule: AnonymousNobody, Message: fmt.Sprintf(
			"spec.jwt.anonymous: no consumer of %s has the username %s, and Kong answers 500 to every request without a valid token. "+
				"Write the username of one, such as <namespace>.<name>.", callers.Where, name)})
	}
	return found
}
