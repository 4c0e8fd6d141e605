package jwtplugin

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// reasons gives every constant of type Reason that there is.
func reasons(t *testing.T) []Reason {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "decision.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []Reason
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue {
			return true
		}
		if kind, named := spec.Type.(*ast.Ident); named && kind.Name == "Reason" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, Reason(value))
		}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("found the reasons %v only", all)
	}
	return all
}

// Whoever is refused finds what Kong says on the page, word for word.
func TestTroubleshootingHasEveryMessage(t *testing.T) {
	g := NewWithT(t)
	content, err := os.ReadFile("../../docs/how-to/troubleshooting.md")
	g.Expect(err).NotTo(HaveOccurred())
	page := string(content)

	for _, reason := range reasons(t) {
		switch reason {
		case Authenticated, Preflight, Anonymous, ClaimsRefused: // they pass, or say it by claim: below
			continue
		case ConsumerNotFound:
			g.Expect(page).To(ContainSubstring("`Could not find consumer for 'iss=...'`"))
			continue
		}
		refusal := refuse(DefaultConfig(), reason).Refusal
		g.Expect(page).To(ContainSubstring(onPage(refusal.Body())), string(reason))
		g.Expect(page).To(ContainSubstring(strconv.Itoa(refusal.Status)))
	}

	now := time.Unix(1000, 0)
	for claim, values := range map[string][]any{"exp": {json.Number("999"), "x"}, "nbf": {json.Number("1001"), "x"}} {
		for _, value := range values {
			faults := verifyClaims(object{claim: value}, []string{claim}, now)
			g.Expect(faults).To(HaveLen(1))
			g.Expect(page).To(ContainSubstring(onPage(Response{Status: http.StatusUnauthorized, Errors: faults}.Body())))
		}
	}
}

// onPage is how the page writes a body: the message alone, or the object of claims.
func onPage(body map[string]string) string {
	if message, found := body["message"]; found {
		return "`" + message + "`"
	}
	var faults []string
	for claim, fault := range body {
		faults = append(faults, fmt.Sprintf("%q:%q", claim, fault))
	}
	return "`{" + strings.Join(faults, ",") + "}`"
}
