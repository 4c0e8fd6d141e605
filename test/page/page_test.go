package page_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/test/page"
)

func TestWriteTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	const before, after = "# Page\n<!-- The table of make x begins. -->\n", "<!-- The table of make x ends. -->\nmore\n"
	if err := os.WriteFile(path, []byte(before+"old\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"new\n", "newer\n"} {
		if err := page.WriteTable(path, "x", table); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != before+table+after {
			t.Errorf("%q %v", content, err)
		}
	}
	if err := page.WriteTable(path, "y", "new\n"); err == nil {
		t.Error("a table is written where there is no place for it")
	}
}
