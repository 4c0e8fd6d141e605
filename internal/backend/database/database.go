// Package database is the backend of a Kong that has a database: each write is one request.
package database

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// API is what of Kong's Admin API is used; *kong.Client has it.
type API interface {
	Put(ctx context.Context, e kong.Entity) (kong.Entity, error)
	PatchTags(ctx context.Context, kind kong.Kind, consumerID, id string, tags []string) (kong.Entity, error)
	Delete(ctx context.Context, kind kong.Kind, consumerID, id string) error
	Get(ctx context.Context, kind kong.Kind, nameOrID string) (kong.Entity, error)
	ConsumerByCustomID(ctx context.Context, customID string) (kong.Entity, bool, error)
	List(ctx context.Context, kind kong.Kind, options kong.ListOptions) iter.Seq2[kong.Entity, error]
	ListChildren(ctx context.Context, parent kong.Kind, parentID string, child kong.Kind) iter.Seq2[kong.Entity, error]
	Node(ctx context.Context) (kong.Node, error)
	Status(ctx context.Context) (kong.Status, error)
}

// Backend writes to one Kong.
type Backend struct {
	API
	url string
}

var _ backend.Backend = (*Backend)(nil)

// New makes the backend of the Kong at a URL, which is for messages.
func New(api API, url string) *Backend { return &Backend{API: api, url: url} }

// Healthy asks the node for its status, its database included.
func (b *Backend) Healthy(ctx context.Context) error {
	status, err := b.Status(ctx)
	var unauthorized *kong.UnauthorizedError
	if errors.As(err, &unauthorized) {
		// A token for one workspace may not read the status; the node's root is open to it.
		_, err = b.Node(ctx)
		status.DatabaseReachable = true
	}
	if err == nil && !status.DatabaseReachable {
		return &backend.UnusableError{Reason: v1alpha1.ReasonKongUnreachable, Message: fmt.Sprintf(
			"spec.adminAPI: Kong cannot reach its database, and takes no writes until it can (%s). "+
				"Look at the database, and at Kong's log.", b.url)}
	}
	return err
}

// Align does nothing: all nodes read one database.
func (b *Backend) Align(context.Context) error { return nil }

// Children implements backend.Backend.
func (b *Backend) Children(
	ctx context.Context, parent kong.Kind, parentID string, child kong.Kind,
) iter.Seq2[kong.Entity, error] {
	return b.ListChildren(ctx, parent, parentID, child)
}

// Retag implements backend.Backend.
func (b *Backend) Retag(ctx context.Context, kind kong.Kind, consumerID, id string, tags []string) (kong.Entity, error) {
	return b.PatchTags(ctx, kind, consumerID, id, tags)
}

// Pending is never true: a write is in Kong when it is answered.
func (b *Backend) Pending(desired.Owner) bool { return false }

// PendingEntity is never true, as Pending.
func (b *Backend) PendingEntity(string) bool { return false }

// SetNodes does nothing: the database tells all nodes.
func (b *Backend) SetNodes([]backend.Node) (bool, error) { return false, nil }

// Run has nothing to do in the background.
func (b *Backend) Run(context.Context) {}
