package objects

import (
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// AnnotationPlugins names the plugins of an object.
const AnnotationPlugins = annotationPlugins

// managerPrefix begins the field managers of attachments.
const managerPrefix = "kongjwt."

// Kinds of objects that plugins are put on, by their versions.
var attachable = map[string]string{
	kindService: groupCore, kindIngress: groupIngress, kindHTTPRoute: "gateway.networking.k8s.io/v1",
}

// Attachable lists the kinds of objects that plugins can be put on; name is empty.
func Attachable() []Reference {
	all := make([]Reference, 0, len(attachable))
	for kind, version := range attachable {
		all = append(all, Reference{APIVersion: version, Kind: kind})
	}
	slices.SortFunc(all, func(a, b Reference) int { return strings.Compare(a.Kind, b.Kind) })
	return all
}

// Target gives the object of an owner's namespace that a target names.
func Target(owner desired.Owner, to desired.Target) Reference {
	return Reference{attachable[to.Object], to.Object, owner.Namespace, to.Name}
}

// AttachManager is the field manager by which an owner's plugins are put on somebody else's object: one for each
// owner, so that of two that want the same object the API server refuses the second.
func (s Settings) AttachManager(owner desired.Owner) string {
	return managerPrefix + s.name(owner, "attach")
}

// Attached gives somebody else's object with the one annotation that an owner has on it; names are its plugins'.
func (s Settings) Attached(owner desired.Owner, r Reference, names []string) Object {
	slices.Sort(names)
	text := strings.Join(names, ",")
	return Object{
		Reference: r, Owner: owner, Attached: true, Sum: s.digest("attached", text),
		Content: map[string]any{
			"apiVersion": r.APIVersion, "kind": r.Kind, "metadata": map[string]any{
				"name": r.Name, "namespace": r.Namespace, "annotations": map[string]any{annotationPlugins: text},
			},
		},
	}
}

// Plugins gives the plugins that an object of its annotations names.
func Plugins(annotations map[string]string) []string {
	return slices.DeleteFunc(strings.Split(annotations[annotationPlugins], ","), func(name string) bool { return name == "" })
}

// Hiding gives the KongPlugin that the controller takes instead of an owner's KongClusterPlugin where it is there;
// zero for an object of another kind. home is the namespace of what belongs to no tenant.
func Hiding(r Reference, owner desired.Owner, home string) Reference {
	if r.Kind != KindClusterPlugin {
		return Reference{}
	}
	if owner.Kind == v1alpha1.KindJwtProtectedService {
		home = owner.Namespace
	}
	return Reference{GroupKong, KindPlugin, home, r.Name}
}

// IsOwn says whether an operator wrote an object, this one or another.
func IsOwn(labels map[string]string) bool { return labels[LabelScope] != "" }

// addAttachment adds the annotation on what the plugins are on.
func (b *builder) addAttachment() {
	if to := b.set.Attach; to != nil && to.Object != "" {
		names := slices.Clone(b.plugins[desired.AttachedID])
		b.objects = append(b.objects, b.Attached(b.set.Owner, Target(b.set.Owner, *to), names))
	}
}
