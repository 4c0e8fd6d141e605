// Package kong is a client of Kong's Admin API: the six kinds of entity that JWT authentication
// needs, what the node says of itself, and the schemas of its plugins.
//
// Three rules hold throughout. Entities are written by id only, because a PUT by name or key
// takes over another's entity. Nothing that Kong answers is repeated in an error as it is, because
// Kong repeats what was submitted, secrets too. And what is compared is an entity's canonical form
// (Canonical), in which what we send and what Kong makes of it are equal.
package kong
