package engine

import (
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Filled says whether it is known what Kong holds: since the first listing, also while Kong is away.
func (g *Engine) Filled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.filled.IsZero()
}

// CredentialPart finds the part of an owner's credential that has a key in Kong.
func (g *Engine) CredentialPart(owner desired.Owner, key string) (part string, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.mirror.byUnique[lookupKey{desired.UniqueCredentialKey, key}] {
		if e.owner == owner {
			return e.part, true
		}
	}
	return "", false
}

// HasCredential says whether Kong is known to hold every credential of a set just as it is there.
func (g *Engine) HasCredential(set desired.Set) bool {
	g.mu.Lock()
	ids := g.mirror.ids(set.Entities)
	g.mu.Unlock()
	for _, e := range set.Entities {
		if e.Kind == kong.KindJWT && !g.hasEntity(relocate(e, ids)) {
			return false
		}
	}
	return true
}

func (g *Engine) hasEntity(e kong.Entity) bool {
	if g.declared.staging(e.ID) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.mirror.entries[e.ID]
	return held != nil && held.is(g.sum(e))
}
