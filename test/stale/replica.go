// Package stale stands between a client and a kube-apiserver, and answers as a replica of it may that is behind: one
// of several behind a load balancer, cut off from etcd for a while, or just slow. It goes no further than Kubernetes
// does.
//
//   - A list with resourceVersion=0 may show any older state; one without shows the newest, and so does a get.
//   - A list or a watch that asks for a version which the replica does not have yet waits, or is refused.
//   - A watch tells of changes late, but of all, in their order. Kinds are late by themselves: what happened first may
//     be told of last.
//   - A watch that is too old ends with 410 Gone. The client lists then, and never learns what was in between.
//
// It does not serve lists as watches (sendInitialEvents), as servers before Kubernetes 1.32 do not: clients fall back
// to resourceVersion=0.
package stale

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/rest"
)

// Replica is a kube-apiserver that may be behind. The zero value is of no use; see New.
type Replica struct {
	host string
	next http.RoundTripper // with an administrator's rights

	mu sync.Mutex
	// behind are the resources whose state is not the newest, by their plural names.
	behind map[string]*state
	// tooOld is, by resource, the version from before which no watch begins any more.
	tooOld  map[string]string
	watches map[*events]bool
	// changed is closed, and made anew, with every change of what is above.
	changed chan struct{}
}

// state is how far behind a resource is.
type state struct {
	// version that lists with resourceVersion=0 show.
	version string
	// passing is how many events of it each watch may still tell.
	passing int
}

// New makes a replica of the server that config leads to. It is not behind.
func New(config *rest.Config) (*Replica, error) {
	direct, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	return &Replica{
		host: config.Host, next: direct, behind: map[string]*state{}, tooOld: map[string]string{},
		watches: map[*events]bool{}, changed: make(chan struct{}),
	}, nil
}

// Now is the version of the cluster's newest state, for FreezeAt.
func (r *Replica) Now(ctx context.Context) (string, error) {
	url := strings.TrimSuffix(r.host, "/") + "/api/v1/namespaces?limit=1"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // read whole
	var list metav1.PartialObjectMetadataList
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return "", fmt.Errorf("read the version of the cluster's state: %w", err)
	}
	if list.ResourceVersion == "" {
		return "", fmt.Errorf("read the version of the cluster's state: the answer is %s", response.Status)
	}
	return list.ResourceVersion, nil
}

// Freeze stops the time of resources, such as "secrets": from now on they are told of as they are now.
func (r *Replica) Freeze(ctx context.Context, resources ...string) error {
	now, err := r.Now(ctx)
	if err != nil {
		return err
	}
	r.FreezeAt(now, resources...)
	return nil
}

// FreezeAt is Freeze for a state that is past: a client that begins now goes back in time. One that has watched before
// stays where it is.
func (r *Replica) FreezeAt(version string, resources ...string) {
	r.update(func() {
		for _, resource := range resources {
			r.behind[resource] = &state{version: version}
		}
	})
}

// Pass lets each watch of a frozen resource tell of some more events.
func (r *Replica) Pass(resource string, events int) {
	r.update(func() {
		if s := r.behind[resource]; s != nil {
			s.passing += events
		}
	})
}

// Release lets time go on: watches tell of all that happened meanwhile. Without names it does so for all resources.
func (r *Replica) Release(resources ...string) {
	r.update(func() {
		for resource := range r.behind {
			if len(resources) == 0 || slices.Contains(resources, resource) {
				delete(r.behind, resource)
			}
		}
	})
}

// Skip is Release for which nobody learns what was in between: watches end, and cannot go on where they were. Clients
// list, so they are told again of what has not changed, too.
func (r *Replica) Skip(ctx context.Context, resources ...string) error {
	now, err := r.Now(ctx)
	if err != nil {
		return err
	}
	r.update(func() {
		for _, resource := range resources {
			delete(r.behind, resource)
			r.tooOld[resource] = now
		}
	})
	r.end(resources)
	return nil
}

func (r *Replica) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Through makes a client's transport lead through the replica. It is for rest.Config.Wrap.
func (r *Replica) Through(next http.RoundTripper) http.RoundTripper { return through{r, next} }

type through struct {
	replica *Replica
	next    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t through) RoundTrip(request *http.Request) (*http.Response, error) {
	resource := collection(request.URL.Path)
	query := request.URL.Query()
	if request.Method != http.MethodGet || resource == "" {
		return t.next.RoundTrip(request)
	}
	if query.Get("watch") == "true" || query.Get("watch") == "1" {
		return t.watch(request, resource)
	}
	version, skipped := t.replica.versionOf(resource)
	asked := query.Get("resourceVersion")
	switch {
	case asked == "" || query.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact):
		return t.next.RoundTrip(request) // of the newest state, or of just that one
	case version != "" && asked != "0" && newer(asked, version):
		return refuse(request, tooLarge(asked, version)), nil
	case version != "":
		query.Set("resourceVersion", version)
		query.Set("resourceVersionMatch", string(metav1.ResourceVersionMatchExact))
	case skipped: // the newest, which a watch can begin at
		query.Del("resourceVersion")
		query.Del("resourceVersionMatch")
	}
	other := request.Clone(request.Context())
	other.URL.RawQuery = query.Encode()
	return t.next.RoundTrip(other)
}

// versionOf is the version of a resource's state here, "" where that is the newest, and whether anything was skipped.
func (r *Replica) versionOf(resource string) (version string, skipped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.behind[resource]; s != nil {
		version = s.version
	}
	return version, r.tooOld[resource] != ""
}

// collection is the plural name of the resource whose collection a path is, of one namespace or of all; "" for any
// other path.
func collection(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:] // api, v1
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:] // apis, group, version
	default:
		return ""
	}
	switch {
	case len(parts) == 1:
		return parts[0]
	case len(parts) == 3 && parts[0] == "namespaces":
		return parts[2]
	}
	return ""
}

// newer says whether a version is newer than another. Versions that cannot be compared are not.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// refuse answers in the place of the server.
func refuse(request *http.Request, status metav1.Status) *http.Response {
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	status.Status = metav1.StatusFailure
	content, err := json.Marshal(status)
	if err != nil {
		content = []byte(err.Error())
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status.Code, status.Reason), StatusCode: int(status.Code),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: request,
		Body: io.NopCloser(bytes.NewReader(content)), ContentLength: int64(len(content)),
	}
}
