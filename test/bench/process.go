package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// memory reads a process's resident set, now and at its highest, in bytes.
func memory(pid int) (now, highest int64, err error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, parseErr := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case name == "VmRSS" && parseErr == nil:
			now = kilobytes << 10
		case name == "VmHWM" && parseErr == nil:
			highest = kilobytes << 10
		}
	}
	return now, highest, nil
}

// activity is what the operator's own metrics say of its work queues.
type activity struct {
	reconciles float64
	// busy counts what is queued and what is being worked on.
	busy float64
}

// activityOf reads the operator's metrics.
func activityOf(ctx context.Context, address string) (activity, error) {
	var a activity
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return a, err
	}
	request.Header.Set("Accept-Encoding", "identity") // to look is not to add to what is measured
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return a, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		number, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case strings.HasPrefix(name, "controller_runtime_reconcile_total{"):
			a.reconciles += number
		case strings.HasPrefix(name, "workqueue_depth{"), strings.HasPrefix(name, "controller_runtime_active_workers{"):
			a.busy += number
		}
	}
	return a, lines.Err()
}
