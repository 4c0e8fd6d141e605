package pages

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/test/docs"
)

// read are the pages that were read, and elsewhere those whose commands are held by other tests.
var (
	read      = map[string]bool{}
	elsewhere = map[string]string{
		"CONTRIBUTING.md":                               "make targets: test/docs looks for each",
		"docs/performance.md":                           "make targets: test/docs looks for each",
		"docs/how-to/dashboard.md":                      "make targets: test/docs looks for each",
		"docs/reliability.md":                           "make targets: test/docs looks for each",
		"docs/reference/kubectl-kongjwt.md":             "written from the plugin's help, whose examples internal/cli parses; test/e2e has what they do",
		"docs/operations/openshift.md":                  "it takes an OpenShift: test/chart has what the value changes",
		"docs/how-to/use-an-identity-provider.md":       "it takes an identity provider: test/e2e/issuer_test.go has one",
		"docs/how-to/use-with-an-ingress-controller.md": "it takes an ingress controller: controllers/ingress_test.go has a stand-in",
		"docs/tutorial/kind-ingress-controller.md":      "it takes an ingress controller: test/e2e/ingress_tutorial_test.go applies its files on a stand-in",
	}
)

// TestMain fails a whole run where a page has commands that nobody typed.
func TestMain(m *testing.M) {
	code := m.Run()
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if code == 0 && whole && len(read) > 0 {
		code = unread()
	}
	os.Exit(code)
}

func unread() int {
	all, err := docs.Pages(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := 0
	for _, page := range all {
		for _, block := range page.Blocks {
			if len(block.Commands()) > 0 && !read[page.Path] && elsewhere[page.Path] == "" {
				fmt.Fprintf(os.Stderr, "%s:%d: no test types this page's commands: read it in test/chart/pages\n", page.Path, block.Line)
				code = 1
			}
		}
	}
	return code
}
