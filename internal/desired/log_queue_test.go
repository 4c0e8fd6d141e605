package desired

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Kong's queues are by endpoint: two namespaces never have the same one, whatever they write.
func TestLogQueuesAreANamespacesOwn(t *testing.T) {
	endpoint := func(namespace, plugin, written, inSecret string) any {
		t.Helper()
		spec := v1alpha1.PluginSpec{Plugin: plugin}
		if written != "" {
			spec.Config = &apiextensionsv1.JSON{Raw: []byte(`{"http_endpoint": "` + written + `"}`)}
		}
		var from [][]byte
		if inSecret != "" {
			from = [][]byte{[]byte(`{"http_endpoint": "` + inSecret + `"}`)}
		}
		b := builder{scope: testScope, policy: testPolicy(), owner: ServiceOwner(namespace, "orders")}
		fields, err := b.pluginFields("spec.plugins[0]", spec, from)
		if err != nil {
			t.Fatal(err)
		}
		return fields.Object("config")["http_endpoint"]
	}
	const logs = "https://log.example.com/in?a=b"
	for what, c := range map[string]struct{ written, inSecret, want string }{
		"as it is":                   {logs, "", logs + "#" + testScope.Installation + ".team-a"},
		"out of a Secret":            {"", logs, logs + "#" + testScope.Installation + ".team-a"},
		"with another's queue":       {logs + "#" + testScope.Installation + ".team-b", "", logs + "#" + testScope.Installation + ".team-a"},
		"with more than one":         {logs + "#a#b", "", logs + "#" + testScope.Installation + ".team-a"},
		"without a path":             {"https://log.example.com", "", "https://log.example.com#" + testScope.Installation + ".team-a"},
		"over what the spec says":    {"https://x.example.com", logs, logs + "#" + testScope.Installation + ".team-a"},
		"an endpoint that is no URL": {"log", "", "log#" + testScope.Installation + ".team-a"},
	} {
		if got := endpoint("team-a", "http-log", c.written, c.inSecret); got != c.want {
			t.Errorf("%s: %v, want %s", what, got, c.want)
		}
	}
	if got := endpoint("team-a", "cors", logs, ""); got != logs {
		t.Errorf("another plugin has %v", got)
	}
}
