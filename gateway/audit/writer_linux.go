package audit

import (
	"math"
	"time"
)

// A batch is closed at these bounds, so that one write stays short.
const (
	maxBatchRecords = 1024
	maxBatchBytes   = 1 << 20
)

// run is the writer: the one goroutine that touches the log's file.
func (l *Log) run() {
	defer close(l.done)
	for {
		select {
		case e := <-l.queue:
			l.commit(e)
			l.rotateIfDue()
			continue
		case <-l.age.C:
			l.rotateIfDue()
			continue
		case <-l.quit:
		}
		for len(l.queue) > 0 {
			l.commit(<-l.queue)
		}
		l.finish()
		return
	}
}

// crowd is how many records a batch must have had for the next one to be gathered.
const crowd = 12

// patience is how long after the beginning of the last batch the next one begins. A sync costs the processor as
// much as several records, however many it serves, so a crowd of callers is let come together. A few callers never
// wait for it, nor does a disk that takes as long anyway.
func (l *Log) patience() time.Duration {
	var d time.Duration
	if l.crowd >= crowd {
		d = l.opts.Gather
	}
	if l.crowded() {
		d = max(d, min(l.callTime/2, 5*l.opts.Gather))
	}
	return d
}

func (l *Log) crowded() bool {
	f := l.queuing.Load()
	return f != nil && (*f)()
}

// gather waits for company. When nobody has come for a while, and nobody queues up elsewhere, there is nobody to
// wait for. Nor does it hold a call for longer than half of what the call has taken so far: among slow calls of
// many callers, the quick one of a caller who asks for little would pay for all.
func (l *Log) gather(first *entry) {
	limit, seen := l.patience(), len(l.queue)
	for seen < maxBatchRecords {
		limit = min(limit, l.hurry(first))
		if time.Since(l.begun) >= limit {
			return
		}
		time.Sleep(max(limit, l.opts.Gather) / 4)
		if len(l.queue) == seen && !l.crowded() {
			return
		}
		seen = len(l.queue)
	}
}

// hurry is how long the call that has taken least, of those that wait, may be held.
func (l *Log) hurry(first *entry) time.Duration {
	quickest := time.Duration(l.quickest.Load())
	if first.took > 0 && first.took < quickest {
		quickest = first.took
	}
	return max(quickest/2, l.opts.Gather)
}

// noteQuick keeps what the call has taken that has taken least of those that wait.
func (l *Log) noteQuick(took time.Duration) {
	for took > 0 {
		old := l.quickest.Load()
		if int64(took) >= old || l.quickest.CompareAndSwap(old, int64(took)) {
			return
		}
	}
}

// noteCallTime keeps the mean time that calls took up to their record, over some dozens of them.
func (l *Log) noteCallTime() {
	for _, e := range l.batch {
		if e.took > 0 {
			l.callTime += (e.took - l.callTime) / 32
		}
	}
}

// commit makes e, and all that is queued behind it, durable with one write and one sync.
func (l *Log) commit(e *entry) {
	l.gather(e)
	l.quickest.Store(math.MaxInt64)
	l.batch = append(l.batch[:0], e)
	bytes := len(e.body)
	for len(l.batch) < maxBatchRecords && bytes < maxBatchBytes {
		select {
		case e := <-l.queue:
			l.batch = append(l.batch, e)
			bytes += len(e.body)
			continue
		default:
		}
		break
	}
	l.crowd = len(l.batch)
	l.noteCallTime()
	l.begin()
	err := l.ready()
	if err == nil {
		err = l.write()
	}
	l.end(err)
}

// placed is where a record of the batch comes to stand.
type placed struct {
	e    *entry
	line Line
}

