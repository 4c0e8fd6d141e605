package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// What a release is built by is named by its content: a tag can be moved to something else.
func TestWhatBuildsAReleaseIsPinned(t *testing.T) {
	workflows, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files        []string
		uses, pinned string
	}{
		{[]string{"../../Dockerfile"}, `(?m)^FROM (?:--platform=\S+ )?(\S+)`, `^(scratch|\S+:\S+@sha256:[0-9a-f]{64})$`},
		{workflows, `(?m)^ *-? *uses: (\S+)`, `^(\./\S+|\S+@[0-9a-f]{40})$`},
	} {
		found, pinned := 0, regexp.MustCompile(c.pinned)
		for _, file := range c.files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, use := range regexp.MustCompile(c.uses).FindAllStringSubmatch(string(content), -1) {
				found++
				if !pinned.MatchString(use[1]) {
					t.Errorf("%s: %s is not pinned by its digest or commit", file, use[1])
				}
			}
		}
		if found < 2 {
			t.Errorf("found %d uses only in %v", found, c.files)
		}
	}
}
