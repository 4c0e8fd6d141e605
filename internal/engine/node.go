package engine

import (
	"maps"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// setNode keeps what the node says of itself. Schemas are read anew for another version or other plugins, and what was refused is tried again.
func (g *Engine) setNode(node kong.Node) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed = g.state.KongVersion != node.Version || !maps.Equal(g.plugins, node.Plugins)
	if changed {
		g.schemas.forget()
		for owner := range g.rejected {
			g.wake(owner, EventFreed)
		}
		clear(g.rejected)
		if g.state.Ready {
			// Hashes by the former schemas say nothing until all is listed anew.
			g.state.Ready, g.state.Reason, g.state.Message = false, v1alpha1.ReasonProgressing, "Kong's version or plugins changed; reading what it holds"
		}
	}
	g.state.KongVersion, g.state.Database, g.plugins = node.Version, node.Database, node.Plugins
	g.state.PropagationDelay = g.options.Margin // without a database, every worker takes a configuration as a whole
	if node.Database != "off" {
		g.state.PropagationDelay += orDefault(node.DBUpdateFrequency) + orDefault(node.WorkerStateUpdateFrequency)
	}
	return changed
}

// defaultFrequency is Kong's default of db_update_frequency and of worker_state_update_frequency (kong.conf.default).
const defaultFrequency = 5 * time.Second

func orDefault(frequency time.Duration) time.Duration {
	if frequency <= 0 {
		return defaultFrequency
	}
	return frequency
}
