package pages

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/test/docs"
)

// reader goes through pages and does what they say.
type reader struct {
	*testing.T
	shell *shell
	// instead of texts of the pages, such as an address, types others.
	instead map[string]string
	// skips are the commands that are not typed here, by how they begin, and why.
	skips map[string]string
	// before is done before a command is typed, and ends are exit codes other than 0, by the whole command.
	before map[string]func() error
	ends   map[string]int
	// after is done once a command that begins so has ended.
	after map[string]func() error
	// anyOrder are the commands whose lines come in an order of their own.
	anyOrder []string

	skipped map[string]bool
}

func page(t *testing.T, path string) docs.Page {
	t.Helper()
	all, err := docs.Pages(root)
	must(t, err)
	for _, p := range all {
		if p.Path == path {
			return p
		}
	}
	t.Fatalf("there is no page %s", path)
	return docs.Page{}
}

// shownByLast is the comment before a block that shows what the command before it answered.
const shownByLast = "shown by the last command"

// reads types every command of a page, and compares what is answered with what the page shows.
func (r *reader) reads(path string) {
	r.Helper()
	read[path] = true
	if r.Failed() {
		return // the shell may be busy with what failed
	}
	r.Run(path, func(t *testing.T) {
		within := *r
		within.T = t
		typed, last := 0, docs.Command{}
		for _, block := range page(t, path).Blocks {
			for i, command := range block.Commands() {
				if within.skip(command.Text) {
					continue
				}
				typed, last = typed+1, command
				within.types(command, shownAfter(block, i))
			}
			if block.Note == shownByLast {
				within.types(last, block.Text)
			}
		}
		if typed == 0 {
			t.Error("nothing was typed")
		}
	})
}

func (r *reader) skip(command string) bool {
	for start := range r.skips {
		if strings.HasPrefix(command, start) {
			r.skipped[start] = true
			return true
		}
	}
	return false
}

// shownAfter is what a console shows between a command and the next one.
func shownAfter(block docs.Block, number int) string {
	if block.Language != "console" {
		return ""
	}
	parts := strings.Split("\n"+block.Text, "\n$ ")[1:]
	_, shown, _ := strings.Cut(parts[number], "\n")
	return shown
}

// types types a command, again and again while it does not end well or does not show what the page shows: what it
// waits for takes a moment.
func (r *reader) types(command docs.Command, shown string) {
	r.Helper()
	text := command.Text
	// One may be the beginning of another.
	longest := func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }
	for _, from := range slices.SortedFunc(maps.Keys(r.instead), longest) {
		to := r.instead[from]
		text = strings.ReplaceAll(text, from, to)
		shown = strings.ReplaceAll(shown, from, to)
	}
	if f := r.before[command.Text]; f != nil {
		must(r.T, f())
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	for {
		output, code, err := r.shell.run(ctx, text)
		if err != nil {
			r.Fatalf("line %d: %v\n%s", command.Line, err, output)
		}
		problem := ""
		line, differs := r.compare(text)(shown, output)
		switch {
		case code != r.ends[command.Text]:
			problem = fmt.Sprintf("it ended with %d", code)
		case differs:
			problem = "the page shows another line: " + line
		default:
			r.Logf("$ %s\n%s", text, output)
			r.done(command.Text)
			return
		}
		select {
		case <-ctx.Done():
			r.Fatalf("line %d: $ %s\n%s:\n%s", command.Line, text, problem, output)
		case <-time.After(time.Second):
		}
	}
}

func (r *reader) compare(command string) func(page, shown string) (string, bool) {
	for _, start := range r.anyOrder {
		if strings.HasPrefix(command, start) {
			return missingOf
		}
	}
	return missing
}

func (r *reader) done(command string) {
	r.Helper()
	for start, f := range r.after {
		if strings.HasPrefix(command, start) {
			if err := f(); err != nil {
				r.Fatalf("after %s: %v", command, err)
			}
		}
	}
}

// newReader opens a shell.
func newReader(t *testing.T, dir string, env []string) *reader {
	t.Helper()
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	s, err := newShell(t.Context(), dir, env)
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	r := &reader{T: t, shell: s, instead: map[string]string{}, skips: map[string]string{}, after: map[string]func() error{}, before: map[string]func() error{}, ends: map[string]int{}, skipped: map[string]bool{}}
	t.Cleanup(func() {
		for start := range r.skips {
			if !r.skipped[start] && !t.Failed() {
				t.Errorf("no page has a command that begins with %q any more", start)
			}
		}
	})
	return r
}
