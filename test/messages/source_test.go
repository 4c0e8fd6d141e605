package messages

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// message is what a place in the source says. In its text {x} stands for the value of the expression x.
type message struct {
	kind string
	// where is a package, or a CRD with a field.
	where  string
	reason string
	text   string
}

// source is one package.
type source struct {
	name   string
	errors string
	files  []*ast.File
	// constants are its texts by name.
	constants map[string]string
	// wrappers are its functions that make a message of a format that they are given.
	wrappers map[string]wrapper
	found    []message
}

// wrapper is a function whose parameter format becomes the part {} of a message.
type wrapper struct {
	kind, reason, text string
	// format is the place of the parameter.
	format int
}

func ofPackage(t *testing.T, folder, errors string) []message {
	t.Helper()
	s := &source{name: filepath.ToSlash(folder)[len(root)+1:], errors: errors, constants: map[string]string{}, wrappers: map[string]wrapper{}}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, file)
	}
	for _, file := range s.files {
		for _, declaration := range file.Decls {
			if general, ok := declaration.(*ast.GenDecl); ok && general.Tok == token.CONST {
				for _, spec := range general.Specs {
					s.constant(spec)
				}
			}
		}
	}
	s.each(s.wrapper)
	s.each(s.message)
	return s.found
}

func (s *source) each(visit func(ast.Node)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			visit(n)
			return true
		})
	}
}

func (s *source) constant(n ast.Node) {
	spec, ok := n.(*ast.ValueSpec)
	if !ok {
		return
	}
	for i, value := range spec.Values {
		if text, ok := s.literal(value); ok {
			s.constants[spec.Names[i].Name] = text
		}
	}
}

// wrapper notes a function with a parameter format that it makes a message of.
func (s *source) wrapper(n ast.Node) {
	function, ok := n.(*ast.FuncDecl)
	if !ok || function.Body == nil {
		return
	}
	place, found := 0, -1
	for _, field := range function.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == "format" {
				found = place
			}
			place++
		}
	}
	if found < 0 {
		return
	}
	ast.Inspect(function.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if m, ok := s.constructor(call); ok && strings.Contains(m.text, "{…}") {
			s.wrappers[function.Name.Name] = wrapper{m.kind, m.reason, m.text, found}
		}
		return true
	})
}

// message adds what a node says.
func (s *source) message(n ast.Node) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if m, ok := s.constructor(n); ok && !strings.Contains(m.text, "{…}") {
			s.add(m)
		} else if w, found := s.wrappers[called(n)]; found && len(n.Args) > w.format {
			text := strings.Replace(w.text, "{…}", s.text(n.Args[w.format:]), 1)
			s.add(message{kind: w.kind, reason: w.reason, text: text})
		}
	case *ast.CompositeLit:
		s.composite(n)
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if name, ok := left.(*ast.Ident); ok && name.Name == "message" && len(n.Rhs) == len(n.Lhs) {
				if text := s.text(n.Rhs[i : i+1]); !strings.HasPrefix(text, "{") {
					s.add(message{kind: condition, text: text})
				}
			}
		}
	}
}

// composite is a StalledError, a WaitError or a condition that is written out.
func (s *source) composite(n *ast.CompositeLit) {
	kind := condition
	switch of := s.print(n.Type); {
	case strings.HasSuffix(of, "StalledError"):
		kind = stalled
	case strings.HasSuffix(of, "WaitError"):
		kind = waiting
	}
	m := message{kind: kind}
	for _, element := range n.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch s.print(pair.Key) {
		case "Message", "message":
			m.text = s.text([]ast.Expr{pair.Value})
		case "Reason", "reason":
			m.reason = reasonOf(s.print(pair.Value))
		}
	}
	if m.text != "" && !strings.HasPrefix(m.text, "{") {
		s.add(m)
	}
}

// add keeps a message that says something by itself, and is not another one handed on.
func (s *source) add(m message) {
	m.where = s.name
	if words.MatchString(expression.ReplaceAllString(m.text, "")) {
		s.found = append(s.found, m)
	}
}

// constructor reads a call that makes a message. A format that the function around it was given is {…} in its text.
func (s *source) constructor(call *ast.CallExpr) (message, bool) {
	args := call.Args
	switch name := s.print(call.Fun); {
	case name == "status.Stalled" && len(args) > 1:
		return message{kind: stalled, reason: reasonOf(s.print(args[0])), text: s.text(args[1:])}, true
	case name == "status.Wait" && len(args) > 2:
		return message{kind: waiting, reason: reasonOf(s.print(args[1])), text: s.text(args[2:])}, true
	case strings.HasSuffix(name, ".event") && len(args) == 5:
		return message{kind: event, reason: reasonOf(s.print(args[2])), text: s.text(args[4:])}, true
	case (name == "errors.New" || name == "fmt.Errorf" || name == "mistake") && len(args) > 0:
		return message{kind: s.errors, text: s.text(args)}, true
	}
	return message{}, false
}

// called is the name of the function or method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func reasonOf(expression string) string {
	for _, prefix := range []string{"v1alpha1.Reason", "v1alpha1.Event", "v1alpha1."} {
		if rest, cut := strings.CutPrefix(expression, prefix); cut {
			return rest
		}
	}
	return "{" + expression + "}"
}

var verb = regexp.MustCompile(`%[-+# 0]*[0-9]*(?:\.[0-9]+)?[a-zA-Z]`)

// text puts a format and its arguments together.
func (s *source) text(args []ast.Expr) string {
	format, ok := s.literal(args[0])
	if !ok {
		switch call, isCall := args[0].(*ast.CallExpr); {
		case isCall && s.print(call.Fun) == "fmt.Sprintf" && s.print(call.Args[0]) != "format":
			return s.text(call.Args)
		case s.print(args[0]) == "format" || isCall && s.print(call.Fun) == "fmt.Sprintf":
			return "{…}"
		}
		return "{" + s.print(args[0]) + "}"
	}
	next := 0
	return verb.ReplaceAllStringFunc(strings.ReplaceAll(format, "%%", "\x00"), func(string) string {
		next++
		if next >= len(args) {
			return "{}"
		}
		if text, ok := s.literal(args[next]); ok {
			return text
		}
		if inner := s.text(args[next : next+1]); inner == "{…}" {
			return inner
		}
		return "{" + s.print(args[next]) + "}"
	})
}

// literal is the text of a constant expression.
func (s *source) literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, ok := s.constants[e.Name]
		return text, ok
	case *ast.ParenExpr:
		return s.literal(e.X)
	case *ast.BinaryExpr:
		left, ok := s.literal(e.X)
		right, also := s.literal(e.Y)
		switch {
		case ok && also:
			return left + right, true
		case ok:
			return left + "{" + s.print(e.Y) + "}", true
		case also:
			return "{" + s.print(e.X) + "}" + right, true
		}
	}
	return "", false
}

func (s *source) print(n ast.Node) string {
	var out bytes.Buffer
	if n == nil || printer.Fprint(&out, token.NewFileSet(), n) != nil {
		return ""
	}
	return strings.Join(strings.Fields(out.String()), " ")
}
