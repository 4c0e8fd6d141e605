package gateway

import "time"

// Standing says whether Kong is known to hold an entity of ours, and how long it takes until every worker of every node has to know it as it is now: zero where
// the propagation delay has passed since Kong acknowledged it, or since this process first saw it.
func (g *Gateway) Standing(id string) (held bool, rest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.mirror.entries[id]
	if entry == nil || entry.unknown {
		return false, 0
	}
	return true, g.rest(entry.since)
}
