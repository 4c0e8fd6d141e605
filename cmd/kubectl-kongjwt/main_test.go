package main

import (
	"slices"
	"testing"
)

func TestItCompletesByAnotherName(t *testing.T) {
	for name, expected := range map[string][]string{
		"/usr/local/bin/kubectl-kongjwt":              {"token", "cr"},
		"/usr/local/bin/kubectl_complete-kongjwt":     {"__complete", "token", "cr"},
		"/usr/local/bin/kubectl_complete-kongjwt.exe": {"__complete", "token", "cr"},
	} {
		if got := arguments([]string{name, "token", "cr"}); !slices.Equal(got, expected) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
