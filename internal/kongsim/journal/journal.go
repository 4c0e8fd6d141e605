// Package journal is a file that several processes share as they share a database. Each write is a line. A process
// writes only under the file's lock, and once it has read what is there: all of them see the same writes in the same
// order. What was written outlives each of them, also one that is killed.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
)

// Journal is the file as one process sees it. It is not for several goroutines at once.
type Journal struct {
	file *os.File
	read int64 // up to where
}

// Open opens a journal, and begins it where there is none.
func Open(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // The caller's file.
	if err != nil {
		return nil, err
	}
	return &Journal{file: file}, nil
}

// Close closes the file; nil has none.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}

// Lock keeps all others from writing until unlock is called, or the process ends.
func (j *Journal) Lock() (unlock func(), err error) {
	if err := j.flock(syscall.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { _ = j.flock(syscall.LOCK_UN) }, nil // it was locked
}

func (j *Journal) flock(how int) error {
	for {
		if err := syscall.Flock(int(j.file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// Grown says whether there is more than was read.
func (j *Journal) Grown() bool {
	info, err := j.file.Stat()
	return err != nil || info.Size() != j.read // Read tells the error
}

// Read gives the lines that were not read yet. What has no end was not written: its writer died.
func (j *Journal) Read() ([][]byte, error) {
	content, err := io.ReadAll(io.NewSectionReader(j.file, j.read, math.MaxInt64-j.read))
	if err != nil {
		return nil, err
	}
	whole := content[:bytes.LastIndexByte(content, '\n')+1]
	j.read += int64(len(whole))
	if len(whole) == 0 {
		return nil, nil
	}
	return bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n")), nil
}

// Append writes a line, which counts as read. Call it under Lock, after Read.
func (j *Journal) Append(line []byte) error {
	if err := j.file.Truncate(j.read); err != nil { // what a writer that died left
		return fmt.Errorf("write the journal: %w", err)
	}
	n, err := j.file.WriteAt(append(line, '\n'), j.read)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.read += int64(n)
	return nil
}
