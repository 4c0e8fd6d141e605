package docs

import (
	"path/filepath"
	"strings"
	"testing"
)

// Whoever begins at the index gets to every page. Decisions are listed by their folder.
func TestIndexLeadsToEveryPage(t *testing.T) {
	const index = "docs/README.md"
	linked := map[string]bool{}
	for _, page := range pages(t) {
		if page.Path != index {
			continue
		}
		for _, line := range page.Prose {
			for _, found := range link.FindAllStringSubmatch(line.Text, -1) {
				target, _, _ := strings.Cut(found[1], "#")
				linked[filepath.ToSlash(filepath.Join("docs", target))] = true
			}
		}
	}
	for _, page := range pages(t) {
		if !strings.HasPrefix(page.Path, "docs/") || page.Path == index || strings.HasPrefix(page.Path, "docs/design/") && linked["docs/design"] {
			continue
		}
		if !linked[page.Path] {
			t.Errorf("%s does not lead to %s", index, page.Path)
		}
	}
}
