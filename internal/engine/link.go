package engine

import (
	"context"
	"maps"
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/backend/database"
	"github.com/kongjwt/kong-jwt-operator/internal/backend/declarative"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// link is the way to Kong: the backend that fits the Kong that answers, and what that says of itself.
type link struct {
	about
	api      AdminAPI
	schemas  *backend.Schemas
	listener declarative.Listener

	// mu guards what follows. It is not held for requests: a Kong that hangs would hold up every Sync.
	mu          sync.Mutex
	backend     backend.Backend
	stop        context.CancelFunc
	nodes       []Node
	description backend.Description
}

func newLink(a about, api AdminAPI, listener declarative.Listener) *link {
	return &link{about: a, api: api, schemas: backend.NewSchemas(api), listener: listener}
}

// update is what is new when Kong was asked what it is.
type update struct {
	// replaced says that another kind of Kong answers, of which nothing is known.
	replaced bool
	// upgraded says that its version, its plugins or its untrusted_lua are others than before.
	upgraded bool
}

// open asks Kong what it is, and chooses the backend for it. The backend runs until ctx ends or another is chosen.
// Only the monitor calls it, so that what was read before the lock cannot have changed. The error is Kong's, or the
// network's.
func (l *link) open(ctx context.Context) (update, error) {
	node, err := l.api.Node(ctx)
	if err != nil {
		return update{}, err
	}
	// Capabilities cost several requests, and change with the version, the plugins and untrusted_lua alone.
	former, now := l.describe(), backend.Describe(node)
	now.Capabilities = former.Capabilities
	upgraded := former.Version != now.Version || former.UntrustedLua != now.UntrustedLua ||
		!maps.Equal(former.Plugins, now.Plugins)
	if upgraded {
		if now.Capabilities, err = l.api.Capabilities(ctx, node); err != nil {
			return update{}, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	changes := update{
		replaced: l.backend != nil && former.Exclusive != now.Exclusive,
		upgraded: upgraded,
	}
	l.description = now
	// Defaults differ between versions: what is canonical does too.
	if changes.upgraded {
		l.schemas.Forget()
	}
	if l.backend == nil || changes.replaced {
		return changes, l.choose(ctx, now)
	}
	return changes, nil
}

// choose takes the backend for the Kong that was found, and ends the former one.
func (l *link) choose(ctx context.Context, about backend.Description) error {
	if l.stop != nil {
		l.stop()
	}
	l.backend = database.New(l.api, l.settings.Client.URL)
	if about.Exclusive {
		l.backend = declarative.New(l.api, l.listener, declarative.Options{
			Scope: l.scope, Client: l.settings.Client,
			Connect:     func(config kong.Config) (declarative.API, error) { return l.options.Connect(config) },
			SeveralPods: l.settings.Pods, Takeover: l.settings.Takeover, InScope: l.options.InScope,
			MaxBytes: about.MaxBody, Schemas: l.schemas, Log: l.log,
		})
		// They may have been named before Kong said that it has no database.
		if l.nodes != nil {
			if _, err := l.backend.SetNodes(l.nodes); err != nil {
				return err
			}
		}
	}
	running, stop := context.WithCancel(ctx)
	l.stop = stop
	go l.backend.Run(running)
	return nil
}

// current is the backend; nil before the first open.
func (l *link) current() backend.Backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backend
}

// describe gives what Kong said of itself last; zero before the first open.
func (l *link) describe() backend.Description {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.description
}

// setNodes names the nodes, for the backend that there is and for one that comes. changed says that the backend has
// other nodes than before, and that Kong should be looked at.
func (l *link) setNodes(nodes []Node) (changed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = nodes
	if l.backend == nil {
		return false, nil
	}
	return l.backend.SetNodes(nodes)
}

func (l *link) close() { l.api.CloseIdle() }
