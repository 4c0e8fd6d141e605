package objects_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestWhatSomebodyAddsAndTheControllerReadsIsSurplus(t *testing.T) {
	for name, c := range map[string]struct {
		want, is, patch string
	}{
		"as it is wanted": {
			`{"kind":"Ingress","metadata":{"annotations":{"konghq.com/tags":"a"}},"spec":{"rules":[{}]}}`,
			`{"kind":"Ingress","metadata":{"annotations":{"konghq.com/tags":"a","else/note":"b"},"uid":"u"},
				"spec":{"rules":[{}]},"status":{"loadBalancer":{}}}`,
			`null`,
		},
		"a plugin of a route": {
			`{"kind":"Ingress","metadata":{"annotations":{}}}`,
			`{"kind":"Ingress","metadata":{"annotations":{"konghq.com/plugins":"open"}}}`,
			`{"metadata":{"annotations":{"konghq.com/plugins":null},"labels":{}}}`,
		},
		"another backend": {
			`{"kind":"Ingress","spec":{"rules":[{}]}}`, `{"kind":"Ingress","spec":{"rules":[{}],"defaultBackend":{"service":{}}}}`,
			`{"spec":{"defaultBackend":null}}`,
		},
		"a certificate": {
			`{"kind":"Ingress","spec":{"rules":[{}]}}`, `{"kind":"Ingress","spec":{"rules":[{}],"tls":[{}]}}`, `null`,
		},
		"who is without a token, and when": {
			`{"kind":"KongClusterPlugin","plugin":"jwt","config":{"realm":"a"}}`,
			`{"kind":"KongClusterPlugin","plugin":"jwt","config":{"realm":"a","anonymous":"guest"},"disabled":true}`,
			`{"config":{"anonymous":null},"disabled":null}`,
		},
		"no configuration": {
			`{"kind":"KongClusterPlugin","config":null}`, `{"kind":"KongClusterPlugin"}`, `null`,
		},
		"a credential": {
			`{"kind":"KongConsumer","credentials":["a"]}`, `{"kind":"KongConsumer","credentials":["a","b"]}`, `{"credentials":["a"]}`,
		},
		"taken over": {
			`{"kind":"KongConsumer","credentials":["a"]}`,
			`{"kind":"KongConsumer","credentials":["a","b"],"consumerGroups":["c"],"metadata":{"annotations":{"konghq.com/plugins":"p"}}}`,
			`{"credentials":["a"]}`,
		},
		"a Secret that was taken over": {
			`{"kind":"Secret"}`, `{"kind":"Secret","metadata":{"labels":{"konghq.com/credential":"jwt"}}}`, `null`,
		},
		"what the API server adds": {
			`{"kind":"Service","spec":{"type":"ExternalName"}}`,
			`{"kind":"Service","spec":{"type":"ExternalName","sessionAffinity":"None"}}`, `null`,
		},
		"what is a credential": {
			`{"kind":"Secret","metadata":{"labels":{"konghq.com/secret":"true"}}}`,
			`{"kind":"Secret","metadata":{"labels":{"konghq.com/secret":"true","konghq.com/credential":"jwt"}}}`,
			`{"metadata":{"annotations":{},"labels":{"konghq.com/credential":null}}}`,
		},
	} {
		var want, is map[string]any
		for text, into := range map[string]*map[string]any{c.want: &want, c.is: &is} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		o := objects.Object{Content: want}
		if o.Kind, _ = want["kind"].(string); strings.Contains(name, "taken over") {
			o.StandsFor = "another"
		}
		if raw, err := json.Marshal(objects.Surplus(o, is)); err != nil || string(raw) != c.patch {
			t.Errorf("%s: %s, %v", name, raw, err)
		}
	}
}
