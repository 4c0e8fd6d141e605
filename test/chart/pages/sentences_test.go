package pages

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/test/docs"
)

// span is code within a sentence.
var span = regexp.MustCompile("`([^`]+)`")

// Blocks are typed. What stands in a sentence is a command, with flags, that the tool has: its help is asked with all
// of them before it.
func TestCommandsInSentencesAreThere(t *testing.T) {
	tools := map[string]string{"kubectl": environment(t, "KJO_KUBECTL"), "helm": environment(t, "KJO_HELM")}
	all, err := docs.Pages(root)
	must(t, err)
	asked := map[string]bool{}
	for _, page := range all {
		for _, line := range page.Prose {
			for _, found := range span.FindAllStringSubmatch(line.Text, -1) {
				for _, command := range regexp.MustCompile(`[|;&]+`).Split(found[1], -1) {
					words := strings.Fields(command)
					if len(words) < 2 || tools[words[0]] == "" || words[1] == "kongjwt" || asked[command] {
						continue
					}
					asked[command] = true
					if out, err := exec.CommandContext(t.Context(), tools[words[0]], append(words[1:], "--help")...).CombinedOutput(); err != nil {
						t.Errorf("%s:%d: %s: %s", page.Path, line.Number, command, out)
					}
				}
			}
		}
	}
	if len(asked) < 20 {
		t.Errorf("%d commands found", len(asked))
	}
}
