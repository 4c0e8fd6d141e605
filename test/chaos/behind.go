package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// watched are the resources that the operator watches.
var watched = []string{
	"konggateways", "jwtconsumers", "jwtprotectedservices", "jwttokens", "secrets", "services", "namespaces",
}

// someOf gives at least one of them.
func someOf(kinds []string, random *rand.Rand) []string {
	var some []string
	for _, i := range random.Perm(len(kinds))[:1+random.IntN(len(kinds))] {
		some = append(some, kinds[i])
	}
	return some
}

// freeze has the replica of the kube-apiserver tell of nothing new.
func (w *world) freeze(ctx context.Context, kinds []string) error {
	w.behind = true
	return w.api.replica.Freeze(ctx, kinds...)
}

// startBehind ends the operator after a while of changes, and starts it at a replica that has none of them.
func startBehind(ctx context.Context, w *world, random *rand.Rand) error {
	before, err := w.api.replica.Now(ctx)
	if err != nil {
		return err
	}
	pause(ctx, time.Duration(500+random.IntN(2000))*time.Millisecond)
	w.behind = true
	w.api.replica.FreezeAt(before, watched...)
	return w.killAndStart(ctx)
}

// catchUp ends that the replica is behind: its watches tell of all that happened or, every other time, end, so that
// nobody learns what was in between.
func (w *world) catchUp(ctx context.Context) error {
	if !w.behind {
		return nil
	}
	if w.behind, w.skips = false, !w.skips; w.skips {
		if err := w.api.replica.Skip(ctx, watched...); err != nil {
			return err
		}
	}
	w.api.replica.Release()
	return nil
}
