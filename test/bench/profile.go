package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// heap writes down what the operator's heap holds, after a collection, and Go's account of its memory, where a folder for profiles is named.
func (m *subject) heap(ctx context.Context, phase string) error {
	if m.profile == "" {
		return nil
	}
	// The text has the state that was measured, so it comes before the collection.
	for _, one := range []struct{ file, query string }{{phase + "-memory.txt", "heap?debug=1"}, {phase + "-heap.pb.gz", "heap?gc=1"}} {
		if err := m.save(ctx, one.file, one.query); err != nil {
			return err
		}
	}
	return nil
}

func (m *subject) save(ctx context.Context, file, query string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.pprof+"/debug/pprof/"+query, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.profile, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.profile, file), content, 0o600)
}
