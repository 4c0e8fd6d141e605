package secrets

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// ahead lists the operator's own Secrets page by page when the process begins to work: an operator that starts looks
// at everything once, and would read each Secret by a request of its own. It looks in the order of the API server's
// listings, so that a page is mostly used up before the next one is asked for. What was listed is given once, and not
// at all after a watch reported another version of it, or this process wrote it, or readAheadFor has passed.
type ahead struct {
	live client.Reader
	// listing is locked by the one that asks for a page.
	listing sync.Mutex
	mu      sync.Mutex
	pages   pages
	drop    *time.Timer // once the first page was asked for
}

// pages are what was listed and not given yet, and what is to be listed.
type pages struct {
	// namespaces are those that are not listed to their end, next is the place in the first of them.
	namespaces []string
	next       string
	// last is the Secret that was listed last, in the order of the API server.
	last  string
	held  map[client.ObjectKey][]byte // in protobuf: decoded they would take four times as much
	bytes int
	// reported are the versions that watches told of before the listing was over: a page may be older than they
	// are. It is nil once it is over.
	reported map[client.ObjectKey]string
}

const (
	// readAheadPage is how many Secrets a request lists.
	readAheadPage = 1000
	// readAheadBytes is how much is held when no further page is asked for. What is not listed is read one by one.
	readAheadBytes = 8 << 20
	// readAheadFor is how long content is held after the last page.
	readAheadFor = time.Minute
)

// ReadAhead makes reads list the operator's own Secrets first, in the namespaces, or in all where there are none. It
// is called before the store is used.
func (s *Store) ReadAhead(namespaces []string) {
	namespaces = slices.Clone(namespaces)
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	slices.SortFunc(namespaces, func(a, b string) int { return strings.Compare(a+"/", b+"/") })
	s.ahead = &ahead{live: s.live, pages: pages{
		namespaces: namespaces, held: map[client.ObjectKey][]byte{}, reported: map[client.ObjectKey]string{},
	}}
}

// take gives what was listed of a Secret, once. It lists up to the Secret, unless enough is held.
func (a *ahead) take(ctx context.Context, key client.ObjectKey) (*corev1.Secret, bool) {
	if a == nil {
		return nil, false
	}
	for a.isBefore(key) {
		a.list(ctx, key)
	}
	a.mu.Lock()
	encoded, found := a.pages.take(key)
	a.mu.Unlock()
	var secret corev1.Secret
	if !found || secret.Unmarshal(encoded) != nil {
		return nil, false
	}
	return &secret, true
}

// isBefore says whether the next page may have a Secret, and there is room for it.
func (a *ahead) isBefore(key client.ObjectKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &a.pages
	return p.reported != nil && p.bytes < readAheadBytes && key.String() > p.last
}

// list asks for the next page, where another has not done so meanwhile.
func (a *ahead) list(ctx context.Context, key client.ObjectKey) {
	a.listing.Lock()
	defer a.listing.Unlock()
	if !a.isBefore(key) {
		return
	}
	var page corev1.SecretList
	namespace, next := a.pages.namespaces[0], a.pages.next // changed by the one that lists alone
	err := a.live.List(ctx, &page, client.InNamespace(namespace), client.Limit(readAheadPage), client.Continue(next),
		client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	if err != nil {
		log.FromContext(ctx).Info("The operator's Secrets cannot be listed; each is read when it is needed", "error", err.Error())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages.add(page.Items, page.Continue, err == nil)
	if a.drop == nil {
		a.drop = time.AfterFunc(readAheadFor, a.end)
	}
	a.drop.Reset(readAheadFor)
}

// forget drops what was listed of a Secret, unless it is still of a version.
func (a *ahead) forget(key client.ObjectKey, version string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages.report(key, version)
}

// end drops all that was listed, and lists no more.
func (a *ahead) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages = pages{}
}

// add keeps a page, and where the next one begins; more says whether there may be one.
func (p *pages) add(secrets []corev1.Secret, next string, more bool) {
	if p.reported == nil {
		return // it took longer than what is listed is held
	}
	for i := range secrets {
		secrets[i].ManagedFields = nil // a write without them leaves them as they are
		key := client.ObjectKeyFromObject(&secrets[i])
		p.last = key.String()
		encoded, err := secrets[i].Marshal()
		if version, told := p.reported[key]; err == nil && (!told || version == secrets[i].ResourceVersion) {
			p.held[key] = encoded
			p.bytes += len(encoded)
		}
	}
	if p.next = next; next == "" {
		p.namespaces = p.namespaces[1:]
	}
	if !more || len(p.namespaces) == 0 {
		p.reported = nil
	}
}

// take gives what was listed of a Secret, and holds it no longer.
func (p *pages) take(key client.ObjectKey) (encoded []byte, found bool) {
	encoded, found = p.held[key]
	p.bytes -= len(encoded)
	delete(p.held, key)
	return encoded, found
}

// report drops what was listed of a Secret, unless it is of the version that a watch tells of.
func (p *pages) report(key client.ObjectKey, version string) {
	if p.reported != nil {
		p.reported[key] = version
	}
	var secret corev1.Secret
	if encoded, found := p.held[key]; found && (secret.Unmarshal(encoded) != nil || secret.ResourceVersion != version) {
		p.take(key)
	}
}
