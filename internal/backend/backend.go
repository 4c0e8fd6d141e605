// Package backend is what an engine writes to: a Kong with a database, which takes single writes, or one without,
// which takes whole configurations. An engine chooses when it connects, and knows no difference afterwards.
package backend

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Kinds are the kinds of entity that the operator writes, in the order in which they are listed.
var Kinds = []kong.Kind{
	kong.KindConsumer, kong.KindJWT, kong.KindACL, kong.KindService, kong.KindRoute, kong.KindPlugin,
}

// Backend writes to the Kong of one gateway. Its methods may be called from many goroutines. Their errors are those of
// package kong, or an *UnusableError.
type Backend interface {
	// Healthy says whether Kong can be written to now.
	Healthy(ctx context.Context) error
	// Align makes all nodes hold the same, before what they hold is listed.
	Align(ctx context.Context) error

	// List gives the entities of a kind, sorted by nothing, as they are or are about to be.
	List(ctx context.Context, kind kong.Kind, options kong.ListOptions) iter.Seq2[kong.Entity, error]
	// Children gives the entities of a kind that belong to one.
	Children(ctx context.Context, parent kong.Kind, parentID string, child kong.Kind) iter.Seq2[kong.Entity, error]
	// Get gives one entity; a *kong.NotFoundError where there is none.
	Get(ctx context.Context, kind kong.Kind, nameOrID string) (kong.Entity, error)
	// ConsumerByCustomID finds who has a custom ID.
	ConsumerByCustomID(ctx context.Context, customID string) (e kong.Entity, found bool, err error)

	// Put writes an entity by its id, and gives it as Kong shows it.
	Put(ctx context.Context, e kong.Entity) (kong.Entity, error)
	// Retag writes the tags of an entity and nothing else.
	Retag(ctx context.Context, kind kong.Kind, consumerID, id string, tags []string) (kong.Entity, error)
	// Delete takes an entity out, and what belongs to it.
	Delete(ctx context.Context, kind kong.Kind, consumerID, id string) error
	// Pending says whether writes of an owner were taken and are not in Kong yet.
	Pending(owner desired.Owner) bool
	// PendingEntity says it of one entity.
	PendingEntity(id string) bool

	// SetNodes names the nodes, where each has to be written to; none stands for the gateway's own address.
	SetNodes(nodes []Node) (changed bool, err error)
	// Run does what has to be done in the background, until ctx ends.
	Run(ctx context.Context)
}

// Node is one Kong node.
type Node struct {
	// Address is host:port.
	Address string
	// Ready says that the node is to be relied on. One that is not is written to as well, and not waited for.
	Ready bool
}

// Description is what a Kong says of itself.
type Description struct {
	// Node is its own answer.
	kong.Node
	// Capabilities are what it takes.
	Capabilities kong.Capabilities
	// Delay is how long a write may take to reach every worker of every node, by Kong's settings.
	Delay time.Duration
	// Exclusive says that there is nothing in this Kong but what this operator writes.
	Exclusive bool
}

// defaultFrequency is Kong's default of db_update_frequency and of worker_state_update_frequency (kong.conf.default).
const defaultFrequency = 5 * time.Second

// Describe makes a Description of a node's answer.
func Describe(node kong.Node) Description {
	d := Description{Node: node, Exclusive: node.Database == "off"}
	if !d.Exclusive { // without a database, every worker takes a configuration as a whole
		d.Delay = orDefault(node.DBUpdateFrequency) + node.DBUpdatePropagation + orDefault(node.WorkerStateUpdateFrequency)
	}
	return d
}

func orDefault(frequency time.Duration) time.Duration {
	if frequency <= 0 {
		return defaultFrequency
	}
	return frequency
}

// UnusableError says that a Kong answers and cannot be used.
type UnusableError struct {
	// Reason is one of the reasons of api/v1alpha1.
	Reason string
	// Message says what is wrong, and what to do.
	Message string
}

func (e *UnusableError) Error() string { return e.Message }

// Name names an entity of an owner for a person: a part is "plugin:limit", and the kind begins it.
func Name(kind kong.Kind, part string) string {
	return kind.Singular() + " " + strings.TrimPrefix(part, kind.Singular()+":")
}

// Reasons says in words why Kong refuses fields: for readers who do not know its schemas.
func Reasons(fields map[string]string) string {
	var reasons []string
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		said := fields[field]
		// A plugin that does not go with a consumer, service or route wants that field null.
		if said == "value must be null" && slices.Contains([]string{"consumer", "service", "route"}, field) {
			said = "this plugin cannot be on a " + field + "; remove it"
		}
		reasons = append(reasons, field+": "+said)
	}
	return strings.Join(reasons, "; ")
}
