package importer_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/importer"
	"github.com/kongjwt/kong-jwt-operator/internal/schema"
)

// taken fails where the API server would refuse what was made.
func taken(t interface {
	Errorf(string, ...any)
	Fatal(...any)
}, result importer.Result,
) {
	var resources []v1alpha1.Resource
	for _, c := range result.Consumers {
		resources = append(resources, c)
	}
	for _, s := range result.Services {
		resources = append(resources, s)
	}
	for _, r := range resources {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r)
		if err != nil {
			t.Fatal(err)
		}
		faults, err := schema.Check(context.Background(), r.KindName(), fields)
		if err != nil {
			t.Fatal(err)
		}
		if len(faults) > 0 {
			t.Errorf("%s %s would be refused: %v", r.KindName(), r.GetName(), faults)
		}
	}
}

// TestWhatRealKongsHold: what no resource takes is listed, and all else is imported.
func TestWhatRealKongsHold(t *testing.T) {
	for file, want := range map[string][]string{
		"consumers": {
			"consumer cust-17: it has a custom_id and no username",
			"jwt credential envy: its material, its value is in the environment variable DECK_JWT_SECRET of decK: make Secret shop/envy-primary",
			"jwt credential vaulted: its material, its value is in a vault of Kong's: make Secret shop/vaulted-primary",
			"jwt credential bare: its material, the file has none: make Secret shop/bare-primary",
		},
		"services": {
			"service manyroutes: the service and its routes stay as they are, and are nobody's: spec.routes: ",
			"service wss: the service and its routes stay as they are, and are nobody's: protocol wss",
			"plugin my_rewrite: on service customplugin: ",
			"service ipv6bare: the service and its routes stay as they are, and are nobody's: host: no URL has an IPv6 ",
			"plugin acl on manygroups: it is imported, and has to be in spec.policy.plugins",
			"plugin rate-limiting on limits: it is imported; list the Redis on redis.infra.svc in spec.policy.redis",
		},
	} {
		t.Run(file, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("testdata", file+".deck.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			entities, left, err := importer.ReadDeck(content)
			if err != nil {
				t.Fatal(err)
			}
			result := importer.Import(entities, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true})
			taken(t, result)
			var lines []string
			for _, l := range append(left, result.Left...) {
				lines = append(lines, l.What+": "+l.Why)
			}
			for _, beginning := range want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, beginning) }) {
					t.Errorf("%q is not in\n%s", beginning, strings.Join(lines, "\n"))
				}
			}
			for _, line := range lines {
				if strings.Contains(line, "..") || strings.Contains(line, "IPv4") ||
					strings.Contains(line, "on customplugin: it is imported") {
					t.Errorf("%q contradicts another, or is no sentence", line)
				}
			}
			for _, s := range result.Secrets {
				for _, value := range s.StringData {
					if value == "" || strings.Contains(value, "{{") || strings.Contains(value, "vault") {
						t.Errorf("Secret %s holds %q", s.Name, value)
					}
				}
			}
		})
	}
}

// TestPlaceholdersInOtherFields: decK's text is no value there either.
func TestPlaceholdersInOtherFields(t *testing.T) {
	entities, _, err := importer.ReadDeck([]byte(`
_format_version: "3.0"
consumers: [{username: a, jwt_secrets: [{key: '${{ env "DECK_KEY" }}', secret: x}]}]
services:
- name: s
  url: http://${{ env "DECK_HOST" }}/
  routes: [{name: s.r, paths: [/s]}]
  plugins: [{name: jwt}]
- name: t
  url: http://t.example.com
  plugins: [{name: jwt}, {name: http-log, config: {http_endpoint: 'http://${{ env "DECK_LOG" }}'}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	result := importer.Import(entities, importer.Options{Namespace: "shop", Gateway: "main", PlainSecrets: true})
	for _, name := range []string{"DECK_KEY", "DECK_HOST", "DECK_LOG"} {
		if !slices.ContainsFunc(result.Left, func(l importer.Left) bool {
			return strings.Contains(l.Why, "the environment variable "+name+" of decK")
		}) {
			t.Errorf("%s is not named in %v", name, result.Left)
		}
	}
	result.Left = nil
	if written, err := json.Marshal(result); err != nil || strings.Contains(string(written), "{{") {
		t.Errorf("it is written: %v\n%s", err, written)
	}
	if len(result.Services) != 1 || len(result.Consumers) != 1 {
		t.Errorf("%d services and %d consumers", len(result.Services), len(result.Consumers))
	}
}
