package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
)

// How many consumers get a second of profile: fewer than the operator takes in when all are new, and when it starts.
const (
	newPerSecond   = 80
	knownPerSecond = 1500
)

// heapFile is what a profile of the heap is called, after the name of the phase.
const heapFile = "-heap.pb.gz"

// heap writes down what the operator's heap holds, after a collection, and Go's account of its memory, where a folder
// for profiles is named.
func (m *subject) heap(ctx context.Context, phase string) error {
	if m.profile == "" {
		return nil
	}
	// The text has the state that was measured, so it comes before the collection.
	for _, one := range []struct{ file, query string }{{phase + "-memory.txt", "heap?debug=1"}, {phase + heapFile, "heap?gc=1"}} {
		if err := m.save(ctx, one.file, one.query); err != nil {
			return err
		}
	}
	return nil
}

// time writes down what the operator and the kube-apiserver spend their time on, while the operator works on a phase:
// from its start. The function that it returns waits for the end, and says what went wrong.
func (m *subject) time(ctx context.Context, phase string, perSecond int) func() error {
	if m.profile == "" || len(m.growth) > 0 {
		return func() error { return nil }
	}
	seconds := fmt.Sprint(max(1, m.consumers/perSecond))
	var both errgroup.Group
	both.Go(func() error { return m.save(ctx, phase+"-cpu.pb.gz", "profile?seconds="+seconds) })
	both.Go(func() error {
		kube, err := kubernetes.NewForConfig(m.env.Config)
		if err != nil {
			return err
		}
		content, err := kube.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", seconds).DoRaw(ctx)
		return errors.Join(err, m.keep(phase+"-kube-cpu.pb.gz", content))
	})
	return both.Wait
}

// save writes down what the operator answers to a query.
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
	return errors.Join(err, m.keep(file, content))
}

func (m *subject) keep(file string, content []byte) error {
	if err := os.MkdirAll(m.profile, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.profile, file), content, 0o600)
}
