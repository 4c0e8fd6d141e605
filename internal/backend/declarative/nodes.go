package declarative

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// nodes are the Kong nodes of a gateway: each has to be given the configuration. They may be used from many
// goroutines.
type nodes struct {
	connect func(kong.Config) (API, error)
	config  kong.Config
	// front is the Admin API at the address of the spec, whichever node answers there.
	front API

	mu        sync.Mutex
	byAddress map[string]*node
	// named says that byAddress are all that there are.
	named bool
}

// node is one Kong node.
type node struct {
	// address is host:port, or empty for the front itself.
	address string
	api     API

	mu    sync.Mutex
	ready bool
	// absent nodes did not answer when they were asked last.
	absent bool
	// given is what the node was seen to run after the last push; zero before the first, and where that is not
	// known.
	given given
	// ahead says that it took a configuration that another node did not.
	ahead bool
}

// given is a configuration that a node was given.
type given struct {
	// hash is Kong's own name of it.
	hash     string
	revision int64
}

func newNodes(front API, config kong.Config, severalPods bool, connect func(kong.Config) (API, error)) *nodes {
	return &nodes{
		connect: connect, config: config, front: front, named: !severalPods,
		byAddress: map[string]*node{"": {api: front, ready: true}},
	}
}

// set makes these the nodes; with none the front is the only one. It says whether anything changed.
func (f *nodes) set(wanted []backend.Node) (changed bool, err error) {
	if len(wanted) == 0 {
		wanted = []backend.Node{{Ready: true}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	changed = !f.named
	f.named = true
	for address, n := range f.byAddress {
		if !slices.ContainsFunc(wanted, func(w backend.Node) bool { return w.Address == address }) {
			changed = true
			delete(f.byAddress, address)
			n.close(f.front)
		}
	}
	for _, w := range wanted {
		if held := f.byAddress[w.Address]; held != nil {
			changed = held.setReady(w.Ready) || changed
			continue
		}
		api := f.front
		if w.Address != "" {
			if api, err = f.dial(w.Address); err != nil {
				return changed, err
			}
		}
		changed = true
		f.byAddress[w.Address] = &node{address: w.Address, ready: w.Ready, api: api}
	}
	return changed, nil
}

// dial makes a client for one node. Its certificate is for the name of the front.
func (f *nodes) dial(address string) (API, error) {
	config := f.config
	u, err := url.Parse(config.URL)
	if err != nil {
		return nil, errors.New("spec.adminAPI.url: the URL cannot be read. Write it as http://host:port")
	}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	u.Host = address
	config.URL = u.String()
	return f.connect(config)
}

// complete says whether the nodes have been named.
func (f *nodes) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.named
}

func (f *nodes) all() []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*node, 0, len(f.byAddress))
	for _, n := range f.byAddress {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *node) int { return strings.Compare(a.address, b.address) })
	return all
}

// present are the nodes that answered when they were asked last, and those that have to.
func (f *nodes) present() []*node {
	return slices.DeleteFunc(f.all(), (*node).passedOver)
}

func (f *nodes) close() {
	f.front.CloseIdle()
	for _, n := range f.all() {
		n.api.CloseIdle()
	}
}

// post gives a configuration to some nodes. The error is Kong's word on the content where there is one, else that of
// all nodes that did not take it.
func (f *nodes) post(ctx context.Context, to []*node, entities []kong.Entity, revision int64) error {
	errs, took := make([]error, len(to)), make([]bool, len(to))
	var group errgroup.Group
	for i, n := range to {
		if n.passedOver() {
			n.setGiven(given{}) // it does not run what the others do
			continue
		}
		group.Go(func() error {
			err := n.give(ctx, entities, revision, f.config.Timeout)
			if took[i] = err == nil; !took[i] && !n.dispensable(err) {
				errs[i] = n.name(err)
			}
			return nil
		})
	}
	_ = group.Wait() // errs has them
	failed := errors.Join(errs...)
	if failed == nil && !slices.Contains(took, true) {
		failed = noneAnswers()
	}
	for i, n := range to {
		if took[i] {
			n.setAhead(failed != nil)
		}
	}
	for _, err := range errs {
		if aboutContent(err) {
			return err
		}
	}
	return failed
}

// ahead are the nodes that took a configuration that others did not.
func (f *nodes) ahead() []*node {
	return slices.DeleteFunc(f.all(), func(n *node) bool { return !n.isAhead() })
}

