// Package manifests reads Kubernetes manifests from files, directories and standard input.
package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Object is one object, and where it is.
type Object struct {
	File string
	// Line of the file that its document begins at, from 1.
	Line    int
	Content map[string]any
	// document is the text that it was read from.
	document []byte
	// problem says why the document is no object.
	problem error
}

// Problem says why a document cannot be read, nil where it can; it quotes nothing of it.
func (o Object) Problem() error { return o.problem }

// Read reads all documents of all sources, in their order: files, directories with all below them, and "-", which is
// in. Of directories it takes *.yaml, *.yml and *.json, and leaves hidden ones out. The items of a List are taken one
// by one. Errors name the file and quote nothing of it: manifests hold secrets.
func Read(in io.Reader, sources []string) ([]Object, error) {
	all, err := ReadAll(in, sources)
	for _, object := range all {
		if object.problem != nil {
			return nil, fmt.Errorf("%s, line %d: %w", object.File, object.Line, object.problem)
		}
	}
	return all, err
}

// ReadAll is Read that goes on behind a document that is no object: it has a Problem.
func ReadAll(in io.Reader, sources []string) ([]Object, error) {
	var all []Object
	for _, source := range sources {
		if source == "-" {
			objects, err := read("stdin", in)
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
			continue
		}
		files, err := filesOf(source)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			objects, err := readFile(name)
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
		}
	}
	return all, nil
}

// filesOf are the manifests of a directory, or the file itself.
func filesOf(source string) ([]string, error) {
	info, err := os.Stat(source)
	if err != nil || !info.IsDir() {
		return []string{source}, err
	}
	var files []string
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		hidden := path != source && strings.HasPrefix(entry.Name(), ".")
		switch {
		case err != nil:
			return err
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case !entry.IsDir() && !hidden && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func readFile(name string) ([]Object, error) {
	file, err := os.Open(name) //nolint:gosec // the file that the caller names, read with the rights of the caller
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return read(name, file)
}

func read(name string, in io.Reader) ([]Object, error) {
	all, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var objects []Object
	for _, d := range documents(all) {
		var value map[string]any
		content, err := yaml.YAMLToJSON(d.text)
		if err == nil {
			err = utiljson.Unmarshal(content, &value) // whole numbers stay whole
		}
		one := Object{File: name, Line: d.line, document: d.text}
		if err != nil {
			one.problem = errors.New("it is no YAML or JSON of an object")
			objects = append(objects, one)
			continue
		}
		objects = append(objects, one.expand(value)...)
	}
	return objects, nil
}

// document is a part of a file, and the line that it begins at.
type document struct {
	text []byte
	line int
}

// documents are the parts of a file between lines of three dashes (YAML 1.2 section 9.1.1).
func documents(all []byte) []document {
	parts := []document{{line: 1}}
	number := 0
	for line := range bytes.Lines(all) {
		number++
		last := &parts[len(parts)-1]
		after, separates := bytes.CutPrefix(line, []byte("---"))
		if rest := bytes.TrimSpace(after); separates && (len(rest) == 0 || after[0] == ' ' || after[0] == '\t') {
			parts = append(parts, document{line: number + 1})
			if len(rest) > 0 && rest[0] != '#' { // what stands behind the dashes is of the document
				parts[len(parts)-1] = document{text: append(rest, '\n'), line: number}
			}
			continue
		}
		last.text = append(last.text, line...)
	}
	return parts
}

// expand takes a List apart. A document without anything in it is none.
func (o Object) expand(value map[string]any) []Object {
	items, isList := value["items"].([]any)
	switch {
	case len(value) == 0:
		return nil
	case !isList:
		o.Content = value
		return []Object{o}
	}
	var objects []Object
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, o.expand(object)...)
		}
	}
	return objects
}
