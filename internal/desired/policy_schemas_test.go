package desired

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// leadsSomewhere matches the names of options that could say where Kong connects to.
var leadsSomewhere = regexp.MustCompile(`(?i)(host|url|uri|endpoint|address(es)?|server|broker|domain|ip|socket)$`)

// leadNowhere are options of such names that Kong connects to nothing by.
var leadNowhere = map[string]string{
	"request-transformer.replace.uri": "the path of a request to the service's own upstream",
}

// TestEveryHostInPluginsIsJudged goes through the options of Kong's plugins, as real Kongs showed them: what names a
// host or a URL is held to policy.upstreams.
func TestEveryHostInPluginsIsJudged(t *testing.T) {
	judged := 0
	for _, version := range []string{"3.4.2", "3.9.3"} {
		content, err := os.ReadFile("../kongsim/schema/recorded/" + version + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var schemas struct {
			Plugins map[string]any `json:"plugins"`
		}
		if err := json.Unmarshal(content, &schemas); err != nil {
			t.Fatal(err)
		}
		for plugin, schema := range schemas.Plugins {
			for _, option := range textOptions(schema, nil) {
				name := plugin + "." + strings.TrimPrefix(strings.Join(option, "."), "config.")
				if option[0] != "config" || !leadsSomewhere.MatchString(option[len(option)-1]) || leadNowhere[name] != "" {
					continue
				}
				for _, value := range []string{"127.0.0.1", "http://127.0.0.1/", "http://log.example.com@127.0.0.1/"} {
					var config any = value
					for i := len(option) - 1; i > 0; i-- {
						config = map[string]any{option[i]: config}
					}
					object, _ := config.(map[string]any)
					err := testPolicy().checkPluginConfig("spec.plugins[0]", "team-a", plugin, object, object)
					if err == nil && (value != "127.0.0.1" || !isURL(option)) {
						t.Errorf("Kong %s: %s may be %s", version, name, value)
					}
					judged++
				}
			}
		}
	}
	if judged < 20 {
		t.Errorf("%d options are judged only", judged)
	}
}

// isURL says whether an option takes URLs alone: Kong refuses what is none.
func isURL(option []string) bool {
	return regexp.MustCompile(`(endpoint|url|uri)$`).MatchString(option[len(option)-1])
}

// textOptions lists the paths of the fields of a schema that hold texts.
func textOptions(schema any, at []string) (found [][]string) {
	object, _ := schema.(map[string]any)
	for _, list := range []string{"fields", "shorthand_fields"} {
		fields, _ := object[list].([]any)
		for _, field := range fields {
			named, _ := field.(map[string]any)
			for name, inner := range named {
				here := append(append([]string{}, at...), name)
				if of, _ := inner.(map[string]any); of["type"] == "string" {
					found = append(found, here)
				}
				found = append(found, textOptions(inner, here)...)
			}
		}
	}
	return found
}
