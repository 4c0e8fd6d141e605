package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRunServesUntilItIsStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--admin-listen=127.0.0.1:0", "--proxy-listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--propagation=instant"}, writer)
	}()
	urls := map[string]string{}
	lines := bufio.NewScanner(reader)
	for len(urls) < 3 && lines.Scan() {
		name, url, _ := strings.Cut(lines.Text(), "http://")
		urls[strings.TrimSpace(name)] = "http://" + url
	}
	for name, want := range map[string]struct {
		path   string
		status int
	}{
		"Admin API": {"/status", http.StatusOK}, "Proxy": {"/", http.StatusNotFound}, "Faults": {"/requests", http.StatusOK},
	} {
		response, err := http.Get(urls[name] + want.path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want.status {
			t.Errorf("%s answered %s", name, response.Status)
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
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
