package audit

import "time"

// Options of a log. The zero value is ready for use.
type Options struct {
	// Queue is how many records may wait for the disk; Append waits for a place within its context. Default 4096.
	Queue int
	// Timeout is how long the disk may take for one batch before every waiting Append is refused, so that a
	// blocked disk holds no caller even if its context has no deadline. Default 5 s.
	Timeout time.Duration
	// Retry is the shortest time between two attempts to mend a broken log; Appends between them are refused at
	// once. Default 250 ms.
	Retry time.Duration
	// Gather is how long after the beginning of one batch the next one begins, if there are many callers at a time:
	// fewer syncs, each for more records. A disk that takes as long anyway, or fewer than 12 callers, are never
	// kept waiting, unless callers queue up elsewhere (GatherWhile). Default 3 ms; negative turns it off.
	Gather time.Duration
	// OnRecovered, if set, is called by Open when it has cut off the beginning of a line at the end of the log.
	OnRecovered func(Recovery)
	// OnState, if set, is called when the log begins to refuse, or for another reason than before (with the reason),
	// and when it is mended (with nil). Writing waits for it, and it must not call the log's methods.
	OnState func(error)

	// SegmentSize is how long the file may become before it is closed and a new one begun. Default 256 MiB; negative: any.
	SegmentSize int64
	// SegmentAge is how old its first record may become. Default 24 h; negative: any.
	SegmentAge time.Duration
	// Uncompressed leaves closed segments as they are.
	Uncompressed bool
	// Retention, if set, is how old the last record of a closed segment may become before the segment is removed.
	Retention time.Duration
	// Seal gives the text that the log's key has signed for the last record that retention is about to remove. Nothing is
	// removed without one, or if it gives an error, which is no trouble if it is ErrSealLater. The text is kept (ReadCut).
	Seal func(last Receipt) ([]byte, error)
	// Sealed, if set, says whether Seal has made what a cut holds: on account of any other, nothing is removed.
	Sealed func(Cut) error
	// Check is how often the closed segments are looked for, retention is thought of, and what failed of this is tried
	// again. Default 10 s.
	Check time.Duration
	// OnTrouble, if set, is called when something that the log can go on without begins to fail, or fails for another
	// reason ("rotation", "closed segments", "compression", "retention"), and with nil when it works again. It must not
	// call the log's methods.
	OnTrouble func(what string, err error)

	fault func(step) failure // tests make a step fail
}

func (o Options) withDefaults() Options {
	o.Queue = defaultTo(o.Queue, 4096)
	o.Timeout = defaultTo(o.Timeout, 5*time.Second)
	o.Retry = defaultTo(o.Retry, 250*time.Millisecond)
	o.Check = defaultTo(o.Check, 10*time.Second)
	if o.Gather == 0 {
		o.Gather = 3 * time.Millisecond
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = 256 << 20
	}
	if o.SegmentAge == 0 {
		o.SegmentAge = 24 * time.Hour
	}
	return o
}

func defaultTo[T int | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// do runs a step of n bytes, or a step that is done whole if n is 0.
func (o Options) do(s step, n int, run func(n int) error) error {
	if o.fault == nil {
		return run(n)
	}
	f := o.fault(s)
	if f.err == nil {
		return run(n)
	}
	if done := int(f.part * float64(n)); done > 0 || f.part == 1 {
		return both(f.err, run(done))
	}
	return f.err
}
