package client

import (
	"context"
	"sync/atomic"
	"time"
)

// lingering is a context that ends that long after ctx was cancelled, but at its deadline.
func lingering(ctx context.Context, linger time.Duration) (context.Context, func()) {
	if linger <= 0 {
		return context.WithCancel(ctx)
	}
	stays, leave := context.WithCancel(context.WithoutCancel(ctx))
	if deadline, ok := ctx.Deadline(); ok {
		stays, leave = context.WithDeadline(stays, deadline)
	}
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(linger, leave) })
	return stays, func() {
		stop()
		leave()
	}
}

// whileAnyStays is a context that ends once nobody waits for any of them.
func whileAnyStays(all []*asked) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(all[0].ctx))
	var staying atomic.Int64
	staying.Store(int64(len(all)))
	var stops []func() bool
	for _, a := range all {
		stops = append(stops, context.AfterFunc(a.stays, func() {
			if staying.Add(-1) == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// pauseFor waits, while anybody does.
func pauseFor(all []*asked, pause time.Duration) {
	ctx, end := whileAnyStays(all)
	defer end()
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}
