// Package page writes the tables that commands measure into the pages that show them.
package page

import (
	"fmt"
	"os"
	"strings"
)

// WriteTable replaces, in a file, what stands between the marks of a make target's table. The error says where there
// is no place for it.
func WriteTable(path, target, table string) error {
	content, err := os.ReadFile(path) //nolint:gosec // The path that the caller names.
	if err != nil {
		return err
	}
	begins, ends := fmt.Sprintf("<!-- The table of make %s begins. -->\n", target), fmt.Sprintf("<!-- The table of make %s ends. -->\n", target)
	before, rest, began := strings.Cut(string(content), begins)
	_, after, ended := strings.Cut(rest, ends)
	if !began || !ended {
		return fmt.Errorf("%s has no place for the table of make %s", path, target)
	}
	return os.WriteFile(path, []byte(before+begins+table+ends+after), 0o644) //nolint:gosec // Documentation is for everybody.
}
