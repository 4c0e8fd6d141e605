package bundle

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// files are what goes into the archive, by name; problems what could not be read, and why.
type files struct {
	content  map[string]string
	problems []string
}

func (f *files) add(name, content string) { f.content[name] = content }

// addYAML adds an object.
func (f *files) addYAML(name string, value any) {
	content, err := yaml.Marshal(value)
	if err != nil {
		f.lacks(name, err)
		return
	}
	f.add(name, string(content))
}

// lacks notes what could not be read. A bundle with gaps is better than none.
func (f *files) lacks(what string, err error) {
	f.problems = append(f.problems, fmt.Sprintf("%s: %v", what, err))
}

// write writes the archive. Everything goes through the scrubber, names too.
func (f *files) write(out io.Writer, root string, guard *scrubber, now time.Time) error {
	f.add("problems.txt", strings.Join(append(f.problems, ""), "\n"))
	packed := gzip.NewWriter(out)
	archive := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(f.content)) {
		content := guard.clean(f.content[name])
		header := &tar.Header{Typeflag: tar.TypeReg, Name: root + "/" + guard.clean(name), Mode: 0o600, Size: int64(len(content)), ModTime: now, Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := io.WriteString(archive, content); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return errors.Join(archive.Close(), packed.Close())
}
