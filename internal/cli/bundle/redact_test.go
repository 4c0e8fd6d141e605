package bundle

import (
	"strings"
	"testing"
)

// What a Secret holds is taken out of a log, however it is written there.
func TestValuesOfSecretsAreTakenOut(t *testing.T) {
	var theirs, ours scrubber
	theirs.learn(map[string][]byte{
		"key":        []byte("admin-token-under-a-data-key-called-key"),
		"config":     []byte(`{"headers": {"Authorization": "Splunk 00000000-1111-2222"}, "list": ["in-a-list"], "key": "k-of-a-log"}`),
		"config.yml": []byte("headers:\n  x-key: in-yaml-1234\n"),
	}, false)
	ours.learn(map[string][]byte{
		"key":        []byte("team-a.john.primary"),
		"state.json": []byte(`{"credentials":{"primary":{"generations":[{"key":"team-a.john.primary","secret":"retiring-secret-of-the-state"}]}}}`),
	}, true)
	for _, c := range []struct {
		guard *scrubber
		text  string
		goes  bool
	}{
		{&theirs, "admin-token-under-a-data-key-called-key", true},
		{&theirs, "Splunk 00000000-1111-2222", true},
		{&theirs, "in-a-list", true},
		{&theirs, "k-of-a-log", true},
		{&theirs, "in-yaml-1234", true},
		{&ours, "retiring-secret-of-the-state", true},
		{&ours, "team-a.john.primary", false},
	} {
		if cleaned := c.guard.clean("a line with " + c.text + " in it"); strings.Contains(cleaned, c.text) == c.goes {
			t.Errorf("%q", cleaned)
		}
	}
}
