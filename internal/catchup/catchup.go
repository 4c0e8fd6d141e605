// Package catchup holds controllers back until the cache is no older than the API server was when they began. A cache
// that has synced may be older: its first list may come from a replica of the API server that is behind, and that of a
// standby is as late as its watches are. Whoever led before may have acted on what the cache does not have yet, such
// as a revocation, and what it has would take that back. From then on a cache goes forward only.
package catchup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Kind is a kind that decisions rest on, and which part of it is cached.
type Kind struct {
	GVK schema.GroupVersionKind
	// NewList makes an empty list, to read from the cache.
	NewList func() client.ObjectList
	// Namespaces that are cached; none: all. Selector of what is cached; nil: everything.
	Namespaces []string
	Selector   labels.Selector
}

// CatchUp waits once for all who ask.
type CatchUp struct {
	cached, live client.Reader
	kinds        []Kind
	begin        sync.Once
	// done are closed when a kind has caught up, by its name.
	done   map[string]chan struct{}
	mu     sync.Mutex
	behind string // what is awaited, for the error
}

// New makes a CatchUp of a cache. live reads past it.
func New(cached, live client.Reader, kinds ...Kind) *CatchUp {
	c := &CatchUp{cached: cached, live: live, kinds: kinds, done: map[string]chan struct{}{}}
	for _, kind := range kinds {
		c.done[kind.GVK.Kind] = make(chan struct{})
	}
	return c
}

const (
	page  = 2000
	pause = 50 * time.Millisecond
	// looks at the cache until the API server is asked again: what is gone since is not waited for.
	looks = 20
)

// Begin asks the API server how far the cache has to be, the first time that it is called, and returns at once. ctx is
// for all that follows.
func (c *CatchUp) Begin(ctx context.Context) {
	c.begin.Do(func() {
		for _, kind := range c.kinds {
			go func() {
				if c.follow(ctx, kind) {
					close(c.done[kind.GVK.Kind])
				}
			}()
		}
	})
}

// Await returns when the cache has caught up with kinds, which New was given; none: with all. The error is that ctx
// ended before.
func (c *CatchUp) Await(ctx context.Context, kinds ...string) error {
	if len(kinds) == 0 {
		kinds = slices.Collect(maps.Keys(c.done))
	}
	for _, kind := range kinds {
		select {
		case <-c.done[kind]:
		case <-ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			return fmt.Errorf("the cache is behind the API server (%s): %w", c.behind, ctx.Err())
		}
	}
	return nil
}

// follow returns true when the cache of a kind has caught up, or false when ctx has ended.
func (c *CatchUp) follow(ctx context.Context, kind Kind) bool {
	var wanted *versions
	for ctx.Err() == nil {
		now, err := c.read(ctx, kind)
		switch {
		case err != nil:
			c.note(ctx, kind, err.Error())
			sleep(ctx, pause*looks)
			continue
		case wanted == nil:
			wanted = now
		default:
			wanted.forgetGone(now)
		}
		var late []string
		for range looks {
			if late, err = c.late(ctx, kind, wanted); err == nil && len(late) == 0 {
				return true
			}
			sleep(ctx, pause)
		}
		if err != nil {
			late = []string{err.Error()}
		}
		c.note(ctx, kind, fmt.Sprintf("%d late, %s among them", len(late), late[0]))
	}
	return false
}

func (c *CatchUp) note(ctx context.Context, kind Kind, what string) {
	if ctx.Err() != nil {
		return
	}
	log.FromContext(ctx).Info("Waiting until the cache has caught up with the API server",
		"kind", kind.GVK.Kind, "reason", what)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = kind.GVK.Kind + ": " + what
}

// read lists a kind at the API server, as it is now.
func (c *CatchUp) read(ctx context.Context, kind Kind) (*versions, error) {
	found := &versions{of: map[client.ObjectKey]string{}}
	namespaces := kind.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		for next := ""; ; {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind.GVK.GroupVersion().WithKind(kind.GVK.Kind + "List"))
			options := []client.ListOption{client.InNamespace(namespace), client.Limit(page), client.Continue(next)}
			if kind.Selector != nil {
				options = append(options, client.MatchingLabelsSelector{Selector: kind.Selector})
			}
			if err := c.live.List(ctx, list, options...); err != nil {
				return nil, fmt.Errorf("list: %w", err)
			}
			found.add(list)
			if next = list.Continue; next == "" {
				break
			}
		}
	}
	return found, nil
}

// late names what the cache has older than wanted, does not have yet, or has still.
func (c *CatchUp) late(ctx context.Context, kind Kind, wanted *versions) ([]string, error) {
	list := kind.NewList()
	if err := c.cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("read the cache: %w", err)
	}
	cached := &versions{of: map[client.ObjectKey]string{}}
	err := apimeta.EachListItem(list, func(item runtime.Object) error {
		meta, err := apimeta.Accessor(item)
		if err == nil {
			cached.of[client.ObjectKey{Namespace: meta.GetNamespace(), Name: meta.GetName()}] = meta.GetResourceVersion()
		}
		return err
	})
	return wanted.missing(cached), err
}

// versions are the resourceVersions of objects, and that of the list that they come from.
type versions struct {
	of   map[client.ObjectKey]string
	list string
}

func (v *versions) add(list *metav1.PartialObjectMetadataList) {
	if v.list == "" || isOlder(list.ResourceVersion, v.list) {
		v.list = list.ResourceVersion // of several lists the first: what is newer is not missed
	}
	for i := range list.Items {
		v.of[client.ObjectKeyFromObject(&list.Items[i])] = list.Items[i].ResourceVersion
	}
}

// forgetGone drops the objects that are gone at a later list.
func (v *versions) forgetGone(later *versions) {
	for key := range v.of {
		if _, found := later.of[key]; !found {
			delete(v.of, key)
		}
	}
}

// missing names the objects that are older in a cache, are not there, or are there still.
func (v *versions) missing(cached *versions) []string {
	var late []string
	for key, version := range v.of {
		if held, found := cached.of[key]; !found || isOlder(held, version) {
			late = append(late, key.String())
		}
	}
	for key, held := range cached.of {
		if _, found := v.of[key]; !found && (held == v.list || isOlder(held, v.list)) {
			late = append(late, key.String())
		}
	}
	slices.Sort(late)
	for i := range late {
		late[i] = strings.TrimPrefix(late[i], "/") // without a namespace
	}
	return late
}

// isOlder says whether a version is older than another. Versions that cannot be compared are not.
func isOlder(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
