package main

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// switchName is the environment variable that says which mutant is on.
const switchName = "KJO_MUTANT"

// mutant is one change of the code.
type mutant struct {
	number int
	// at is where it is, for a person. The rest stays as it is when code before it changes.
	at                         string
	file, function, kind, text string
	occurrence                 int
}

func (m mutant) String() string {
	return fmt.Sprintf("%s %s: %s: %s #%d", m.file, m.function, m.kind, m.text, m.occurrence)
}

// switches is added to a package: it says which mutant is on.
const switches = `package %s

import (
	"cmp"
	"os"
	"strconv"
)

var mutantOn, _ = strconv.Atoi(os.Getenv(%q))

func mutantIs(n int) bool { return mutantOn == n }

func mutantLess[T cmp.Ordered](n int, a, b T) bool { return a < b || mutantIs(n) && a == b }

func mutantMost[T cmp.Ordered](n int, a, b T) bool { return a < b || !mutantIs(n) && a == b }
`

// edit puts text into a file at an offset, in place of some bytes.
type edit struct {
	offset, replaces int
	text             string
	// depth orders edits at one offset: what is outside begins first and ends last.
	depth int
	ends  bool
}

// source is a file that is mutated.
type source struct {
	path, name string
	content    []byte
	set        *token.FileSet
	file       *ast.File
	edits      []edit
	mutants    []mutant
	skip       func(line int) bool
	next       *int
}

// place is where the compiler says that something is wrong.
var place = regexp.MustCompile(`([^\s/]+\.go):(\d+):`)

// build compiles the tests of packages with all mutants of the first. What does not compile is left out. A package
// without tests has no binary.
func build(ctx context.Context, folders []string, dir string) (tests map[string]string, found []mutant, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, nil, err
	}
	broken := map[string]bool{}
	for range 20 {
		var overlay string
		overlay, found, err = mutate(folders[0], dir, broken)
		if err != nil {
			return nil, nil, err
		}
		// The package alone comes first: what does not compile is its own.
		compile := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "./"+folders[0]) //nolint:gosec // As below.
		output, err := compile.CombinedOutput()
		if err == nil {
			tests, err = compileTests(ctx, folders, overlay, dir)
			return tests, found, err
		}
		before := len(broken)
		for _, match := range place.FindAllStringSubmatch(string(output), -1) {
			broken[match[1]+":"+match[2]] = true
		}
		if len(broken) == before {
			return nil, nil, fmt.Errorf("compile: %w\n%s", err, output)
		}
	}
	return nil, nil, fmt.Errorf("mutants that do not compile come to no end")
}

func compileTests(ctx context.Context, folders []string, overlay, dir string) (map[string]string, error) {
	binaries := map[string]string{}
	for i, folder := range folders {
		binary := filepath.Join(dir, fmt.Sprintf("tests%d", i))
		arguments := []string{"test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "./" + folder}
		compile := exec.CommandContext(ctx, "go", arguments...) //nolint:gosec // Packages of this repository.
		output, err := compile.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("compile the tests of %s: %w\n%s", folder, err, output)
		}
		if _, err := os.Stat(binary); err == nil {
			binaries[folder] = binary
		}
	}
	return binaries, nil
}

// mutate writes the mutated files of a package, and the overlay that puts them in place.
func mutate(folder, dir string, broken map[string]bool) (overlay string, mutants []mutant, err error) {
	replace := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return "", nil, err
	}
	number, name := 0, ""
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "zz_generated") {
			continue
		}
		s := &source{path: path, name: filepath.Base(path), set: token.NewFileSet(), next: &number}
		s.skip = func(line int) bool { return broken[s.name+":"+strconv.Itoa(line)] }
		if s.content, err = os.ReadFile(path); err != nil { //nolint:gosec // A file of this repository.
			return "", nil, err
		}
		if s.file, err = parser.ParseFile(s.set, path, s.content, parser.ParseComments); err != nil {
			return "", nil, err
		}
		name = s.file.Name.Name
		s.mutateAll()
		mutants = append(mutants, s.mutants...)
		full, err := filepath.Abs(path)
		if err != nil {
			return "", nil, err
		}
		replace[full] = filepath.Join(dir, s.name)
		if err := os.WriteFile(replace[full], s.edited(), 0o600); err != nil {
			return "", nil, err
		}
	}
	added, err := filepath.Abs(filepath.Join(folder, "zz_mutants.go"))
	if err != nil {
		return "", nil, err
	}
	replace[added] = filepath.Join(dir, "zz_mutants.go")
	if err := os.WriteFile(replace[added], fmt.Appendf(nil, switches, name, switchName), 0o600); err != nil {
		return "", nil, err
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", nil, err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, mutants, os.WriteFile(overlay, content, 0o600)
}

func (s *source) offset(p token.Pos) int { return s.set.Position(p).Offset }

