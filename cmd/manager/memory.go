package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// usageEvery is between two looks at the use of memory.
	usageEvery = time.Second
	// calmBytes are what is allocated at most from one look to the next where there is not much to do.
	calmBytes = 4 << 20
	// spareBytes are what the heap may have beside what is in use.
	spareBytes = 16 << 20
)

// setMemory keeps the profile of allocations, 2 MiB, only where it can be read. When garbage is collected is left to
// Go, and to GOGC and GOMEMLIMIT, which it reads by itself.
func setMemory(s settings) {
	if s.pprofAddress == "0" {
		runtime.MemProfileRate = 0
	}
}

// usage is what Go says of the heap, in bytes.
type usage struct {
	// allocated counts everything since the start.
	allocated uint64
	// live was in use at the last collection.
	live uint64
	// held is taken from the system: objects, those that are garbage too, and room without any.
	held uint64
}

func readUsage() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	return usage{allocated: at(0), live: at(1), held: at(2) + at(3) + at(4)}
}

// isToSpare says that there is not much to do since a former look, and that the heap has much that is not in use.
func (u usage) isToSpare(former usage) bool {
	return u.allocated-former.allocated < calmBytes && u.held > u.live+u.live/4+spareBytes
}

// giveBackMemory gives the system what the heap grew by, each time that there is not much to do any more, until ctx
// ends.
func giveBackMemory(ctx context.Context) {
	look := time.NewTicker(usageEvery)
	defer look.Stop()
	former := readUsage()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			now := readUsage()
			if now.isToSpare(former) {
				debug.FreeOSMemory()
			}
			former = now
		}
	}
}
