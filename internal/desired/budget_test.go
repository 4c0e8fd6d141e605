package desired

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

func TestWhatAServiceTakesOfABudget(t *testing.T) {
	service := testService(func(s *v1alpha1.JwtProtectedServiceSpec) {
		s.Routes = []v1alpha1.Route{
			{Paths: []string{"/a", "/b"}, Hosts: []string{"a.example.com"}, SNIs: []string{"a.example.com"}},
			{Headers: map[string]v1alpha1.HeaderValues{"x-a": {"1", "2"}, "x-b": {"3"}}},
		}
		s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{Name: "p", Config: &apiextensionsv1.JSON{Raw: []byte(`{"a":1}`)}}}}
	})
	service.Spec.Tags = []v1alpha1.Tag{"shop", "eu"}
	service.Spec.Access = &v1alpha1.Access{
		Groups: []string{"team-a.admins"}, Consumers: []v1alpha1.ConsumerReference{{Name: "john"}, {Namespace: "team-b", Name: "mary"}},
	}
	selected := []v1alpha1.ConsumerReference{{Namespace: "team-a", Name: "ann"}, {Namespace: "team-b", Name: "another's"}}
	const tags, access = 4 + 2, 13 + 4 + 6 + 4 + 6 + 3
	want := v1alpha1.BudgetUse{Routes: 2, Matches: 7, ConfigBytes: 7 + 3 + 2 + pluginBytes + tags + access}
	if got := ServiceUse(service, Configs{"p": {[]byte("abc"), []byte("de")}}, selected); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBudgets(t *testing.T) {
	type use = v1alpha1.BudgetUse
	policy := testPolicy(func(p *v1alpha1.GatewayPolicy) { p.Budget = v1alpha1.Budget{Routes: 10, Matches: 20, ConfigBytes: 100} })
	for what, c := range map[string]struct {
		former, wanted use
		others         []use
		says           []string // none: it is taken
	}{
		"all of it":                      {wanted: use{Routes: 10, Matches: 20, ConfigBytes: 100}},
		"what others leave":              {wanted: use{Routes: 4}, others: []use{{Routes: 3}, {Routes: 3}}},
		"a route more":                   {wanted: use{Routes: 5}, others: []use{{Routes: 3}, {Routes: 3}}, says: []string{"spec.routes: ", "11 routes", "budget.routes is 10"}},
		"a path more":                    {wanted: use{Matches: 21}, says: []string{"spec.routes: ", "21 paths", "budget.matches is 20"}},
		"a byte more":                    {wanted: use{ConfigBytes: 1}, others: []use{{ConfigBytes: 100}}, says: []string{"spec.plugins: ", "101 bytes", "budget.configBytes is 100"}},
		"as before, under a smaller one": {former: use{Routes: 15}, wanted: use{Routes: 15}},
		"less, under a smaller one":      {former: use{Routes: 15}, wanted: use{Routes: 12}},
		"more of another kind":           {former: use{Routes: 15}, wanted: use{Routes: 12, Matches: 1}},
		"more, under a smaller one":      {former: use{Routes: 15}, wanted: use{Routes: 16}, says: []string{"16 routes"}},
	} {
		err := policy.CheckBudget("team-a", c.former, c.wanted, c.others)
		if len(c.says) > 0 {
			wantStalled(t, err, v1alpha1.ReasonPolicyViolation, append(c.says, "namespace team-a", "(policy of KongGateway edge)")...)
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := (Policy{}).CheckBudget("a", use{}, use{Routes: defaultRoutes, Matches: defaultMatches, ConfigBytes: defaultConfigBytes}, nil); err != nil {
		t.Error(err)
	}
}
