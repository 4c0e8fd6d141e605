package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// start runs the command, and gives where it listens.
func start(t *testing.T, arguments ...string) (urls map[string]string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append(arguments, "--propagation=instant"), writer)
		_ = writer.Close()
	}()
	urls = map[string]string{}
	for lines := bufio.NewScanner(reader); lines.Scan() && lines.Text() != "Ready"; {
		name, url, _ := strings.Cut(lines.Text(), "http://")
		urls[strings.TrimSpace(name)] = "http://" + url
	}
	return urls, sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	})
}

func TestRunServesUntilItIsStopped(t *testing.T) {
	admin, proxy, cluster := "--admin-listen=127.0.0.1:0", "--proxy-listen=127.0.0.1:0", "--cluster-listen=127.0.0.1:0"
	expect := func(url string, want int) {
		t.Helper()
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s answered %s", url, response.Status)
		}
	}
	urls, stop := start(t, admin, proxy, "--control-listen=127.0.0.1:0")
	defer stop()
	expect(urls["Admin API"]+"/status", http.StatusOK)
	expect(urls["Proxy"]+"/", http.StatusNotFound)
	expect(urls["Faults"]+"/requests", http.StatusOK)
	stop()

	urls, stop = start(t, admin, cluster, "--database-file="+filepath.Join(t.TempDir(), "database"))
	defer stop()
	expect(urls["Admin API"]+"/status", http.StatusOK)
	expect(urls["Cluster"]+"/", http.StatusOK)
	plane, stopPlane := start(t, proxy, "--cluster-control-plane="+urls["Cluster"])
	defer stopPlane()
	expect(plane["Proxy"]+"/", http.StatusNotFound)
	if len(urls) != 2 || len(plane) != 1 {
		t.Errorf("a control plane listens at %v, a data plane at %v", urls, plane)
	}
}

// TestSlowest: a node that polls a database, or has none, is not late by a poll that it only seems to make.
func TestSlowest(t *testing.T) {
	for argument, want := range map[string]time.Duration{
		"--database=postgres": 8 * time.Second, "--database=off": 3 * time.Second, "--database-file=file": 3 * time.Second,
		"--cluster-control-plane=http://127.0.0.1:1": 3 * time.Second,
	} {
		s, err := parse([]string{argument, "--propagation=slowest", "--worker-state-update-frequency=3s"})
		if err != nil || s.kong.Propagation.RouterMax != want {
			t.Errorf("%s: %s, %v; want %s", argument, s.kong.Propagation.RouterMax, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, arguments := range [][]string{
		{"--database=cassandra"}, {"--workers=0"}, {"--propagation=never"}, {"extra"}, {"--no-such-flag"}, {"--service-time=5"},
		{"--version=new"},
	} {
		if _, err := parse(arguments); err == nil {
			t.Errorf("%v was taken", arguments)
		}
	}
}
