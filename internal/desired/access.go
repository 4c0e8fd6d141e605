package desired

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Who may call is one write of the service's owner: each consumer is in a reserved group of its own and in one of its
// namespace, which are written with the consumer, and the acl plugin of a service lists the groups of those that it
// admits. Nobody writes to another's object.

// ReservedGroupPrefix begins the groups that no spec may name: kongjwt:<namespace>.<name> is one consumer,
// kongjwt:<namespace> all of a namespace, which has no dots.
const ReservedGroupPrefix = "kongjwt:"

// ConsumerGroup is the group of one consumer.
func ConsumerGroup(namespace, name string) string {
	return ReservedGroupPrefix + namespace + "." + name
}

// NamespaceGroup is the group of all consumers of a namespace.
func NamespaceGroup(namespace string) string { return ReservedGroupPrefix + namespace }

// Nobody is a group without members: no consumer has an empty name.
const Nobody = ReservedGroupPrefix + "."

// Groups are all groups of a consumer: those of its spec, and the reserved ones.
func Groups(consumer *v1alpha1.JwtConsumer) []string {
	groups := append(slices.Clone(consumer.Spec.Groups), ConsumerGroup(consumer.Namespace, consumer.Name), NamespaceGroup(consumer.Namespace))
	slices.Sort(groups)
	return slices.Compact(groups)
}

// Access says who may call a service: what spec.access says, or, without it, the consumers of its own namespace where
// identities are bound to namespaces. Nil stands for every consumer of the gateway.
func (p Policy) Access(service *v1alpha1.JwtProtectedService) *v1alpha1.Access {
	access := service.Spec.Access
	switch {
	case access != nil && access.From == v1alpha1.AccessFromAnyNamespace:
		return nil
	case access != nil:
		return access
	case p.Identities == v1alpha1.IdentitiesAny || setsACL(service):
		return nil
	}
	return &v1alpha1.Access{From: v1alpha1.AccessFromOwnNamespace}
}

// setsACL says whether a service brings an acl plugin of its own.
func setsACL(service *v1alpha1.JwtProtectedService) bool {
	return slices.ContainsFunc(service.Spec.Plugins, func(p v1alpha1.ServicePlugin) bool { return p.Plugin == "acl" && p.Route == "" })
}

// ACLConfig is the configuration of the acl plugin of a service in a namespace. selected are the consumers that the
// selector matches.
func ACLConfig(access v1alpha1.Access, namespace string, selected []v1alpha1.ConsumerReference) map[string]any {
	var reserved []string
	if access.From == v1alpha1.AccessFromOwnNamespace {
		reserved = append(reserved, NamespaceGroup(namespace))
	}
	for _, ref := range slices.Concat(access.Consumers, selected) {
		reserved = append(reserved, ConsumerGroup(orOwn(ref.Namespace, namespace), ref.Name))
	}
	if len(access.Groups)+len(reserved) == 0 {
		reserved = []string{Nobody} // Kong takes no empty list
	}
	return pluginconfig.EncodeACL(access, reserved...)
}

func orOwn(namespace, own string) string {
	if namespace == "" {
		return own
	}
	return namespace
}

// maxSelected is how many consumers a selector may match: each is a group in the configuration of the acl plugin,
// which Kong compares one by one.
const maxSelected = 256

// Select picks the consumers that a selector admits out of those that it matches: the oldest, so that nobody loses
// access to those who come later. The error is a *status.StalledError where it matches too many.
func Select(matched []v1alpha1.JwtConsumer) ([]v1alpha1.ConsumerReference, error) {
	slices.SortFunc(matched, func(a, b v1alpha1.JwtConsumer) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	var refs []v1alpha1.ConsumerReference
	for _, c := range matched[:min(len(matched), maxSelected)] {
		refs = append(refs, v1alpha1.ConsumerReference{Namespace: c.Namespace, Name: c.Name})
	}
	if len(matched) <= maxSelected {
		return refs, nil
	}
	return refs, status.Stalled(v1alpha1.ReasonInvalidSpec,
		"spec.access.consumerSelector: it matches %d consumers, and only the %d oldest may call (a selector admits %d at most). Put them into a group, and name it in spec.access.groups.",
		len(matched), maxSelected, maxSelected)
}

// NamesConsumer says whether a service's access names a consumer, by name, by its namespace or by its labels. The
// error is a *status.StalledError where the selector cannot be read.
func NamesConsumer(service *v1alpha1.JwtProtectedService, consumer metav1.Object) (bool, error) {
	access := service.Spec.Access
	if access == nil {
		return false, nil
	}
	named := func(ref v1alpha1.ConsumerReference) bool {
		return orOwn(ref.Namespace, service.Namespace) == consumer.GetNamespace() && ref.Name == consumer.GetName()
	}
	if slices.ContainsFunc(access.Consumers, named) || access.From == v1alpha1.AccessFromOwnNamespace && consumer.GetNamespace() == service.Namespace {
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
	if names := service.Spec.Access.ConsumerNamespaces; names != nil {
		return names
	}
	return []string{service.Namespace}
}

// NarrowACL gives the fields of an acl plugin as it is wanted, with those groups alone that it allows now too.
// narrower says that this shuts somebody out.
func NarrowACL(wanted, now kong.Fields) (fields kong.Fields, narrower bool) {
	list, groups, narrower := NarrowGroups(wanted.Object("config"), now.Object("config"))
	if list == "" {
		return wanted, false
	}
	config := maps.Clone(wanted.Object("config"))
	config[list] = groups
	fields = maps.Clone(wanted)
	fields["config"] = config
	return fields, narrower
}

// NarrowGroups gives what a list of an acl plugin's configuration has to be to shut out whom the wanted one shuts out
// and to let nobody in, and says whether it shuts somebody out whom it lets in now. list is empty where the two do not
// have the same list, allow or deny: Kong takes no plugin with both.
func NarrowGroups(wanted, now kong.Fields) (list string, groups []string, narrower bool) {
	lacks := func(all []string) func(string) bool {
		return func(group string) bool { return group != Nobody && !slices.Contains(all, group) }
	}
	if want, held := wanted.Strings("allow"), now.Strings("allow"); len(want) > 0 && len(held) > 0 {
		groups = slices.DeleteFunc(slices.Clone(want), func(group string) bool { return !slices.Contains(held, group) })
		if len(groups) == 0 {
			groups = []string{Nobody} // Kong takes no empty list
		}
		return "allow", groups, slices.ContainsFunc(held, lacks(want))
	}
	want, held := wanted.Strings("deny"), now.Strings("deny")
	if len(want) == 0 || len(held) == 0 {
		return "", nil, false
	}
	groups = slices.Clone(held)
	for _, group := range want {
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return "deny", groups, len(groups) > len(held)
}
