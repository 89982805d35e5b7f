package main

import "sync"

// Files that wait for their signatures, beyond those that are worked on: so many are asked for together, and their formats
// keep no more than this in memory for them. A larger file keeps its place while it waits.
const (
	maxWaiting      = 256
	maxWaitingBytes = 64 << 20
)

// room is for so many files at a time. One that waits for a signature makes room for another.
type room struct {
	work chan struct{}

	mu    sync.Mutex
	files int   // that wait without a place
	bytes int64 // in them
}

func newRoom(places int) *room { return &room{work: make(chan struct{}, places)} }

func (r *room) enter() { r.work <- struct{}{} }
func (r *room) leave() { <-r.work }

// rest makes room while a file of that many bytes waits, and gives what ends that.
func (r *room) rest(size int64) (resume func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == maxWaiting || r.bytes+size > maxWaitingBytes {
		return func() {}
	}
	r.files, r.bytes = r.files+1, r.bytes+size
	r.leave()
	return func() {
		r.enter()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.files, r.bytes = r.files-1, r.bytes-size
	}
}
