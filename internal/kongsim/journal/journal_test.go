package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// write reads what is there, and writes a line.
func (j *Journal) write(line string) (before []string, err error) {
	unlock, err := j.Lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if before, err = j.texts(); err != nil {
		return nil, err
	}
	return before, j.Append([]byte(line))
}

func (j *Journal) texts() (texts []string, err error) {
	lines, err := j.Read()
	for _, line := range lines {
		texts = append(texts, string(line))
	}
	return texts, err
}

// TestAllReadTheSame: whoever writes, each line is written once, whole, and after all that its writer has not read.
func TestAllReadTheSame(t *testing.T) {
	const writers, lines = 4, 50
	path := filepath.Join(t.TempDir(), "journal")
	seen := make([][]string, writers)
	var group sync.WaitGroup
	for w := range writers {
		j := open(t, path)
		group.Go(func() {
			for n := range lines {
				line := fmt.Sprintf("%d of %d", n, w)
				before, err := j.write(line)
				if err != nil {
					t.Error(err)
					return
				}
				seen[w] = append(append(seen[w], before...), line)
			}
		})
	}
	group.Wait()
	all, err := open(t, path).texts()
	if err != nil || len(all) != writers*lines {
		t.Fatalf("%d lines, %v", len(all), err)
	}
	for w, its := range seen {
		if !slices.Equal(its, all[:len(its)]) {
			t.Errorf("writer %d saw another order", w)
		}
	}
}

// TestWriterDies in the middle of a line: nobody has read it, and the next writes in its place.
func TestWriterDies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, []byte("whole\na long line that is cut o"), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, writer := open(t, path), open(t, path)
	if texts, err := reader.texts(); err != nil || !slices.Equal(texts, []string{"whole"}) {
		t.Errorf("read %q, %v", texts, err)
	}
	if before, err := writer.write("next"); err != nil || !slices.Equal(before, []string{"whole"}) {
		t.Errorf("the writer read %q, %v", before, err)
	}
	if !reader.Grown() || writer.Grown() {
		t.Error("what is to be read is not known")
	}
	if texts, err := reader.texts(); err != nil || !slices.Equal(texts, []string{"next"}) {
		t.Errorf("read %q, %v", texts, err)
	}
	if reader.Grown() {
		t.Error("all was read")
	}
}
