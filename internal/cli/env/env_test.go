package env_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

func TestColorsAreForTerminals(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	defer func() { _ = terminal.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = reader.Close(), writer.Close() }()
	for _, c := range []struct {
		noColor, term string
		colored       bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if got := env.Color(terminal); got != c.colored {
			t.Errorf("NO_COLOR=%s TERM=%s: colored is %v", c.noColor, c.term, got)
		}
		if env.Color(writer) || env.Color(&bytes.Buffer{}) {
			t.Error("a pipe is colored")
		}
	}
}
