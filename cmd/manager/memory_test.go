package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGrowth(t *testing.T) {
	for kept, want := range map[uint64]int{
		0: 100, 1: 100, 5 << 20: 100, 24 << 20: 100, 32 << 20: 50, 40 << 20: 25, 48 << 20: 25, 1 << 40: 25,
	} {
		if got := growth(kept); got != want {
			t.Errorf("%d bytes kept: %d%%, want %d%%", kept, got, want)
		}
	}
}

// However much is kept, the heap is above its target only by what the least growth asks for.
func TestGrowthKeepsTheTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := rapid.Uint64Range(1, 1<<36).Draw(t, "kept")
		percent := growth(kept)
		if percent < leastGrowth || percent > mostGrowth {
			t.Fatalf("%d%%", percent)
		}
		if heap := kept + kept*uint64(percent)/100; percent > leastGrowth && heap > heapTarget {
			t.Fatalf("%d bytes kept may grow by %d%% to %d", kept, percent, heap)
		}
	})
}

// A newer Go that names it otherwise would leave the heap to itself.
func TestGoSaysHowMuchIsKept(t *testing.T) {
	sample := []metrics.Sample{{Name: keptHeap}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		t.Fatalf("%s is of kind %d", keptHeap, sample[0].Value.Kind())
	}
}

func TestAfterEachCollection(t *testing.T) {
	collected := make(chan struct{}, 100)
	afterCollections(func() { collected <- struct{}{} })
	deadline := time.After(time.Minute)
	for range 3 {
		for called := false; !called; {
			runtime.GC() // once more, where one was under way already as what it looks for was made
			select {
			case <-collected:
				called = true
			case <-time.After(100 * time.Millisecond):
			case <-deadline:
				t.Fatal("nothing was called after the collections")
			}
		}
	}
}
