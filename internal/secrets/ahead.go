package secrets

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// ahead is what a listing of the operator's own Secrets held when the process began to work: an operator that starts
// looks at everything once, and would read each Secret by a request of its own. What was listed is given once, and
// not at all after a watch reported another version of it, or this process wrote it, or readAheadFor has passed.
type ahead struct {
	live       client.Reader
	namespaces []string
	begin      sync.Once
	mu         sync.Mutex
	held       map[client.ObjectKey][]byte // in protobuf: decoded they would take four times as much
	bytes      int
	// reported are the versions that watches told of before the listing was over: a page may be older than they
	// are.
	reported map[client.ObjectKey]string
}

const (
	// readAheadPage is how many Secrets a request lists.
	readAheadPage = 500
	// readAheadBytes is how much is held at most. What is not listed is read one by one.
	readAheadBytes = 32 << 20
	// readAheadFor is how long content is held.
	readAheadFor = time.Minute
)

// ReadAhead makes the first read list the operator's own Secrets, in the namespaces, or in all where there are none.
// It is called before the store is used.
func (s *Store) ReadAhead(namespaces []string) {
	s.ahead = &ahead{live: s.live, namespaces: namespaces, held: map[client.ObjectKey][]byte{}, reported: map[client.ObjectKey]string{}}
}

// take gives what was listed of a Secret, once. The first call lists, and the others wait for it.
func (a *ahead) take(ctx context.Context, key client.ObjectKey) (*corev1.Secret, bool) {
	if a == nil {
		return nil, false
	}
	a.begin.Do(func() {
		if err := a.list(ctx); err != nil {
			log.FromContext(ctx).Info("The operator's Secrets cannot be listed; each is read when it is needed", "error", err.Error())
		}
		a.mu.Lock()
		a.reported = nil
		a.mu.Unlock()
		time.AfterFunc(readAheadFor, a.drop)
	})
	a.mu.Lock()
	encoded, found := a.held[key]
	delete(a.held, key)
	a.mu.Unlock()
	var secret corev1.Secret
	if !found || secret.Unmarshal(encoded) != nil {
		return nil, false
	}
	return &secret, true
}

func (a *ahead) list(ctx context.Context) error {
	namespaces := a.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		for next := ""; ; {
			var page corev1.SecretList
			err := a.live.List(ctx, &page, client.InNamespace(namespace), client.Limit(readAheadPage), client.Continue(next),
				client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
			if err != nil {
				return fmt.Errorf("list Secrets: %w", err)
			}
			if next = page.Continue; !a.hold(page.Items) {
				return nil
			}
			if next == "" {
				break
			}
		}
	}
	return nil
}

// hold keeps a page; false where it is enough.
func (a *ahead) hold(page []corev1.Secret) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range page {
		page[i].ManagedFields = nil // a write without them leaves them as they are
		encoded, err := page[i].Marshal()
		if a.bytes += len(encoded); err != nil || a.bytes > readAheadBytes {
			return false
		}
		key := client.ObjectKeyFromObject(&page[i])
		if version, told := a.reported[key]; !told || version == page[i].ResourceVersion {
			a.held[key] = encoded
		}
	}
	return true
}

// forget drops what was listed of a Secret, unless it is still of a version.
func (a *ahead) forget(key client.ObjectKey, version string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reported != nil {
		a.reported[key] = version
	}
	var secret corev1.Secret
	if encoded, found := a.held[key]; found && (secret.Unmarshal(encoded) != nil || secret.ResourceVersion != version) {
		delete(a.held, key)
	}
}

func (a *ahead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.held)
}
