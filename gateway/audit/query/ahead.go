package query

import (
	"iter"
	"sync"
)

// ahead is how many pieces of work are in hand at a time: so many blocks are asked, and so many chunks of candidates read, before
// the answer needs them. It hides the time that the disk takes, and bounds what an answer that ends early has read in vain.
const ahead = 4

// inOrder gives what work makes of each piece, in the order of the pieces, and has up to ahead of them made at once. What a slot has is used by one
// piece at a time. A piece that was begun has ended when inOrder returns, also if its caller stops early.
func inOrder[P, R any](pieces iter.Seq[P], work func(slot int, p P) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		next, stop := iter.Pull(pieces)
		defer stop()
		var running sync.WaitGroup
		defer running.Wait()
		var made [ahead]chan R
		for i := range made {
			made[i] = make(chan R, 1)
		}
		for begun, given, more := 0, 0, true; ; given++ {
			for more && begun < given+ahead {
				var p P
				if p, more = next(); more {
					slot := begun % ahead
					running.Go(func() { made[slot] <- work(slot, p) })
					begun++
				}
			}
			if given == begun || !yield(<-made[given%ahead]) {
				return
			}
		}
	}
}
