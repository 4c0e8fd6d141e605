package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

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
	// named says that nodes are all that there are.
	named bool
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
	// absent nodes did not answer when they were asked last.
	absent bool
	api    AdminAPI
	// hash of the configuration that it was seen to run after the last push; empty before the first, and where that is not known.
	hash string
}

func newFleet(connect func(kong.Config) (AdminAPI, error), s Settings, front AdminAPI) *fleet {
	return &fleet{connect: connect, config: s.Client, front: front, nodes: map[string]*node{"": {api: front, ready: true}}, named: !s.Pods}
}

// set makes these the nodes; with none the front is the only one. It says whether anything changed.
func (f *fleet) set(wanted []Node) (changed bool, err error) {
	if len(wanted) == 0 {
		wanted = []Node{{Ready: true}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	changed = !f.named
	f.named = true
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

// present are the nodes that answered when they were asked last, and those that have to.
func (f *fleet) present() []*node {
	return slices.DeleteFunc(f.all(), func(n *node) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return n.absent && !n.ready
	})
}

// complete says whether the nodes have been named.
func (f *fleet) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.named
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
		if f.passOver(n) {
			continue
		}
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

// passOver says whether to leave a node out that nobody relies on and that does not answer: the others would wait for it. It is asked with every heartbeat.
func (f *fleet) passOver(n *node) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.ready || !n.absent {
		return false
	}
	n.hash = "" // it does not run what the others do
	return true
}

// give makes a node run a configuration, and keeps its name.
func (f *fleet) give(ctx context.Context, n *node, entities []kong.Entity) error {
	before := f.hashOf(n)
	if before == "" {
		status, err := n.api.Status(ctx)
		if err != nil {
			return err
		}
		before = status.ConfigurationHash
	}
	f.setHash(n, "") // one that is away now, and does not start again, comes back with what it ran before
	if err := f.send(ctx, n, entities, before); err != nil {
		return err
	}
	status, err := n.api.Status(ctx)
	if err != nil {
		return err
	}
	f.setHash(n, status.ConfigurationHash)
	return nil
}

// answerPatience is how long a node may take for an answer before it is asked how it is: configurations take their time to load, and a lost answer takes for ever.
const answerPatience = 10 * time.Second

// send gives a node a configuration. One that runs another than before, and goes on not to say so, has taken it; one that does not say how it is has not.
func (f *fleet) send(ctx context.Context, n *node, entities []kong.Entity, before string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- n.api.PostConfig(ctx, entities) }()
	patience := f.config.Timeout
	if patience <= 0 {
		patience = answerPatience
	}
	look := time.NewTicker(patience)
	defer look.Stop()
	for changed := 0; changed < 2; {
		select {
		case err := <-answered:
			return err
		case <-look.C:
		}
		status, err := n.api.Status(ctx)
		switch {
		case ambiguous(err):
			return err
		case err == nil && status.ConfigurationHash != before:
			changed++
		}
	}
	return nil
}

func (f *fleet) setHash(n *node, hash string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.hash = hash
}

func (f *fleet) hashOf(n *node) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return n.hash
}

// changed finds the nodes that run another configuration than they were given: a new pod, a restarted one, or one that somebody else wrote to.
func (f *fleet) changed(ctx context.Context) ([]*node, error) {
	all := f.all()
	differ := make([]bool, len(all))
	var group errgroup.Group
	for i, n := range all {
		group.Go(func() (err error) {
			differ[i], err = f.differs(ctx, n)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var others []*node
	for i, n := range all {
		if differ[i] {
			others = append(others, n)
		}
	}
	return others, nil
}

// unreadyTimeout is how long a node that is not ready has to say how it is.
const unreadyTimeout = time.Second

// differs says whether a node runs something else than it was given. The word of one that is not ready does not count while it cannot be asked.
func (f *fleet) differs(ctx context.Context, n *node) (bool, error) {
	f.mu.Lock()
	ready := n.ready
	f.mu.Unlock()
	if !ready {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, unreadyTimeout)
		defer cancel()
	}
	status, err := n.api.Status(ctx)
	absent := f.dispensable(n, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	n.absent = absent
	switch {
	case absent:
		return false, nil
	case err != nil:
		return false, err
	}
	return n.hash == "" || n.hash != status.ConfigurationHash, nil
}
