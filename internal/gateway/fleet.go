package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// fleet are the nodes of a gateway that has no database: each has to be given the configuration.
type fleet struct {
	connect func(kong.Config) (AdminAPI, error)
	config  kong.Config
	// front is the Admin API at the address of the spec, whichever node answers there.
	front AdminAPI

	// posting is held while a configuration is made and given: no older one may come after a newer.
	posting sync.Mutex

	mu    sync.Mutex
	nodes map[string]*node
}

// named says which node an error is of, where there may be several.
func (n *node) named(err error) error {
	if n.address == "" {
		return err
	}
	return fmt.Errorf("node %s: %w", n.address, err)
}

// Node is where one Kong pod is.
type Node struct {
	// Address of its Admin API, host:port.
	Address string
	// Ready says that it is to be relied on: one that is not is given the configuration too, and not waited for.
	Ready bool
}

// node is one Kong pod.
type node struct {
	// address is host:port, or empty for the front itself.
	address string
	ready   bool
	api     AdminAPI
	// hash of the configuration that it was last seen to run after a push, empty before the first.
	hash string
}

func newFleet(connect func(kong.Config) (AdminAPI, error), config kong.Config, front AdminAPI) *fleet {
	return &fleet{connect: connect, config: config, front: front, nodes: map[string]*node{"": {api: front, ready: true}}}
}

// set makes these the nodes; with none the front is the only one. It says whether anything changed.
func (f *fleet) set(wanted []Node) (changed bool, err error) {
	if len(wanted) == 0 {
		wanted = []Node{{Ready: true}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for address, n := range f.nodes {
		if !slices.ContainsFunc(wanted, func(w Node) bool { return w.Address == address }) {
			changed = true
			delete(f.nodes, address)
			if n.api != f.front {
				n.api.CloseIdle()
			}
		}
	}
	for _, w := range wanted {
		if held := f.nodes[w.Address]; held != nil {
			changed = changed || held.ready != w.Ready
			held.ready = w.Ready
			continue
		}
		api := f.front
		if w.Address != "" {
			if api, err = f.dial(w.Address); err != nil {
				return changed, err
			}
		}
		changed = true
		f.nodes[w.Address] = &node{address: w.Address, ready: w.Ready, api: api}
	}
	return changed, nil
}

// dispensable says of an error that it is the word of a node that is not ready: nobody waits for it.
func (f *fleet) dispensable(n *node, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !n.ready && ambiguous(err)
}

// dial makes a client for one node. Its certificate is for the name of the front.
func (f *fleet) dial(address string) (AdminAPI, error) {
	config := f.config
	u, err := url.Parse(config.URL)
	if err != nil {
		return nil, errors.New("the Admin API's URL cannot be read")
	}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	u.Host = address
	config.URL = u.String()
	return f.connect(config)
}

func (f *fleet) close() {
	f.front.CloseIdle()
	for _, n := range f.all() {
		n.api.CloseIdle()
	}
}

func (f *fleet) all() []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*node, 0, len(f.nodes))
	for _, n := range f.nodes {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *node) int { return compare(a.address, b.address) })
	return all
}

// post gives a configuration to every node. The error is the first node's that did not take it; Kong's word on the content comes before others.
func (f *fleet) post(ctx context.Context, entities []kong.Entity) error {
	return f.postTo(ctx, f.all(), entities)
}

func (f *fleet) postTo(ctx context.Context, nodes []*node, entities []kong.Entity) error {
	errs := make([]error, len(nodes))
	var group errgroup.Group
	for i, n := range nodes {
		group.Go(func() error {
			if err := f.give(ctx, n, entities); err != nil && !f.dispensable(n, err) {
				errs[i] = n.named(err)
			}
			return nil
		})
	}
	_ = group.Wait() // errs has them
	for _, err := range errs {
		var refused *kong.ConfigError
		if errors.As(err, &refused) {
			return err
		}
	}
	return errors.Join(errs...)
}

// give makes a node run a configuration, and keeps its name.
func (f *fleet) give(ctx context.Context, n *node, entities []kong.Entity) error {
	if err := n.api.PostConfig(ctx, entities); err != nil {
		return err
	}
	status, err := n.api.Status(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n.hash = status.ConfigurationHash
	return nil
}

// changed finds the nodes that run another configuration than they were given: a new pod, a restarted one, or one that somebody else wrote to.
func (f *fleet) changed(ctx context.Context) ([]*node, error) {
	var others []*node
	for _, n := range f.all() {
		status, err := n.api.Status(ctx)
		if f.dispensable(n, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		if n.hash == "" || n.hash != status.ConfigurationHash {
			others = append(others, n)
		}
		f.mu.Unlock()
	}
	return others, nil
}

// accept notes that what a node runs is what it should.
func (f *fleet) accept(ctx context.Context, n *node) error {
	status, err := n.api.Status(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n.hash = status.ConfigurationHash
	return nil
}
