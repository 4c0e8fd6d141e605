// Command reference writes from the sources the pages metrics.md, reasons.md, flags.md, compatibility.md and
// kubectl-kongjwt.md of docs/reference, and what the kubectl plugin says about each reason.
//
//	reference PAGES_DIRECTORY REMEDIES_GO_FILE
//
// It is run from the repository's root.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reference PAGES_DIRECTORY REMEDIES_GO_FILE")
		os.Exit(2)
	}
	if err := run(".", os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// run writes all pages of the repository at root into a directory, and the remedies.
func run(root, directory, remedies string) error {
	files := map[string]func(root string) (string, error){
		filepath.Join(directory, "metrics.md"):         metricsPage,
		filepath.Join(directory, "reasons.md"):         reasonsPage,
		filepath.Join(directory, "flags.md"):           flagsPage,
		filepath.Join(directory, "kubectl-kongjwt.md"): cliPage,
		filepath.Join(directory, "compatibility.md"):   compatibilityPage,
		remedies: remediesSource,
	}
	var problems []error
	for name, write := range files {
		text, err := write(root)
		if err == nil {
			err = os.WriteFile(name, []byte(text), 0o644) //nolint:gosec // Read by everyone.
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}
