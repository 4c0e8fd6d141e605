package main

import "testing"

func TestMemoryIsGivenBackWhenTheWorkIsDone(t *testing.T) {
	const mebibyte = 1 << 20
	for what, c := range map[string]struct {
		allocated, live, held uint64
		want                  bool
	}{
		"thousands of changes":                   {100, 60, 180, false},
		"after them":                             {1, 60, 180, true},
		"after them, and it was given back":      {1, 60, 80, false},
		"a small operator, and a little garbage": {1, 5, 20, false},
		"a small operator that listed a Kong":    {1, 5, 40, true},
	} {
		former := usage{allocated: 1000 * mebibyte}
		now := usage{allocated: former.allocated + c.allocated*mebibyte, live: c.live * mebibyte, held: c.held * mebibyte}
		if got := now.isToSpare(former); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

func TestGoTellsOfItsMemory(t *testing.T) {
	if now := readUsage(); now.allocated == 0 || now.held == 0 {
		t.Errorf("%+v", now)
	}
}
