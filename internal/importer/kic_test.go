package importer_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/manifests"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
)

func readKIC(t *testing.T) (importer.Result, []importer.Left) {
	t.Helper()
	objects, err := manifests.Read(nil, []string{"testdata/kic"})
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for _, object := range objects {
		all = append(all, object.Content)
	}
	entities, left := importer.ReadKIC(all, "shop")
	return importer.Import(entities, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true}), left
}

func TestReadKICConsumer(t *testing.T) {
	result, _ := readKIC(t)
	if len(result.Consumers) != 1 {
		t.Fatalf("%+v", result.Consumers)
	}
	c := result.Consumers[0]
	if c.Name != "john" || c.Spec.Username != "john" || c.Spec.CustomID != "42" || !slices.Equal(c.Spec.Groups, []string{"buyers"}) {
		t.Errorf("%+v", c)
	}
	var credentials []string
	for _, credential := range c.Spec.Credentials {
		credentials = append(credentials, credential.Key+" "+string(credential.Algorithm))
	}
	if !slices.Equal(credentials, []string{"john-key HS256", "john-rsa RS256"}) {
		t.Errorf("credentials %v", credentials)
	}
	if len(result.Secrets) != 2 || result.Secrets[0].StringData["secret"] != "planted-material-of-john" {
		t.Errorf("%d Secrets", len(result.Secrets))
	}
	if len(c.Spec.Plugins) != 1 || c.Spec.Plugins[0].Plugin != "request-size-limiting" {
		t.Errorf("plugins %+v", c.Spec.Plugins)
	}
}

func TestReadKICIngress(t *testing.T) {
	result, _ := readKIC(t)
	if len(result.Services) != 1 {
		t.Fatalf("%+v, left %+v", result.Services, result.Left)
	}
	s := result.Services[0]
	if s.Name != "orders" || s.Spec.ServiceName != "" || s.Spec.AttachTo != nil {
		t.Errorf("%+v", s)
	}
	upstream := &v1alpha1.Upstream{ServiceRef: &v1alpha1.UpstreamServiceReference{Name: "orders", Port: 8080}, Path: "/v1", ReadTimeout: "5s"}
	if !reflect.DeepEqual(s.Spec.Upstream, upstream) {
		t.Errorf("upstream %+v", s.Spec.Upstream)
	}
	preserve := true
	route := v1alpha1.Route{
		Name: "rule-1", Hosts: []string{"orders.example.com"}, Paths: []string{"/orders/", "~/orders$", `~/health\.txt$`, "~/items/[0-9]+"},
		Headers: map[string]v1alpha1.HeaderValues{"x-env": {"live", "test"}}, Protocols: []v1alpha1.Protocol{"https"}, PreserveHost: &preserve,
	}
	if len(s.Spec.Routes) != 1 || !reflect.DeepEqual(s.Spec.Routes[0], route) {
		t.Errorf("routes %+v", s.Spec.Routes)
	}
	if s.Spec.JWT.KeyClaimName != "kid" || !slices.Equal(s.Spec.JWT.ClaimsToVerify, []v1alpha1.TimeClaim{"exp"}) {
		t.Errorf("jwt %+v", s.Spec.JWT)
	}
	if s.Spec.Access == nil || !slices.Equal(s.Spec.Access.Groups, []string{"buyers"}) || s.Spec.RateLimit == nil || *s.Spec.RateLimit.Minute != 60 {
		t.Errorf("access %+v, rate limit %+v", s.Spec.Access, s.Spec.RateLimit)
	}
}

// TestReadKICLeavesNothingUnsaid: what is in no resource is told, without material.
func TestReadKICLeavesNothingUnsaid(t *testing.T) {
	_, left := readKIC(t)
	var told []string
	for _, l := range left {
		told = append(told, l.What+": "+l.Why)
	}
	for _, expected := range []string{
		"KongConsumer john: its Secret john-key holds a credential of type \"key-auth\"",
		"KongConsumer john: its Secret john-lost is not in the folder",
		"KongConsumer jane: it is in namespace elsewhere",
		"KongClusterPlugin everywhere: it is global",
		"Ingress orders: its annotation konghq.com/rewrite is not read",
		"Ingress orders: its certificates (spec.tls)",
		"Service orders: its annotation konghq.com/host-header is not read",
		"HTTPRoute newer: this kind is not read",
	} {
		i := slices.IndexFunc(told, func(text string) bool { return strings.HasPrefix(text, expected) })
		if i < 0 {
			t.Errorf("%q is not told: %v", expected, told)
			continue
		}
		told = slices.Delete(told, i, i+1)
	}
	if len(told) > 0 {
		t.Errorf("told beside: %v", told)
	}
}
