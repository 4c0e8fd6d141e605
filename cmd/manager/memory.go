package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// leastGrowth and mostGrowth are by how many percent the heap may grow before garbage is collected. Go's own 100 makes the process twice as large as
	// what it keeps. An operator keeps much and mostly waits: with ten thousand consumers the difference is 35 MiB all the time. While it works that is
	// the cheaper way: a collection looks through all that is kept, so a quarter of the room costs four times as many looks.
	leastGrowth, mostGrowth = 25, 100
	// heapTarget is how large the heap may become for the sake of fewer collections, in bytes: below it there is room to save work.
	heapTarget = 48 << 20
	// busyRate is from how many allocated bytes a second on the operator counts as working. A heartbeat, a reading of its metrics and one changed
	// resource stay below it; thousands of resources do not.
	busyRate = 8 << 20
	// paceTime is between two looks at how much is allocated.
	paceTime = time.Second
)

// Go's names for what the last collection left, and for all that was ever allocated.
const (
	keptHeap      = "/gc/heap/live:bytes"
	allocatedHeap = "/gc/heap/allocs:bytes"
)

// boundHeap has Go collect garbage early enough, unless the environment says when, until the context ends. GOMEMLIMIT is not set here: Go's runtime reads it, and
// what fits is known where the container is given its limit. The record of who allocated what, 2 MiB, is kept where it can be read alone.
func boundHeap(ctx context.Context, s settings) {
	if s.pprofAddress == "0" {
		runtime.MemProfileRate = 0
	}
	if os.Getenv("GOGC") == "" {
		go pace(ctx, time.Tick(paceTime))
	}
}

// pace sets by how much the heap may grow, at each tick, and gives back what it grew by when the work is done.
func pace(ctx context.Context, ticks <-chan time.Time) {
	p := pacer{last: readHeap(), at: time.Now()}
	debug.SetGCPercent(p.growth())
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticks:
			before, worked := p.growth(), p.busy
			p.look(readHeap(), now)
			if growth := p.growth(); growth != before {
				debug.SetGCPercent(growth) // stops the world: only where it differs
			}
			if worked && !p.busy {
				debug.FreeOSMemory()
			}
		}
	}
}

// heap is what Go says of it, in bytes.
type heap struct{ kept, allocated uint64 }

func readHeap() heap {
	samples := []metrics.Sample{{Name: keptHeap}, {Name: allocatedHeap}}
	metrics.Read(samples)
	return heap{kept: samples[0].Value.Uint64(), allocated: samples[1].Value.Uint64()}
}

// pacer knows whether the operator works.
type pacer struct {
	last heap
	at   time.Time
	busy bool
}

// look takes what the heap is at a moment.
func (p *pacer) look(now heap, at time.Time) {
	p.busy = float64(now.allocated-p.last.allocated) >= busyRate*at.Sub(p.at).Seconds()
	p.last, p.at = now, at
}

// growth is by how many percent the heap may grow until the next look.
func (p *pacer) growth() int {
	if p.busy || p.last.kept == 0 {
		return mostGrowth
	}
	room := (heapTarget - int64(p.last.kept)) * 100 / int64(p.last.kept)
	return int(min(mostGrowth, max(leastGrowth, room)))
}
