package messages

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// kinds of messages, in the order in which they are written down.
const (
	stalled   = "Stalled"   // a refusal: a person has to act
	waiting   = "Wait"      // the operator goes on by itself
	condition = "Condition" // a message of a condition beside the two
	event     = "Event"
	cause     = "Cause" // an error that becomes the end of another message
	plugin    = "Plugin"
	schema    = "Schema" // a rule of the CRDs that the API server checks
)

// message is what a place in the source says. In its text {x} stands for the value of the expression x.
type message struct {
	kind string
	// where is a package, or a CRD with a field.
	where  string
	reason string
	text   string
}

func (m message) String() string {
	if m.reason == "" {
		return m.kind + ": " + m.text
	}
	return m.kind + " " + m.reason + ": " + m.text
}

// root is the repository.
const root = "../.."

// said are the packages whose messages users see, and what their errors are.
var said = map[string]string{
	"controllers": cause, "internal/claims": cause, "internal/credential": cause, "internal/desired": cause, "internal/engine": cause,
	"internal/ingress": cause, "internal/jwks": cause, "internal/kong": cause, "internal/objects": cause, "internal/pluginconfig": cause,
	"internal/mistakes": cause, "internal/probe": cause, "internal/resolve": cause, "internal/secrets": cause, "internal/token": cause, "internal/backend": cause,
	"internal/cli": plugin, "internal/importer": plugin, "cmd/kubectl-kongjwt": plugin,
}

// collect reads all messages from the source.
func collect(t *testing.T) []message {
	t.Helper()
	var all []message
	for folder, errors := range said {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // a package of another day
			}
			if err != nil || !entry.IsDir() || strings.Contains(path, "testdata") {
				return err
			}
			all = append(all, ofPackage(t, path, errors)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return append(all, ofSchemas(t)...)
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
	case (name == "errors.New" || name == "fmt.Errorf") && len(args) > 0:
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

var (
	words      = regexp.MustCompile(`[A-Za-z]`)
	expression = regexp.MustCompile(`\{[^{}]*\}`)
)

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

// ofSchemas reads the messages of the CRDs' rules.
func ofSchemas(t *testing.T) []message {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d CRDs, %v", len(paths), err)
	}
	var found []message
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var crd map[string]any
		if err := yaml.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), "kongjwt.dev_"), ".")
		walk(crd, "", func(field string, rule map[string]any) {
			text, _ := rule["message"].(string)
			if expression, ok := rule["messageExpression"].(string); ok {
				text = "{" + expression + "}"
			}
			if below, ok := rule["fieldPath"].(string); ok {
				field += below
			}
			found = append(found, message{kind: schema, where: name, text: strings.TrimPrefix(field, ".") + ": " + text})
		})
	}
	return found
}

// walk visits the rules of a schema, with the field that each is on.
func walk(node any, field string, visit func(string, map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		rules, _ := node["x-kubernetes-validations"].([]any)
		for _, rule := range rules {
			if rule, ok := rule.(map[string]any); ok {
				visit(field, rule)
			}
		}
		for name, child := range node {
			switch name {
			case "properties":
				fields, _ := child.(map[string]any)
				for property, schema := range fields {
					walk(schema, field+"."+property, visit)
				}
			case "items":
				walk(child, field+"[]", visit)
			case "additionalProperties":
				walk(child, field+"{}", visit)
			default:
				walk(child, field, visit)
			}
		}
	case []any:
		for _, child := range node {
			walk(child, field, visit)
		}
	}
}

// page writes messages down for a reader: by package, refusals first.
func page(all []message) string {
	order := []string{stalled, waiting, condition, event, schema, cause, plugin}
	slices.SortFunc(all, func(a, b message) int {
		for _, by := range []int{
			strings.Compare(a.where, b.where), slices.Index(order, a.kind) - slices.Index(order, b.kind),
			strings.Compare(a.reason, b.reason), strings.Compare(a.text, b.text),
		} {
			if by != 0 {
				return by
			}
		}
		return 0
	})
	var out strings.Builder
	out.WriteString(head)
	where := ""
	for _, m := range slices.Compact(all) {
		if m.where != where {
			fmt.Fprintf(&out, "\n%s\n%s\n", m.where, strings.Repeat("-", len(m.where)))
			where = m.where
		}
		fmt.Fprintf(&out, "%s\n", strings.ReplaceAll(strings.ReplaceAll(m.String(), "\n", " "), "\x00", "%"))
	}
	return out.String()
}

const head = `Every message that the operator, the CRDs and kubectl kongjwt can give, by package; {x} stands for the value of x.
Made by go test ./test/messages -update. Read it from top to bottom when a message changes.

Stalled: a person has to act. Wait: the operator goes on by itself. Condition, Event: as in Kubernetes.
Schema: the API server refuses it. Cause: the end of another message. Plugin: kubectl kongjwt.
`
