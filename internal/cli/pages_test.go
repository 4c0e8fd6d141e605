package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/test/docs"
)

var span = regexp.MustCompile("`([^`]*kubectl kongjwt [^`]+)`")

// Blocks of the pages are typed by test/chart/pages. What stands in a sentence names commands and flags that there
// are.
func TestCommandsInSentencesParse(t *testing.T) {
	pages, err := docs.Pages("../..")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		for _, line := range page.Prose {
			for _, text := range span.FindAllStringSubmatch(line.Text, -1) {
				for _, arguments := range invocations(strings.ReplaceAll(text[1], "…", "")) {
					found++
					commands, _ := root()
					cmd, rest, err := commands.Find(arguments)
					if err == nil {
						err = cmd.ParseFlags(rest)
					}
					if err != nil {
						t.Errorf("%s:%d: %s: %v", page.Path, line.Number, text[1], err)
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d commands found", found)
	}
}
