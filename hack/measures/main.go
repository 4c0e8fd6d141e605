// Command measures prints the size of the house, package by package, for docs/design: `go run ./hack/measures [ROOT]`.
// Tests and generated files are not counted.
package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rooms are the folders of the operator itself.
var rooms = []string{"api", "controllers", "internal", "cmd"}

// columns is the longest that a line of comment may be. A tab counts as eight.
const columns = 120

// sum is what was counted.
type sum struct {
	functions []int              // lines of each
	reconcile int                // lines of the longest Reconcile
	methods   map[string]int     // of each type, as package.Type
	fields    map[string]int     // of each struct
	files     map[string]int     // of each package
	exported  map[string]int     // names of each package
	comments  map[string]*[2]int // lines of comment, and of all, of each room
	wide      int                // lines of comment over the columns
}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	s := sum{methods: map[string]int{}, fields: map[string]int{}, files: map[string]int{}, exported: map[string]int{}, comments: map[string]*[2]int{}}
	for _, room := range rooms {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, entry os.DirEntry, err error) error { //nolint:gosec // The checkout that somebody names.
			name := filepath.Base(path)
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") ||
				strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "zz_generated") {
				return err
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			return s.file(path, filepath.Dir(relative))
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	s.print()
}

// file counts one file of a package.
func (s *sum) file(path, pkg string) error {
	content, err := os.ReadFile(path) //nolint:gosec // A file of the checkout.
	if err != nil {
		return err
	}
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, path, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s.files[pkg]++
	s.commented(pkg, string(content))
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			lines := positions.Position(d.End()).Line - positions.Position(d.Pos()).Line + 1
			s.functions = append(s.functions, lines)
			if d.Name.Name == "Reconcile" {
				s.reconcile = max(s.reconcile, lines)
			}
			if d.Recv != nil {
				s.methods[pkg+"."+receiver(d.Recv.List[0].Type)]++
			} else if d.Name.IsExported() {
				s.exported[pkg]++
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s.spec(pkg, spec)
			}
		}
	}
	return nil
}

func (s *sum) spec(pkg string, spec ast.Spec) {
	switch d := spec.(type) {
	case *ast.TypeSpec:
		if d.Name.IsExported() {
			s.exported[pkg]++
		}
		if structure, ok := d.Type.(*ast.StructType); ok {
			s.fields[pkg+"."+d.Name.Name] = structure.Fields.NumFields()
		}
	case *ast.ValueSpec:
		for _, name := range d.Names {
			if name.IsExported() {
				s.exported[pkg]++
			}
		}
	}
}

// commented counts the lines of comment by folder below the root, and below internal.
func (s *sum) commented(pkg, content string) {
	parts := strings.SplitN(pkg, string(filepath.Separator), 3)
	room := parts[0]
	if room == "internal" && len(parts) > 1 {
		room += "/" + parts[1]
	}
	if s.comments[room] == nil {
		s.comments[room] = &[2]int{}
	}
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, "\n")
		// A marker of controller-gen has to be one line.
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "//") && !strings.HasPrefix(trimmed, "// +") {
			s.comments[room][0]++
			if len([]rune(strings.ReplaceAll(line, "\t", "        "))) > columns {
				s.wide++
			}
		}
		s.comments[room][1]++
	}
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return "?"
}

func (s *sum) print() {
	slices.Sort(s.functions)
	fmt.Println("| Measure | Value |\n|---|---|")
	row := func(what string, value any) { fmt.Printf("| %s | %v |\n", what, value) }
	row("lines of the longest Reconcile", s.reconcile)
	row("lines of a function: p90, longest", fmt.Sprintf("%d, %d", s.functions[len(s.functions)*9/10], s.functions[len(s.functions)-1]))
	row("methods of a type: most", most(s.methods, nil))
	row("fields of a type with methods, api left out: most", most(s.fields, func(name string) bool {
		return s.methods[name] > 0 && !strings.HasPrefix(name, "api/")
	}))
	row("files of a package: most", most(s.files, nil))
	exported := []int{}
	for pkg := range s.files {
		exported = append(exported, s.exported[pkg])
	}
	slices.Sort(exported)
	row("exported names of a package: p90, most", fmt.Sprintf("%d, %s", exported[len(exported)*9/10], most(s.exported, nil)))
	row(fmt.Sprintf("lines of comment over %d columns", columns), s.wide)
	for _, room := range []string{"controllers", "internal/engine", "internal/gateway"} {
		if c := s.comments[room]; c != nil {
			row("comment of all lines, "+room, fmt.Sprintf("%d %%", c[0]*100/c[1]))
		}
	}
}

// most is the largest count, and whose it is.
func most(counts map[string]int, counted func(string) bool) string {
	best := ""
	for name, count := range counts {
		if (counted == nil || counted(name)) && (best == "" || cmp.Or(cmp.Compare(count, counts[best]), cmp.Compare(best, name)) > 0) {
			best = name
		}
	}
	return fmt.Sprintf("%d (%s)", counts[best], best)
}
