package engine

import (
	"context"
	"iter"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// AdminAPI is what the engine uses of Kong's Admin API; *kong.Client has it.
type AdminAPI interface {
	Put(ctx context.Context, e kong.Entity) (kong.Entity, error)
	PatchTags(ctx context.Context, kind kong.Kind, consumerID, id string, tags []string) (kong.Entity, error)
	Delete(ctx context.Context, kind kong.Kind, consumerID, id string) error
	Get(ctx context.Context, kind kong.Kind, nameOrID string) (kong.Entity, error)
	ConsumerByCustomID(ctx context.Context, customID string) (kong.Entity, bool, error)
	List(ctx context.Context, kind kong.Kind, opts kong.ListOptions) iter.Seq2[kong.Entity, error]
	ListChildren(ctx context.Context, parent kong.Kind, parentID string, child kong.Kind) iter.Seq2[kong.Entity, error]
	Node(ctx context.Context) (kong.Node, error)
	Status(ctx context.Context) (kong.Status, error)
	PluginSchema(ctx context.Context, name string) (kong.Schema, error)
	PostConfig(ctx context.Context, entities []kong.Entity) error
	CloseIdle()
}

// ClientConfig is the client's, for those who do not know the client.
type ClientConfig = kong.Config

// ClientSecret is a text that does not print; see ClientConfig.
type ClientSecret = kong.Secret

// Settings are how an engine connects and how often it looks.
type Settings struct {
	Client kong.Config
	// DriftInterval is the time between two listings of what Kong holds.
	DriftInterval time.Duration
	// ReportDrift leaves what somebody else changed in Kong as it is, and tells of it.
	ReportDrift bool
	// Pods says that the address is a Service's: where Kong has no database, nothing is asked of it before SetNodes has named the pods behind it. Two requests
	// may reach two of them, which may run two configurations.
	Pods bool
	// Takeover lets a Kong without a database be given a configuration though it runs one that is not ours.
	Takeover bool
	// Adopt takes over what nobody's tags claim, where an owner asks for its name.
	Adopt bool
}

// kinds in the order in which they are listed.
var kinds = []kong.Kind{kong.KindConsumer, kong.KindJWT, kong.KindACL, kong.KindService, kong.KindRoute, kong.KindPlugin}
