// Command reference writes pages of docs/reference from the sources: metrics.md, reasons.md and flags.md.
//
//	reference DIRECTORY
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
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference DIRECTORY")
		os.Exit(2)
	}
	if err := run(".", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// run writes all pages of the repository at root into a directory.
func run(root, directory string) error {
	pages := map[string]func(root string) (string, error){
		"metrics.md": metricsPage, "reasons.md": reasonsPage, "flags.md": flagsPage,
	}
	var problems []error
	for name, write := range pages {
		page, err := write(root)
		if err == nil {
			err = os.WriteFile(filepath.Join(directory, name), []byte(page), 0o644) //nolint:gosec // Read by everyone.
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}
