package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// source is a package's files, tests left out, in the order of their names.
type source struct {
	files []*ast.File
	// constants are the string constants of the package.
	constants map[string]string
}

// readSource parses a package, and the packages below it.
func readSource(directory string) (*source, error) {
	var paths []string
	err := filepath.WalkDir(directory, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &source{constants: map[string]string{}}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, file)
	}
	if len(s.files) == 0 {
		return nil, fmt.Errorf("%s: no Go files", directory)
	}
	for _, constant := range s.list() {
		s.constants[constant.name] = constant.value
	}
	return s, nil
}

// constant is a string constant, and what its comment says.
type constant struct{ name, value, comment string }

// list gives the string constants in the order of the sources.
func (s *source) list() []constant {
	var all []constant
	for _, file := range s.files {
		for _, declared := range file.Decls {
			group, isGroup := declared.(*ast.GenDecl)
			if !isGroup || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				line := spec.(*ast.ValueSpec)
				for i, name := range line.Names {
					if i >= len(line.Values) {
						continue
					}
					if value, known := s.text(line.Values[i]); known {
						all = append(all, constant{name: name.Name, value: value, comment: line.Doc.Text()})
					}
				}
			}
		}
	}
	return all
}

// text evaluates an expression of string literals and constants of the package.
func (s *source) text(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		return value, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		value, known := s.constants[e.Name]
		return value, known
	case *ast.BinaryExpr:
		left, fine := s.text(e.X)
		right, too := s.text(e.Y)
		return left + right, fine && too && e.Op == token.ADD
	default:
		return "", false
	}
}

// calls visits every call in the package by the name of what is called, such as NewCounterVec.
func (s *source) calls(visit func(name string, call *ast.CallExpr)) {
	for _, file := range s.files {
		ast.Inspect(file, func(node ast.Node) bool {
			call, isCall := node.(*ast.CallExpr)
			if !isCall {
				return true
			}
			switch called := call.Fun.(type) {
			case *ast.Ident:
				visit(called.Name, call)
			case *ast.SelectorExpr:
				visit(called.Sel.Name, call)
			}
			return true
		})
	}
}

// cell makes a text fit into a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
