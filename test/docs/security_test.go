package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const securityPage = "docs/security.md"

// held is a test that a line of the page names: a function, or what the name of a spec or of an entry of a table
// begins with.
var held = regexp.MustCompile("`(\\w+)`|\"([^\"]+)\"")

// Each line of the threat model is held by tests that are there, under the names that the page gives.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	lines, tests := 0, 0
	for number, line := range strings.Split(read(t, securityPage), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		last := strings.TrimSpace(cells[len(cells)-1])
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || last == "Test" {
			continue
		}
		lines++
		found, err := testsIn(last)
		if err != nil {
			t.Errorf("%s:%d: %v", securityPage, number+1, err)
		}
		tests += found
	}
	if lines < 25 || tests < 40 {
		t.Errorf("found %d lines and %d tests only", lines, tests)
	}
}

// testsIn reads a cell such as
//
//	`a/b_test.go`: `TestX`, "does this"; `c_test.go`: "does that"
//
// and gives how many tests it names.
func testsIn(cell string) (int, error) {
	count := 0
	for _, place := range strings.Split(cell, "; `") {
		path, names, found := strings.Cut(strings.TrimPrefix(place, "`"), "`: ")
		if !found || !strings.HasSuffix(path, "_test.go") {
			return count, fmt.Errorf("%q is no file of tests with the names of tests behind it", place)
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return count, err
		}
		matches := held.FindAllStringSubmatch(names, -1)
		if len(matches) == 0 {
			return count, fmt.Errorf("%s: no test is named", path)
		}
		for _, match := range matches {
			count++
			if !isHeld(string(content), match[1], match[2]) {
				return count, fmt.Errorf("%s has no %s%s", path, match[1], match[2])
			}
		}
	}
	return count, nil
}

func isHeld(content, function, name string) bool {
	if function != "" {
		return strings.Contains(content, "\nfunc "+function+"(")
	}
	return strings.Contains(content, `"`+name)
}

func TestSecurityCells(t *testing.T) {
	for cell, valid := range map[string]bool{
		"`test/docs/security_test.go`: `TestSecurityCells`":                                                                true,
		"`test/docs/security_test.go`: `TestSecurityCells`, `testsIn`; `test/docs/docs_test.go`: `TestLinksLeadSomewhere`": true,
		"`test/docs/security_test.go`: \"found %d lines\"":                                                                 true,
		"`test/docs/pages_test.go`: \"no such text\"":                                                                      false,
		"`test/docs/security_test.go`: `TestNoSuch`":                                                                       false,
		"`test/docs/security_test.go`":                                                                                     false,
		"`test/docs/no_test.go`: `Test`":                                                                                   false,
		"`test/docs`: `TestNoSuch`":                                                                                        false,
		"a test":                                                                                                           false,
	} {
		if _, err := testsIn(cell); (err == nil) != valid {
			t.Errorf("%s: got %v, want valid %v", cell, err, valid)
		}
	}
}
