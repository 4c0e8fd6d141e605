package mistakes_test

import (
	"regexp"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/mistakes"
)

const upstream = "upstream: {url: 'http://a.example.com'}\n"

func service(t *testing.T, spec string) *v1alpha1.JwtProtectedService {
	t.Helper()
	s := &v1alpha1.JwtProtectedService{}
	s.Namespace, s.Name = "shop", "orders"
	if err := yaml.UnmarshalStrict([]byte(spec), &s.Spec); err != nil {
		t.Fatal(err)
	}
	return s
}

// form is that of all messages to users: field, what is wrong, what to do.
var form = regexp.MustCompile(`^spec[^ ]*: .*[^.]\. [A-Z].*\.$`)

func rulesOf(t *testing.T, found []mistakes.Mistake) []mistakes.Rule {
	t.Helper()
	var rules []mistakes.Rule
	for _, m := range found {
		if !form.MatchString(m.Message) {
			t.Errorf("not in the form of messages: %s", m.Message)
		}
		rules = append(rules, m.Rule)
	}
	return rules
}

func TestRoutes(t *testing.T) {
	for what, c := range map[string]struct {
		spec string
		want []mistakes.Rule
	}{
		"a plain route":                   {upstream + "routes: [{name: a, paths: [/a]}]", nil},
		"no routes":                       {upstream, []mistakes.Rule{mistakes.NoRoutes}},
		"attached: the routes are others": {"attachTo: {serviceName: s}", nil},
		"a star":                          {upstream + "routes: [{name: a, paths: ['/x/*']}]", []mistakes.Rule{mistakes.StarInPath}},
		"a star in an expression":         {upstream + "routes: [{name: a, paths: ['~/x/.*']}]", nil},
		"an expression without tilde":     {upstream + `routes: [{name: a, paths: ['/x/\d+']}]`, []mistakes.Rule{mistakes.ExpressionWithoutTilde}},
		"any rest without tilde":          {upstream + `routes: [{name: a, paths: ['/x/.*']}]`, []mistakes.Rule{mistakes.ExpressionWithoutTilde}},
		"dots and plus in a plain path":   {upstream + `routes: [{name: a, paths: ['/v1.2/c++/x']}]`, nil},
		"capitals in a host":              {upstream + "routes: [{name: a, hosts: [API.example.com]}]", []mistakes.Rule{mistakes.UnmatchedHost}},
		"a host's final dot, with a port": {upstream + "routes: [{name: a, hosts: ['api.example.com.:8443']}]", []mistakes.Rule{mistakes.UnmatchedHost}},
		"hosts that match":                {upstream + "routes: [{name: a, hosts: ['api.example.com:8443', '*.example.com', api.*]}]", nil},
		"cors and GET":                    {upstream + "routes: [{name: a, methods: [GET]}]\nplugins: [{name: c, plugin: cors}]", []mistakes.Rule{mistakes.PreflightWithoutRoute}},
		"cors that is off":                {upstream + "routes: [{name: a, methods: [GET]}]\nplugins: [{name: c, plugin: cors, enabled: false}]", nil},
		"cors on another route":           {upstream + "routes: [{name: a, methods: [GET]}, {name: b, paths: [/b]}]\nplugins: [{name: c, plugin: cors, route: b}]", nil},
		"cors and OPTIONS":                {upstream + "routes: [{name: a, methods: [GET, OPTIONS]}]\nplugins: [{name: c, plugin: cors}]", nil},
	} {
		t.Run(what, func(t *testing.T) {
			found := mistakes.Routes(&service(t, c.spec).Spec)
			if got := rulesOf(t, found); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", found, c.want)
			}
		})
	}
}

func TestUnmatchedHostNamesTheHostThatMatches(t *testing.T) {
	found := mistakes.Routes(&service(t, upstream+"routes: [{name: a, hosts: ['API.example.com.:8443']}]").Spec)
	if len(found) != 1 || !regexp.MustCompile(`Write api\.example\.com:8443\.$`).MatchString(found[0].Message) {
		t.Errorf("got %v", found)
	}
}

func TestAccess(t *testing.T) {
	callers := mistakes.Callers{
		Where:       "KongGateway default",
		HasConsumer: func(namespace, name string) bool { return namespace+"/"+name == "shop/worker" },
		HasGroup:    func(group string) bool { return group == "clients" },
		HasUsername: func(username string) bool { return username == "shop.guest" },
	}
	for what, c := range map[string]struct {
		spec string
		want []mistakes.Rule
	}{
		"nothing is named": {upstream, nil},
		"all are there":    {"access: {consumers: [{name: worker}], groups: [clients]}\njwt: {anonymous: shop.guest}", nil},
		"a consumer that nobody is": {
			"access: {consumers: [{name: worker}, {name: nobdy}]}", []mistakes.Rule{mistakes.AccessNoConsumer},
		},
		"a consumer of another namespace": {
			"access: {consumers: [{namespace: pay, name: worker}]}", []mistakes.Rule{mistakes.AccessNoConsumer},
		},
		"a group that nobody has":     {"access: {groups: [clients, client]}", []mistakes.Rule{mistakes.AccessNoGroup}},
		"an anonymous that nobody is": {"jwt: {anonymous: guest}", []mistakes.Rule{mistakes.AnonymousNobody}},
	} {
		t.Run(what, func(t *testing.T) {
			found := mistakes.Access(service(t, c.spec), callers)
			if got := rulesOf(t, found); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", found, c.want)
			}
		})
	}
}
