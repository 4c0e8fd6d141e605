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
	// what it keeps. An operator keeps much and mostly waits: with ten thousand consumers the difference is 35 MiB all the time.
	leastGrowth, mostGrowth = 25, 100
	// heapTarget is how large the heap may become for the sake of fewer collections, in bytes: below it there is room to save work.
	heapTarget = 60 << 20
	// growthPause is the time between two looks at how much is kept.
	growthPause = time.Second
	// keptHeap is Go's name for what the last collection left.
	keptHeap = "/gc/heap/live:bytes"
)

// growth is by how many percent a heap may grow of which so many bytes are kept.
func growth(kept uint64) int {
	if kept == 0 {
		return mostGrowth
	}
	room := (heapTarget - int64(kept)) * 100 / int64(kept) //nolint:gosec // A heap of 2^63 bytes is none.
	return int(min(mostGrowth, max(leastGrowth, room)))
}

// boundHeap has Go collect garbage early enough, unless the environment says when. GOMEMLIMIT is not set here: Go's runtime reads it, and what fits is known
// where the container is given its limit. The record of who allocated what, 2 MiB, is kept where it can be read alone.
func boundHeap(ctx context.Context, s settings) {
	if s.pprofAddress == "0" {
		runtime.MemProfileRate = 0
	}
	if os.Getenv("GOGC") == "" {
		go keepGrowth(ctx, time.Tick(growthPause))
	}
}

// keepGrowth follows how much is kept: Go has a percentage and a limit for all memory, and no least size of the heap.
func keepGrowth(ctx context.Context, again <-chan time.Time) {
	sample := []metrics.Sample{{Name: keptHeap}}
	for now := mostGrowth; ; {
		metrics.Read(sample)
		if next := growth(sample[0].Value.Uint64()); next != now {
			debug.SetGCPercent(next)
			now = next
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
	}
}
