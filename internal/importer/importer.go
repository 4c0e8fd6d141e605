// Package importer turns what a Kong holds into resources of this operator. It is pure. What a resource cannot say is
// listed rather than dropped, and what it makes differs from what there is in nothing but tags: a service with a
// setting that no field has is not taken over, its plugins are.
package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Options say how resources are written.
type Options struct {
	// Namespace and Gateway of all resources.
	Namespace, Gateway string
	// SelectTag takes those entities alone that have the tag; empty for all. What hangs on one that has it comes
	// along.
	SelectTag string
	// PlainSecrets writes the material into Secrets; without it they are named, and left to somebody else to make.
	PlainSecrets bool
	// Keep has resources take over the ingress controller's own objects, with their names: consumers only.
	Keep bool
}

// Result is what was made.
type Result struct {
	Consumers []*v1alpha1.JwtConsumer
	Services  []*v1alpha1.JwtProtectedService
	Secrets   []*corev1.Secret
	// Left is what could not be said, sorted.
	Left []Left
}

// Left is an entity of Kong, or a part of one, that is in no resource.
type Left struct {
	// What it is, such as "service orders".
	What string `json:"what"`
	// Why it was left out.
	Why string `json:"why"`
}

// Import makes the resources. The entities are in the Admin API's form, with everything that they refer to.
func Import(entities []kong.Entity, options Options) Result {
	m := &importing{
		options: options, names: map[string]bool{}, children: map[string][]kong.Entity{}, ids: map[string]bool{},
		redis: map[string]string{},
	}
	for _, e := range entities {
		e.Fields = e.Fields.WithoutNulls()
		m.ids[e.ID] = len(unsaid(e)) == 0
		m.index(e)
	}
	m.leaveOrphans()
	slices.SortFunc(m.roots, func(a, b kong.Entity) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(nameOf(a), nameOf(b)), cmp.Compare(a.ID, b.ID))
	})
	for _, e := range m.roots {
		if !m.selected(e) {
			continue
		}
		switch e.Kind {
		case kong.KindConsumer:
			m.consumer(e)
		case kong.KindService:
			if m.options.Keep {
				m.left(e, "it stays as it is, and its Ingress with it: only consumers are taken over")
				continue
			}
			m.service(e)
		default:
			m.left(e, "it is on no service, and on no consumer: resources have no place for it")
		}
	}
	m.tellOfIdentities()
	m.tellOfUpstreams()
	slices.SortFunc(m.result.Left, func(a, b Left) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why)) })
	return m.result
}

// tellOfIdentities says that the gateway has to let tenants choose names that do not begin with their namespace,
// where what was imported has such names.
func (m *importing) tellOfIdentities() {
	var names []string
	for _, c := range m.result.Consumers {
		names = append(names, c.Spec.Username, c.Spec.CustomID)
		names = append(names, c.Spec.Groups...)
		for _, credential := range c.Spec.Credentials {
			names = append(names, credential.Key)
		}
	}
	for _, s := range m.result.Services {
		names = append(names, s.Spec.ServiceName, s.Spec.JWT.Anonymous)
		if to := s.Spec.AttachTo; to != nil {
			names = append(names, cmp.Or(to.ServiceName, to.RouteName))
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || strings.HasPrefix(name, m.options.Namespace+".") })
	if len(names) > 0 {
		m.leave("KongGateway "+m.options.Gateway, "it has to have spec.policy.identities: Any, as %d names such as %s do not begin with %s.", len(names), names[0], m.options.Namespace)
	}
}

// tellOfUpstreams says that the gateway has to open hosts that services name, where it does not by itself.
func (m *importing) tellOfUpstreams() {
	var closed []string
	first := ""
	for _, s := range m.result.Services {
		if found := refusals(s, v1alpha1.UpstreamPolicy{}); len(found) > 0 {
			closed = append(closed, s.Name)
			first = cmp.Or(first, found[0].Message)
		}
	}
	if len(closed) > 0 {
		m.leave("KongGateway "+m.options.Gateway, "its spec.policy.upstreams.allow has to open hosts of %d services. Of %s: %s",
			len(closed), closed[0], first)
	}
}

// importing is an import under way.
type importing struct {
	options Options
	result  Result
	// roots are what nothing else carries along, children what hangs on something, by its id.
	roots    []kong.Entity
	children map[string][]kong.Entity
	// ids of all entities.
	ids map[string]bool
	// names of resources and Secrets that are taken, by kind and name.
	names map[string]bool
	// redis are the hosts of servers that rate limits count in, by their names in spec.policy.redis.
	redis map[string]string
}

