package watch

import "container/list"

// table holds values by key, and at most so many: who is not asked for for longest goes first.
type table[K comparable, V any] struct {
	max   int
	at    map[K]*list.Element
	order *list.List // the last one asked for in front
}

// entry is one value of a table, as it is kept in a snapshot.
type entry[K comparable, V any] struct {
	Key   K
	Value *V
}

func newTable[K comparable, V any](limit int) *table[K, V] {
	return &table[K, V]{max: limit, at: make(map[K]*list.Element), order: list.New()}
}

// get gives the value, nil if there is none.
func (t *table[K, V]) get(k K) *V {
	e, ok := t.at[k]
	if !ok {
		return nil
	}
	t.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).Value
}

// put adds a value whose key is not there, and says whether another one had to go.
func (t *table[K, V]) put(k K, v *V) (forgot bool) {
	if len(t.at) >= t.max {
		last := t.order.Back()
		delete(t.at, t.order.Remove(last).(*entry[K, V]).Key)
		forgot = true
	}
	t.at[k] = t.order.PushFront(&entry[K, V]{k, v})
	return forgot
}

func (t *table[K, V]) remove(k K) {
	if e, ok := t.at[k]; ok {
		t.order.Remove(e)
		delete(t.at, k)
	}
}

// entries are all values, the one that would be forgotten first in front.
func (t *table[K, V]) entries() []entry[K, V] {
	all := make([]entry[K, V], 0, len(t.at))
	for e := t.order.Back(); e != nil; e = e.Prev() {
		all = append(all, *e.Value.(*entry[K, V]))
	}
	return all
}

// load puts entries in, in their order.
func (t *table[K, V]) load(all []entry[K, V]) {
	for _, e := range all {
		t.put(e.Key, e.Value)
	}
}
