// Package schema knows what Kong's schemas say of entities: it fills in defaults, validates, and shows an entity, as
// Kong of a version does (kong/db/schema/init.lua). The schemas in recorded/ are those of real Kongs.
package schema
