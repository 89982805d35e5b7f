package audit

import "context"

// AppendAll is Append for the records of one answer, with one wait for all of them. They get their numbers in their
// order, and records of others may stand between them. With an error none of them counts, although some may be in
// the log.
func (l *Log) AppendAll(ctx context.Context, records []*Record) ([]Receipt, error) {
	queued := make([]*entry, len(records)) // made before the first is queued, so that few syncs serve them all
	for i, r := range records {
		queued[i] = newEntry(r)
	}
	var failed error
	for i, e := range queued {
		if failed = l.enqueue(ctx, e); failed != nil {
			for _, e := range queued[i:] {
				e.free()
			}
			queued = queued[:i]
			break
		}
	}
	receipts := make([]Receipt, len(queued))
	for i, e := range queued {
		if failed != nil && e.taken.CompareAndSwap(false, true) { // so that it is not written any more, if it is not yet
			continue
		}
		o := l.await(ctx, e)
		if o.reuse {
			e.free()
		}
		receipts[i] = Receipt{Seq: o.seq, Hash: o.sum.String()}
		if o.err != nil {
			failed = o.err
		}
	}
	if failed != nil {
		l.refused.Add(uint64(len(records)))
		return nil, failed
	}
	return receipts, nil
}
