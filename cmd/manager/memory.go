package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// leastGrowth and mostGrowth are by how many percent the heap may grow before garbage is collected. Go's own 100 makes the process twice as large as
	// what it keeps. An operator keeps much and mostly waits: with ten thousand consumers the difference is 35 MiB all the time.
	leastGrowth, mostGrowth = 25, 100
	// heapTarget is how large the heap may become for the sake of fewer collections, in bytes: below it there is room to save work.
	heapTarget = 48 << 20
	// keptHeap is Go's name for what the last collection left.
	keptHeap = "/gc/heap/live:bytes"
)

// growth is by how many percent a heap may grow of which so many bytes are kept.
func growth(kept uint64) int {
	if kept == 0 {
		return mostGrowth
	}
	room := (heapTarget - int64(kept)) * 100 / int64(kept)
	return int(min(mostGrowth, max(leastGrowth, room)))
}

// boundHeap has Go collect garbage early enough, unless the environment says when. GOMEMLIMIT is not set here: Go's runtime reads it, and what fits is known
// where the container is given its limit. The record of who allocated what, 2 MiB, is kept where it can be read alone.
func boundHeap(s settings) {
	if s.pprofAddress == "0" {
		runtime.MemProfileRate = 0
	}
	if os.Getenv("GOGC") == "" {
		setGrowth()
		afterCollections(setGrowth)
	}
}

// setGrowth goes by what the last collection left. Go itself has a percentage, and a limit for all memory, but no least size of the heap.
func setGrowth() {
	sample := []metrics.Sample{{Name: keptHeap}}
	metrics.Read(sample)
	debug.SetGCPercent(growth(sample[0].Value.Uint64()))
}

// afterCollections calls do after each collection, soon: of something that nobody keeps.
func afterCollections(do func()) {
	type nothing struct{ _ [64]byte } // too large to share its place with something that is kept
	runtime.AddCleanup(&nothing{}, func(do func()) {
		afterCollections(do) // before it is done: a collection that comes meanwhile counts
		do()
	}, do)
}
