package desired

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
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