// write makes the batch durable and answers it. What a crash leaves behind is said at each step.
func (l *Log) write() error {
	size := 0
	for _, e := range l.batch {
		size += maxStart + len(e.body) + 1
	}
	l.buf = make([]byte, 0, size) // who follows has the last one
	places := l.places[:0]
	seq, sum := l.seq, l.sum
	for _, e := range l.batch {
		if e.probe || e.taken.Load() { // nobody waits for it any more: it does not count
			continue
		}
		start := len(l.buf)
		seq++
		l.buf = appendLine(l.buf, seq, sum, e.body)
		line := Line{Seq: seq, Prev: sum, Text: l.buf[start:len(l.buf):len(l.buf)], record: e.kept}
		sum = hashOf(line.Text)
		line.Hash = sum
		l.buf = append(l.buf, '\n')
		places = append(places, placed{e, line})
	}
	l.places = places
	if len(places) == 0 {
		return nil
	}
	l.dirty = true // until it is answered, what stands after l.size does not count
	// A crash during the write leaves whole lines and the beginning of one, none of them answered. Open cuts
	// the beginning and keeps the lines.
	if err := l.disk.write(l.buf, l.size); err != nil {
		return l.fail("it cannot be written", err)
	}
	begun := time.Now()
	if err := l.disk.sync(); err != nil {
		return l.fail("it cannot be made durable", err)
	}
	l.noteSync(time.Since(begun), len(places))
	// A crash from here on leaves durable lines that were not answered. That is within the promise.
	end := l.size + int64(len(l.buf))
	if err := l.inPlace(end); err != nil { // synced into a file that nobody will find
		return l.fail("", err)
	}
	if err := l.disk.answer(); err != nil {
		return l.fail("it cannot be made durable", err)
	}
	if l.seq == l.base.seq {
		l.setBegan(begun)
	}
	l.seq, l.sum, l.size, l.dirty = seq, sum, end, false
	// The head goes before the answers: from now on a cut of any answered record shows. If it cannot be
	// written the records are durable all the same and are answered; the next batch mends the head first.
	if err := l.headFile.write(l.last()); err != nil {
		l.headLost = true
	}
	return nil
}

// last is the last durable record.
func (l *Log) last() Receipt { return Receipt{Seq: l.seq, Hash: l.sum.String()} }

// begin shows the batch to the watch, which answers it if the disk does not.
func (l *Log) begin() {
	l.mu.Lock()
	l.flight, l.writing, l.begun = l.batch, true, time.Now()
	l.mu.Unlock()
	l.watch.Reset(l.opts.Timeout)
}

// end answers the batch: the records in l.places with their places, all others with err or, for a probe, nil.
func (l *Log) end(err error) {
	l.watch.Stop()
	l.mu.Lock()
	l.flight, l.writing = nil, false
	if l.stalled.Swap(false) && l.opts.OnState != nil {
		l.opts.OnState(l.broken)
	}
	l.shown.Head, l.shown.Size, l.shown.Broken = l.last(), l.size, l.broken
	if err == nil && len(l.places) > 0 {
		l.shown.Batches++
		l.shown.Appended += uint64(len(l.places))
		l.recent.add(l.places)
		defer l.tell() // after the callers, who wait for more
	}
	l.mu.Unlock()
	if err == nil {
		for _, p := range l.places {
			p.e.answer(outcome{seq: p.line.Seq, sum: p.line.Hash, reuse: true})
		}
	}
	for _, e := range l.batch {
		if err != nil || e.probe {
			e.answer(outcome{err: err, reuse: true})
		}
	}
	clear(l.batch)
	clear(l.places)
	l.places = l.places[:0]
}

func (l *Log) noteSync(d time.Duration, records int) {
	l.mu.Lock()
	l.shown.LastSync, l.shown.MaxSync = d, max(d, l.shown.MaxSync)
	l.mu.Unlock()
	if f := l.synced.Load(); f != nil {
		(*f)(d, records)
	}
}

// stall is called by the watch when a batch has taken too long: it answers what waits, and again what comes to
// wait later, until the disk answers.
func (l *Log) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.writing {
		return
	}
	if rest := l.opts.Timeout - time.Since(l.begun); rest > 0 { // it was meant for the batch before
		l.watch.Reset(rest)
		return
	}
	err := l.stalledError()
	if !l.stalled.Swap(true) && l.opts.OnState != nil {
		l.opts.OnState(err)
	}
	for _, e := range l.flight {
		e.answer(outcome{err: err}) // the writer still reads it
	}
	for {
		select {
		case e := <-l.queue:
			e.answer(outcome{err: err, reuse: true})
			continue
		default:
		}
		break
	}
	l.watch.Reset(l.opts.Retry)
}

// finish makes the last state durable and closes the files, which gives the lock free.
func (l *Log) finish() {
	l.batch, l.places = l.batch[:0], l.places[:0]
	l.begin()
	l.nextTry = time.Time{}
	err := l.ready()
	l.keeper.close() // before another process may take the lock
	l.broken = both(both(err, l.headFile.close()), l.disk.f.Close())
	l.end(nil)
}
