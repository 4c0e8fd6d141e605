package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// heapGrowth is by how many percent the heap may grow before garbage is collected; Go's own 100 makes the process twice as large as what it keeps. An
// operator keeps much and mostly waits: with ten thousand consumers the difference is 35 MiB all the time, against a few seconds at the start.
const heapGrowth = 25

// boundHeap sets it, unless the environment says otherwise. GOMEMLIMIT is not set here: Go's runtime reads it, and what fits is known where the container
// is given its limit. The record of who allocated what, 2 MiB, is kept where it can be read alone.
func boundHeap(s settings) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if s.pprofAddress == "0" {
		runtime.MemProfileRate = 0
	}
}
