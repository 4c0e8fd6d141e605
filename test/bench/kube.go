package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kubeCounts are requests that the kube-apiserver answered, by "VERB resource" or "VERB resource/subresource".
type kubeCounts map[string]int

// requestTotal is the kube-apiserver's counter of answered requests.
const requestTotal = "apiserver_request_total{"

// countKube reads the kube-apiserver's own counter, for the resources that the operator has to do with. Whatever else
// runs in a control plane of our own (garbage collection, namespaces) touches others, or only watches these.
func countKube(ctx context.Context, config *rest.Config) (kubeCounts, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the kube-apiserver's metrics: %w", err)
	}
	counts := kubeCounts{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(make([]byte, 1<<16), 1<<20)
	for lines.Scan() {
		counts.read(lines.Text())
	}
	return counts, lines.Err()
}

func (c kubeCounts) read(line string) {
	rest, found := strings.CutPrefix(line, requestTotal)
	if !found {
		return
	}
	text, value, found := strings.Cut(rest, "} ")
	if !found {
		return
	}
	labels := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		name, quoted, _ := strings.Cut(pair, "=")
		labels[name] = strings.Trim(quoted, `"`)
	}
	ours := labels["group"] == "kongjwt.dev" || labels["resource"] == "secrets" || labels["group"] == "events.k8s.io"
	number, err := strconv.ParseFloat(value, 64)
	if !ours || err != nil || labels["verb"] == "WATCH" {
		return
	}
	resource := labels["resource"]
	if sub := labels["subresource"]; sub != "" {
		resource += "/" + sub
	}
	verb := labels["verb"]
	if verb == "APPLY" {
		verb = "PATCH"
	}
	c[verb+" "+resource] += int(number)
}

// since is what came after an earlier count.
func (c kubeCounts) since(earlier kubeCounts) kubeCounts {
	later := kubeCounts{}
	for key, number := range c {
		if more := number - earlier[key]; more != 0 {
			later[key] = more
		}
	}
	return later
}

// of adds up what match picks.
func (c kubeCounts) of(match func(verb, resource string) bool) int {
	sum := 0
	for key, number := range c {
		if verb, resource, _ := strings.Cut(key, " "); match(verb, resource) {
			sum += number
		}
	}
	return sum
}

func isWrite(verb string) bool { return verb != "GET" && verb != "LIST" && verb != "WATCH" }