// mutateAll finds the mutants of a file.
func (s *source) mutateAll() {
	seen := map[string]int{}
	for _, declared := range s.file.Decls {
		function, ok := declared.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		depth := 0
		visit := func(n ast.Node) bool {
			if n == nil {
				depth--
				return true
			}
			depth++
			switch n := n.(type) {
			case *ast.IfStmt:
				s.negate(function, seen, depth, n.Cond)
			case *ast.SwitchStmt:
				if n.Tag == nil {
					s.negateCases(function, seen, depth, n)
				}
			case *ast.BinaryExpr:
				s.mutateBinary(function, seen, depth, n)
			case *ast.ExprStmt, *ast.IncDecStmt:
				s.drop(function, seen, depth, n)
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					s.drop(function, seen, depth, n)
				}
			}
			return true
		}
		ast.Inspect(function.Body, visit)
	}
}

// add notes a mutant; false: what it is in does not compile when it is mutated.
func (s *source) add(function *ast.FuncDecl, seen map[string]int, kind string, n ast.Node) (number int, ok bool) {
	line := s.set.Position(n.Pos()).Line
	if s.skip(line) || s.skip(s.set.Position(n.End()).Line) {
		return 0, false
	}
	text := strings.Join(strings.Fields(string(s.content[s.offset(n.Pos()):s.offset(n.End())])), " ")
	if len(text) > 100 {
		text = text[:100]
	}
	*s.next++
	m := mutant{
		number: *s.next, at: fmt.Sprintf("%s:%d", s.path, line), function: function.Name.Name, kind: kind, text: text,
		file: strings.TrimPrefix(filepath.ToSlash(s.path), "internal/"),
	}
	key := m.String()
	seen[key]++
	m.occurrence = seen[key]
	s.mutants = append(s.mutants, m)
	return m.number, true
}

// wrap puts text around a node.
func (s *source) wrap(n ast.Node, depth int, before, after string) {
	s.edits = append(s.edits,
		edit{offset: s.offset(n.Pos()), text: before, depth: depth},
		edit{offset: s.offset(n.End()), text: after, depth: depth, ends: true})
}

func (s *source) negate(function *ast.FuncDecl, seen map[string]int, depth int, condition ast.Expr) {
	if number, ok := s.add(function, seen, "not", condition); ok {
		s.wrap(condition, depth, fmt.Sprintf("mutantIs(%d) != (", number), ")")
	}
}

func (s *source) negateCases(function *ast.FuncDecl, seen map[string]int, depth int, n *ast.SwitchStmt) {
	for _, statement := range n.Body.List {
		if clause, ok := statement.(*ast.CaseClause); ok {
			for _, condition := range clause.List {
				s.negate(function, seen, depth, condition)
			}
		}
	}
}

// mutateBinary exchanges && and ||, and moves the border of a comparison.
func (s *source) mutateBinary(function *ast.FuncDecl, seen map[string]int, depth int, n *ast.BinaryExpr) {
	operator := func(text string) {
		at, replaces := s.offset(n.OpPos), len(n.Op.String())
		s.edits = append(s.edits, edit{offset: at, replaces: replaces, text: text, depth: depth})
	}
	switch n.Op {
	case token.LAND, token.LOR:
		if number, ok := s.add(function, seen, "and-or", n); ok {
			// By De Morgan's law, so that no operand is there twice.
			is := fmt.Sprintf("mutantIs(%d) != (", number)
			s.wrap(n, depth, "("+is+"("+is, "))))")
			operator(")) " + n.Op.String() + " (" + is)
		}
	case token.LSS, token.GTR, token.LEQ, token.GEQ:
		number, ok := s.add(function, seen, "border", n)
		if !ok {
			return
		}
		switch n.Op {
		case token.LSS:
			s.wrap(n, depth, fmt.Sprintf("mutantLess(%d, ", number), ")")
		case token.LEQ:
			s.wrap(n, depth, fmt.Sprintf("mutantMost(%d, ", number), ")")
		case token.GTR:
			s.wrap(n, depth, fmt.Sprintf("!mutantMost(%d, ", number), ")")
		default:
			s.wrap(n, depth, fmt.Sprintf("!mutantLess(%d, ", number), ")")
		}
		operator(",")
	}
}

// drop leaves a statement out.
func (s *source) drop(function *ast.FuncDecl, seen map[string]int, depth int, n ast.Node) {
	if number, ok := s.add(function, seen, "without", n); ok {
		s.wrap(n, depth, fmt.Sprintf("if !mutantIs(%d) { ", number), " }")
	}
}

// edited gives the content with all edits.
func (s *source) edited() []byte {
	edits := slices.Clone(s.edits)
	sort.SliceStable(edits, func(i, j int) bool {
		a, b := edits[i], edits[j]
		switch {
		case a.offset != b.offset:
			return a.offset < b.offset
		case a.ends != b.ends:
			return a.ends
		case a.ends:
			return a.depth > b.depth
		}
		return a.depth < b.depth
	})
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(out, s.content[at:e.offset]...)
		out = append(out, e.text...)
		at = e.offset + e.replaces
	}
	return append(out, s.content[at:]...)
}
