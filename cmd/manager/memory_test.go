package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

func TestGrowth(t *testing.T) {
	for kept, want := range map[uint64]int{
		0: 100, 1: 100, 5 << 20: 100, 24 << 20: 100, 32 << 20: 50, 40 << 20: 25, 48 << 20: 25, 1 << 40: 25,
	} {
		waits, works := pacer{last: heap{kept: kept}}, pacer{last: heap{kept: kept}, busy: true}
		if got := waits.growth(); got != want {
			t.Errorf("%d bytes kept: %d%%, want %d%%", kept, got, want)
		}
		if got := works.growth(); got != mostGrowth {
			t.Errorf("%d bytes kept, and much to do: %d%%, want %d%%", kept, got, mostGrowth)
		}
	}
}

// However much is kept, the heap of an operator that waits is above its target only by what the least growth asks for.
func TestGrowthKeepsTheTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := rapid.Uint64Range(1, 1<<36).Draw(t, "kept")
		percent := (&pacer{last: heap{kept: kept}}).growth()
		if percent < leastGrowth || percent > mostGrowth {
			t.Fatalf("%d%%", percent)
		}
		if size := kept + kept*uint64(percent)/100; percent > leastGrowth && size > heapTarget {
			t.Fatalf("%d bytes kept may grow by %d%% to %d", kept, percent, size)
		}
	})
}

func TestTheRateSaysWhetherThereIsWork(t *testing.T) {
	start := time.Now()
	for what, c := range map[string]struct {
		allocated uint64
		after     time.Duration
		busy      bool
	}{
		"nothing":                     {0, time.Second, false},
		"a reading of the metrics":    {2 << 20, time.Second, false},
		"just enough":                 {busyRate, time.Second, true},
		"as much, in twice the time":  {busyRate, 2 * time.Second, false},
		"twice as much in that time":  {2 * busyRate, 2 * time.Second, true},
		"a hundred consumers at once": {100 * 340 << 10, time.Second, true},
	} {
		p := pacer{last: heap{kept: 1, allocated: 1 << 30}, at: start}
		p.look(heap{kept: 1, allocated: 1<<30 + c.allocated}, start.Add(c.after))
		if p.busy != c.busy {
			t.Errorf("%s: busy is %t", what, p.busy)
		}
	}
}

// A newer Go that names them otherwise would leave the heap to itself.
func TestGoSaysWhatTheHeapIs(t *testing.T) {
	for _, name := range []string{keptHeap, allocatedHeap} {
		sample := []metrics.Sample{{Name: name}}
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			t.Errorf("%s is of kind %d", name, sample[0].Value.Kind())
		}
	}
}

// What the heap grew by while there was work goes back when there is none.
func TestMemoryIsGivenBackAfterTheWork(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { debug.SetGCPercent(mostGrowth) })
	ticks, ended := make(chan time.Time), make(chan struct{})
	go func() { defer close(ended); pace(ctx, ticks) }()
	now := time.Now()
	tick := func() {
		now = now.Add(paceTime)
		ticks <- now
	}
	tick()
	tick() // the first has been taken in
	before := resident()
	work := make([][]byte, 64)
	for i := range work {
		work[i] = make([]byte, 1<<20)
	}
	g.Expect(resident()).To(BeNumerically(">=", before+32<<20))
	runtime.KeepAlive(work)
	tick()
	tick() // nothing was allocated since
	cancel()
	<-ended
	g.Expect(resident()).To(BeNumerically("<", before+8<<20))
}

// resident is how much memory the heap has from the system, in bytes.
func resident() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}
