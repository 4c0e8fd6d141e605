package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// refusal is a literal message in a call of fail or failure, or in what is assigned to a message.
var refusal = regexp.MustCompile(`(?:fail\(|failure\(|(?:aclRefused|ErrorMessage|message)(?: :?=|:)).*"([A-Za-z][^" ]* [^"]+)"`)

// The simulated Kong is held to a real one's recordings: what it says to clients, Kong says. The jwt plugin's
// messages are looked for by a test beside it.
func TestTroubleshootingHasEveryMessageOfKong(t *testing.T) {
	page := read(t, "docs/how-to/troubleshooting.md")
	files, err := filepath.Glob(filepath.Join(root, "internal/kongsim/dataplane/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, groups := range refusal.FindAllStringSubmatch(string(content), -1) {
			found[groups[1]] = true
		}
	}
	for message := range found {
		if text, _, _ := strings.Cut(message, ": "); !strings.Contains(page, text) {
			t.Errorf("the page does not have %q", message)
		}
	}
	if message := "API rate limit exceeded"; !strings.Contains(page, message) { // it is a default of Kong's schema
		t.Errorf("the page does not have %q", message)
	}
	for _, known := range []string{
		"You cannot consume this service", "no Route matched with those values", "Please use HTTPS protocol",
		"An invalid response was received from the upstream server", "name resolution failed", "The upstream server is timing out",
	} {
		if !found[known] {
			t.Errorf("%q was not found among what the simulated Kong says: %v", known, found)
		}
	}
}
