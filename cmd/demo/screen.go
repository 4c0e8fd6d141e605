package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// screen writes what a person watches.
type screen struct {
	out      io.Writer
	answers  int
	differed int
}

func newScreen(out io.Writer) *screen { return &screen{out: out} }

func (s *screen) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

func (s *screen) title(text string) { s.printf("%s\n%s\n", text, strings.Repeat("=", len(text))) }

func (s *screen) section(text string) { s.printf("\n%s\n%s\n", text, strings.Repeat("-", len(text))) }

func (s *screen) progress(what string, took time.Duration) {
	s.printf("  %-34s %5.1fs\n", what, took.Seconds())
}

func (s *screen) line(format string, args ...any) { s.printf("  "+format+"\n", args...) }

// tableHead begins a table of requests.
func (s *screen) tableHead() {
	s.printf("  %-36s %-45s %s\n", "REQUEST", "EXPECTED", "ANSWERED")
}

// tableRow shows one request, and counts whether it was answered as expected.
func (s *screen) tableRow(request, expected, answered string) {
	s.answers++
	mark := "ok"
	if answered != expected {
		s.differed++
		mark = "DIFFERS"
	}
	s.printf("  %-36s %-45s %-45s %s\n", request, expected, answered, mark)
}

// verdict says how the demo went.
func (s *screen) verdict() error {
	s.section("Result")
	if s.differed > 0 {
		return fmt.Errorf("%d of %d answers differ from what was expected", s.differed, s.answers)
	}
	s.line("All %d answers as expected, and nothing left in Kong.", s.answers)
	return nil
}

// lookAround says what there is to try while all is running.
func (s *screen) lookAround(running *stack.Stack, dir string) {
	s.section("All of it keeps running until Ctrl-C. Things to try, in another terminal:")
	s.line("export KUBECONFIG=%s", running.Kubeconfig)
	if here, err := os.Getwd(); err == nil {
		s.line("export PATH=%s/bin:$PATH                   # the plugin: kubectl kongjwt", here)
	}
	s.line("alias kubectl=\"$(hack/tools.sh kubectl)\"    # only if you have no kubectl; it is compiled once")
	s.line("kubectl kongjwt status -n tutorial         # what works, what does not, and what to do")
	s.line("kubectl get kongjwt -A                     # every resource, and whether it works")
	s.line("kubectl describe jwtconsumer -n tutorial   # conditions and events")
	s.line("kubectl edit secret -n tutorial john-jwt   # change a secret; Kong follows")
	s.line("curl -i %s/api                             # refused: no token", running.ProxyURL)
	s.line("curl -i -H \"Authorization: $(kubectl get secret -n tutorial admin-token -o jsonpath='{.data.authorization}' | base64 -d)\" %s/users", running.ProxyURL)
	s.line("curl %s/consumers                          # what Kong's Admin API holds", running.AdminURL)
	s.line("Logs: %s", dir)
}
