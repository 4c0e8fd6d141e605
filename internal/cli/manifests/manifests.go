// Package manifests reads Kubernetes manifests from files, directories and standard input.
package manifests

import (
	"bufio"
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
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Object is one object, and the file that it is in.
type Object struct {
	File    string
	Content map[string]any
}

// Read reads all documents of all sources, in their order: files, directories with all below them, and "-", which is in. Of directories it takes
// *.yaml, *.yml and *.json, and leaves hidden ones out. The items of a List are taken one by one. Errors name the file and quote nothing of it: manifests hold
// secrets.
func Read(in io.Reader, sources []string) ([]Object, error) {
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
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(all)))
	for number := 1; ; number++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		var value map[string]any
		var content []byte
		if err == nil {
			content, err = yaml.YAMLToJSON(document)
		}
		if err == nil {
			err = utiljson.Unmarshal(content, &value) // whole numbers stay whole
		}
		if err != nil {
			return nil, fmt.Errorf("%s, document %d: it is no YAML or JSON of an object", name, number)
		}
		objects = append(objects, expand(name, value)...)
	}
}

// expand takes a List apart. A document without anything in it is none.
func expand(name string, value map[string]any) []Object {
	items, isList := value["items"].([]any)
	switch {
	case len(value) == 0:
		return nil
	case !isList:
		return []Object{{File: name, Content: value}}
	}
	var objects []Object
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, expand(name, object)...)
		}
	}
	return objects
}