// index puts an entity below what it hangs on.
func (m *importing) index(e kong.Entity) {
	parents := []string{e.ConsumerID}
	for _, field := range []string{"route", "service", "consumer"} {
		parents = append(parents, e.Fields.Ref(field))
	}
	parents = slices.DeleteFunc(parents, func(id string) bool { return id == "" })
	switch names := unsaid(e); {
	case len(names) > 0:
		if m.selected(e) {
			m.left(e, "it has the value of the environment variable %s of decK in it; put the value in, and import again", names[0])
		}
	case len(parents) == 0:
		m.roots = append(m.roots, e)
	case len(parents) > 1:
		if m.selected(e) {
			m.left(e, "it is on several entities at once, which no resource can say")
		}
	case !desired.Unclaimed(e.Fields.Tags()):
		m.leftToItsOwner(e)
	default:
		m.children[parents[0]] = append(m.children[parents[0]], e)
	}
}

// unsaid are the variables that an entity's fields hold, but for the material of a credential, which goes to a Secret.
func unsaid(e kong.Entity) []string {
	var names []string
	for field, value := range e.Fields {
		if e.Kind == kong.KindJWT && (field == "secret" || field == "rsa_public_key") {
			continue
		}
		names = append(names, variables(value)...)
	}
	slices.Sort(names)
	return names
}

// leaveOrphans leaves what hangs on something that is not there: a name that is misspelled, or an entity that was
// left.
func (m *importing) leaveOrphans() {
	for parent, children := range m.children {
		if m.ids[parent] {
			continue
		}
		for _, e := range children {
			if m.options.SelectTag == "" {
				m.left(e, "what it is on is not here, or was left")
			}
		}
	}
}

// below are the children of a kind, in an order that does not change.
func (m *importing) below(id string, kind kong.Kind) []kong.Entity {
	var all []kong.Entity
	for _, e := range m.children[id] {
		if e.Kind == kind {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b kong.Entity) int { return cmp.Or(cmp.Compare(nameOf(a), nameOf(b)), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (m *importing) selected(e kong.Entity) bool {
	if !desired.Unclaimed(e.Fields.Tags()) {
		m.leftToItsOwner(e)
		return false
	}
	return m.options.SelectTag == "" || slices.Contains(e.Fields.Tags(), m.options.SelectTag)
}

func (m *importing) left(e kong.Entity, why string, args ...any) {
	m.leave(e.Kind.Singular()+" "+display(e), why, args...)
}

// leftToItsOwner leaves what somebody manages, and names who.
func (m *importing) leftToItsOwner(e kong.Entity) {
	if o, ours := desired.ParseTags(e.Fields.Tags()); ours {
		m.left(e, "%s manages it already", strings.Replace(o.Owner.String(), " /", " ", 1))
		return
	}
	m.left(e, "somebody manages it already, as its tags say: %s", strings.Join(e.Fields.Tags(), ", "))
}

func (m *importing) leave(what, why string, args ...any) {
	m.result.Left = append(m.result.Left, Left{What: what, Why: fmt.Sprintf(why, args...)})
}

// nameOf is the name of an entity, whichever its field is called.
func nameOf(e kong.Entity) string {
	for _, field := range []string{"username", "name", "key", "group", "custom_id"} {
		if name := e.Fields.Text(field); name != "" {
			return name
		}
	}
	return ""
}

func display(e kong.Entity) string {
	if name := nameOf(e); name != "" {
		return name
	}
	return e.ID
}

// resourceName makes a name that Kubernetes takes (RFC 1123), and that no other resource of the kind has.
func (m *importing) resourceName(kind, from string) string {
	from = strings.TrimPrefix(from, m.options.Namespace+".")
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		default:
			return '-'
		}
	}, from)
	name = strings.Trim(name[:min(len(name), longestName)], "-")
	if name == "" {
		name = strings.ToLower(kind)
	}
	unique := name
	for n := 2; m.names[kind+"/"+unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	m.names[kind+"/"+unique] = true
	return unique
}

// longestName leaves room for a number behind a name, in the 63 characters of a label (RFC 1123).
const longestName = 58

func (m *importing) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.options.Namespace, Name: name}
}

// tags are the user's own.
func tags(e kong.Entity) []v1alpha1.Tag {
	var all []v1alpha1.Tag
	for _, tag := range e.Fields.Tags() {
		all = append(all, v1alpha1.Tag(tag))
	}
	return all
}

// sameTags says of what hangs on an entity and has other tags that they become the resource's.
func (m *importing) sameTags(parent kong.Entity, children ...kong.Entity) {
	for _, child := range children {
		if !slices.Equal(slices.Sorted(slices.Values(parent.Fields.Tags())), slices.Sorted(slices.Values(child.Fields.Tags()))) {
			m.left(child, "its own tags (%s): all that a resource makes has the tags of its spec.tags", cmp.Or(strings.Join(child.Fields.Tags(), ", "), "none"))
		}
	}
}