// noneAnswers says that there is no node but such that nobody waits for: nothing is run by any.
func noneAnswers() error { return &kong.UnavailableError{Cause: kong.CauseNetwork} }

// changed finds the nodes that run another configuration than they were given: a new pod, a restarted one, or one that
// somebody else wrote to.
func (f *nodes) changed(ctx context.Context) ([]*node, error) {
	all := f.all()
	differ := make([]bool, len(all))
	var group errgroup.Group
	for i, n := range all {
		group.Go(func() (err error) {
			differ[i], err = n.differs(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(f.present()) == 0 {
		return nil, noneAnswers()
	}
	var others []*node
	for i, n := range all {
		if differ[i] {
			others = append(others, n)
		}
	}
	return others, nil
}

// aboutContent says whether an error is Kong's word on the configuration, and not on the node.
func aboutContent(err error) bool {
	var refused *kong.ConfigError
	var tooLarge *kong.ConfigTooLargeError
	var invalid *kong.InvalidError
	return errors.As(err, &refused) || errors.As(err, &tooLarge) || errors.As(err, &invalid)
}

// ambiguous says that a request may have been done all the same.
func ambiguous(err error) bool {
	var unavailable *kong.UnavailableError
	return errors.As(err, &unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// name says which node an error is of, where there may be several.
func (n *node) name(err error) error {
	if n.address == "" {
		return err
	}
	return fmt.Errorf("node %s: %w", n.address, err)
}

func (n *node) close(front API) {
	if n.api != front {
		n.api.CloseIdle()
	}
}

func (n *node) setReady(ready bool) (changed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed = n.ready != ready
	n.ready = ready
	return changed
}

func (n *node) setGiven(g given) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.given = g
}

// setAhead says whether a node took what another did not. It is not relied on to run that then.
func (n *node) setAhead(ahead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ahead = ahead; ahead {
		n.given = given{}
	}
}

func (n *node) isAhead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ahead
}

func (n *node) lastGiven() given {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.given
}

// passedOver says whether a node is neither ready nor answering: nobody waits for it.
func (n *node) passedOver() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.absent && !n.ready
}

// dispensable says of an error that it is the word of a node that is not ready: nobody waits for it.
func (n *node) dispensable(err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.ready && ambiguous(err)
}

// unreadyTimeout is how long a node that is not ready has to say how it is.
const unreadyTimeout = time.Second

// differs says whether a node runs something else than it was given. The word of one that is not ready does not count
// while it cannot be asked.
func (n *node) differs(ctx context.Context) (bool, error) {
	n.mu.Lock()
	ready := n.ready
	n.mu.Unlock()
	if !ready {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, unreadyTimeout)
		defer cancel()
	}
	status, err := n.api.Status(ctx)
	absent := n.dispensable(err)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.absent = absent
	switch {
	case absent:
		return false, nil
	case err != nil:
		return false, err
	}
	return n.given.hash == "" || n.given.hash != status.ConfigurationHash, nil
}

// give makes a node run a configuration, and remembers Kong's name of it.
func (n *node) give(ctx context.Context, entities []kong.Entity, revision int64, timeout time.Duration) error {
	before := n.lastGiven().hash
	if before == "" {
		status, err := n.api.Status(ctx)
		if err != nil {
			return err
		}
		before = status.ConfigurationHash
	}
	n.setGiven(given{}) // one that is away now, and does not start again, comes back with what it ran before
	for {
		err := n.send(ctx, entities, before, timeout)
		var throttled *kong.ThrottledError
		if !errors.As(err, &throttled) {
			if err != nil {
				return err
			}
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(throttled.RetryAfter, pushQuiet)):
		}
	}
	status, err := n.api.Status(ctx)
	if err != nil {
		return err
	}
	n.setGiven(given{status.ConfigurationHash, revision})
	return nil
}

// answerTimeout is how long a node may take for an answer before it is asked how it is: configurations take their time
// to load, and a lost answer never comes.
const answerTimeout = 10 * time.Second

// send posts a configuration to a node. A node that runs another one than before, and goes on not to say so, has taken
// it; one that does not say how it is has not.
func (n *node) send(ctx context.Context, entities []kong.Entity, before string, timeout time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- n.api.PostConfig(ctx, entities) }()
	if timeout <= 0 {
		timeout = answerTimeout
	}
	look := time.NewTicker(timeout)
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

// answer says whether every node that is relied on says how it is: a node that fails by itself is not failed by a
// configuration.
func (f *nodes) answer(ctx context.Context) bool {
	_, err := f.changed(ctx)
	return err == nil
}
