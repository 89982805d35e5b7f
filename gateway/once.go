package gateway

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hsmgate/hsmgate/gateway/store"
)

// noteDelay is how long records are gathered before they are noted beside their answers.
const noteDelay = 100 * time.Millisecond

// once keeps answers, those of many callers in one transaction, and holds back repeats
// of a request that is under way.
type once struct {
	store *store.Store
	since func() time.Time // answers before it are as none

	mu      sync.Mutex
	held    map[store.AnswerName]*holding
	waiting []*keeping
	records map[store.AnswerName]string // that are to be noted
	writing bool
}

// holding is a request under way, with those who repeat it.
type holding struct {
	turn chan struct{} // has room for one
	of   int
}

// keeping is a call that waits for its answers to be kept.
type keeping struct {
	answers []*store.Answer
	lost    map[store.AnswerName]bool
	err     error
	done    chan struct{}
}

func newOnce(s *store.Store, since func() time.Time) *once {
	return &once{store: s, since: since, held: make(map[store.AnswerName]*holding), records: make(map[store.AnswerName]string)}
}

// take waits for whoever has the name, and holds it until release; nil where ctx ended.
func (o *once) take(ctx context.Context, name store.AnswerName) (release func()) {
	o.mu.Lock()
	h := o.held[name]
	if h == nil {
		h = &holding{turn: make(chan struct{}, 1)}
		o.held[name] = h
	}
	h.of++
	o.mu.Unlock()
	leave := func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if h.of--; h.of == 0 {
			delete(o.held, name)
		}
	}
	select {
	case h.turn <- struct{}{}:
		return func() { <-h.turn; leave() }
	case <-ctx.Done():
		leave()
		return nil
	}
}

// keep keeps answers durably; lost has those whose name has an answer.
func (o *once) keep(answers []*store.Answer) (lost map[store.AnswerName]bool, err error) {
	k := &keeping{answers: answers, done: make(chan struct{})}
	o.mu.Lock()
	o.waiting = append(o.waiting, k)
	begin := !o.writing
	o.writing = true
	o.mu.Unlock()
	if begin {
		go o.write()
	}
	<-k.done
	return k.lost, k.err
}

// note has a record noted beside its answer, a moment later. Until then noted knows it.
func (o *once) note(name store.AnswerName, record string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.records[name] = record; len(o.records) == 1 {
		time.AfterFunc(noteDelay, func() { _ = o.flush() }) // what fails is noted with the next, or found in the log
	}
}

// noted is the record of an answer that is still to be noted.
func (o *once) noted(name store.AnswerName) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.records[name]
}

// flush notes what is to be noted.
func (o *once) flush() error {
	o.mu.Lock()
	nothing := len(o.records) == 0
	o.mu.Unlock()
	if nothing {
		return nil
	}
	_, err := o.keep(nil)
	return err
}

// write keeps what waits, and notes what is to be noted, until nobody waits.
func (o *once) write() {
	for {
		o.mu.Lock()
		waiting := o.waiting
		if o.waiting = nil; len(waiting) == 0 {
			o.writing = false
			o.mu.Unlock()
			return
		}
		records := maps.Clone(o.records)
		o.mu.Unlock()
		var all []*store.Answer
		for _, k := range waiting {
			all = append(all, k.answers...)
		}
		lost, err := o.store.KeepAnswers(context.Background(), all, records, o.since())
		if err == nil {
			o.mu.Lock()
			for name, record := range records {
				if o.records[name] == record {
					delete(o.records, name)
				}
			}
			o.mu.Unlock()
		}
		for _, k := range waiting {
			k.lost, k.err = lost, err
			close(k.done)
		}
	}
}
