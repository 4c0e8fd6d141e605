package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// heapGrowth is by how many percent the heap may grow before garbage is collected. Go's own 100 is for programs that
// allocate all the time; an operator keeps much and mostly waits.
const heapGrowth = 50

// setMemory sets when garbage is collected, unless the environment does (GOGC). Go reads GOMEMLIMIT by itself: the
// container's limit is known where it is set. The profile of allocations, 2 MiB, is kept only where it can be read.
func setMemory(s settings) {
	if s.pprofAddress == "0" {
		runtime.MemProfileRate = 0
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}
