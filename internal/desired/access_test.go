package desired

import (
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

func TestWhomAServiceNames(t *testing.T) {
	inside := &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "inside"}}
	wrong := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: "Like"}}}
	for what, c := range map[string]struct {
		access    *v1alpha1.Access
		namespace string // of the consumer; the service is in team-a
		labels    map[string]string
		named     bool
		refused   bool
	}{
		"nobody":                      {nil, "team-a", nil, false, false},
		"by name":                     {&v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "john"}}}, "team-a", nil, true, false},
		"by name, of another":         {&v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "john"}}}, "team-b", nil, false, false},
		"by name and namespace":       {&v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Namespace: "team-b", Name: "john"}}}, "team-b", nil, true, false},
		"its own namespace":           {&v1alpha1.Access{From: v1alpha1.AccessFromOwnNamespace}, "team-a", nil, true, false},
		"not another namespace":       {&v1alpha1.Access{From: v1alpha1.AccessFromOwnNamespace}, "team-b", nil, false, false},
		"by labels":                   {&v1alpha1.Access{ConsumerSelector: inside}, "team-a", inside.MatchLabels, true, false},
		"by other labels":             {&v1alpha1.Access{ConsumerSelector: inside}, "team-a", map[string]string{"tier": "outside"}, false, false},
		"by labels of another":        {&v1alpha1.Access{ConsumerSelector: inside}, "team-b", inside.MatchLabels, false, false},
		"by labels of one it lists":   {&v1alpha1.Access{ConsumerSelector: inside, ConsumerNamespaces: []string{"team-b"}}, "team-b", inside.MatchLabels, true, false},
		"its own, which is not":       {&v1alpha1.Access{ConsumerSelector: inside, ConsumerNamespaces: []string{"team-b"}}, "team-a", inside.MatchLabels, false, false},
		"a namespace without labels":  {&v1alpha1.Access{ConsumerNamespaces: []string{"team-a"}}, "team-a", nil, false, false},
		"by what is no selector":      {&v1alpha1.Access{ConsumerSelector: wrong}, "team-a", inside.MatchLabels, false, true},
		"by none, which is not asked": {&v1alpha1.Access{ConsumerSelector: wrong}, "team-b", inside.MatchLabels, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			consumer := testConsumer()
			consumer.Namespace, consumer.Labels = c.namespace, c.labels
			named, err := NamesConsumer(testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = c.access }), consumer)
			if named != c.named || (err != nil) != c.refused {
				t.Errorf("named: %v, %v", named, err)
			}
			if c.refused {
				wantStalled(t, err, v1alpha1.ReasonInvalidSpec, "spec.access.consumerSelector", "Like")
			}
		})
	}
}

// An acl plugin of the spec says who may call where it is on the whole service; a route's own does not.
func TestAnACLPluginOfItsOwn(t *testing.T) {
	for what, c := range map[string]struct {
		plugin, route string
		everybody     bool
	}{
		"acl on the service":  {"acl", "", true},
		"acl on a route":      {"acl", "api", false},
		"cors on the service": {"cors", "", false},
	} {
		service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "p", Plugin: c.plugin}, Route: c.route}}
		})
		if everybody := testPolicy().Access(service) == nil; everybody != c.everybody {
			t.Errorf("%s: open to every consumer: %v", what, everybody)
		}
	}
}

// Of what is wanted only that is written which shuts somebody out: nobody is let in.
func TestAccessIsOnlyNarrowed(t *testing.T) {
	acl := func(groups ...string) kong.Fields {
		return kong.Fields{"name": "acl", "config": map[string]any{"allow": groups, "hide_groups_header": false}}
	}
	for what, c := range map[string]struct {
		held, wanted, left []string
		narrower           bool
	}{
		"the same":          {[]string{"a", "b"}, []string{"a", "b"}, []string{"a", "b"}, false},
		"one comes":         {[]string{"a"}, []string{"a", "b"}, []string{"a"}, false},
		"one goes":          {[]string{"a", "b"}, []string{"b"}, []string{"b"}, true},
		"one for another":   {[]string{"a", "b"}, []string{"b", "c"}, []string{"b"}, true},
		"all for another":   {[]string{"a"}, []string{"c"}, []string{Nobody}, true},
		"nobody is left":    {[]string{"a"}, []string{Nobody}, []string{Nobody}, true},
		"nobody was let in": {[]string{Nobody}, []string{"a"}, []string{Nobody}, false},
	} {
		t.Run(what, func(t *testing.T) {
			wanted := acl(c.wanted...)
			fields, narrower := NarrowACL(wanted, acl(c.held...))
			got := kong.Fields(fields["config"].(map[string]any)).Strings("allow")
			if narrower != c.narrower || !slices.Equal(got, c.left) {
				t.Errorf("%v, %t", got, narrower)
			}
			if !reflect.DeepEqual(wanted, acl(c.wanted...)) {
				t.Error("what is wanted is changed")
			}
		})
	}
}

// BuildAccess gives the plugin just as BuildService has it.
func TestTheAccessOfAServiceIsThatOfItsEntities(t *testing.T) {
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) { s.Access = &v1alpha1.Access{Groups: []string{"a"}} })
	in := ServiceInput{Service: service}
	access := BuildAccess(testScope, testPolicy(), in)
	if len(access.Entities) != 1 || !slices.ContainsFunc(buildService(t, in).Entities, func(e kong.Entity) bool {
		return reflect.DeepEqual(e, access.Entities[0])
	}) {
		t.Errorf("%+v", access.Entities)
	}
	service.Spec.Access = &v1alpha1.Access{From: v1alpha1.AccessFromAnyNamespace}
	if access = BuildAccess(testScope, testPolicy(), in); len(access.Entities) != 0 {
		t.Errorf("everybody may call, and there is %+v", access.Entities)
	}
}
