package kong

import "time"

// Entity is one entity of Kong.
type Entity struct {
	Kind Kind
	ID   string
	// ConsumerID is the consumer that a JWT credential or acl group belongs to; empty for all other kinds.
	// A plugin's consumer is a field like its service and route.
	ConsumerID string
	// Fields are the entity's own, without id, created_at and updated_at, and for credentials and
	// groups without consumer.
	Fields Fields
	// CreatedAt and UpdatedAt are set in answers, to the second; UpdatedAt is zero where Kong keeps none
	// (credentials and groups).
	CreatedAt, UpdatedAt time.Time
}
