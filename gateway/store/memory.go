package store

import (
	"slices"
	"strings"
)

// memory is what the tables hold, arranged for reading. Store.mu guards it.
type memory struct {
	keys       table[Key]          // Enabled, Disabled, PendingDeletion
	hidden     map[string]*Key     // Creating and Deleted
	aliases    table[Alias]        //
	byKey      map[string][]*Alias // aliases of a key, sorted by name
	principals table[Principal]    //
	bearers    table[Bearer]       //
	accessKeys table[AccessKey]    //
}

func newMemory() *memory {
	return &memory{
		keys:       newTable(func(k *Key) string { return k.ID }),
		hidden:     map[string]*Key{},
		aliases:    newTable(func(a *Alias) string { return a.Name }),
		byKey:      map[string][]*Alias{},
		principals: newTable(func(p *Principal) string { return p.ARN }),
		bearers:    newTable(func(b *Bearer) string { return b.ID }),
		accessKeys: newTable(func(a *AccessKey) string { return a.ID }),
	}
}

// putKey files a key by its state, replacing what was there.
func (m *memory) putKey(k *Key) {
	if k.State == StateCreating || k.State == StateDeleted {
		m.keys.remove(k.ID)
		m.hidden[k.ID] = k
		return
	}
	delete(m.hidden, k.ID)
	m.keys.put(k)
}

// key finds a key in any state.
func (m *memory) key(id string) (*Key, bool) {
	if k, ok := m.keys.rows[id]; ok {
		return k, true
	}
	k, ok := m.hidden[id]
	return k, ok
}

func (m *memory) putAlias(a *Alias) {
	m.removeAlias(a.Name)
	m.aliases.put(a)
	list := m.byKey[a.KeyID]
	at, _ := slices.BinarySearchFunc(list, a.Name, aliasName)
	m.byKey[a.KeyID] = slices.Insert(list, at, a)
}

func (m *memory) removeAlias(name string) {
	old, ok := m.aliases.remove(name)
	if !ok {
		return
	}
	list := m.byKey[old.KeyID]
	if at, found := slices.BinarySearchFunc(list, name, aliasName); found {
		list = slices.Delete(list, at, at+1)
	}
	if len(list) == 0 {
		delete(m.byKey, old.KeyID)
		return
	}
	m.byKey[old.KeyID] = list
}

func (m *memory) removeAliasesOf(keyID string) {
	for _, a := range m.byKey[keyID] {
		m.aliases.remove(a.Name)
	}
	delete(m.byKey, keyID)
}

// removePrincipal removes a principal with all its credentials.
func (m *memory) removePrincipal(arn string) {
	m.principals.remove(arn)
	m.bearers.removeIf(func(b *Bearer) bool { return b.PrincipalARN == arn })
	m.accessKeys.removeIf(func(a *AccessKey) bool { return a.PrincipalARN == arn })
}

func aliasName(a *Alias, name string) int { return strings.Compare(a.Name, name) }

// table is a map with its rows sorted by key beside it: a lookup is one map
// access, a page one binary search and a copy, an insert moves pointers.
type table[T any] struct {
	key    func(*T) string
	rows   map[string]*T
	sorted []*T
}

func newTable[T any](key func(*T) string) table[T] {
	return table[T]{key: key, rows: map[string]*T{}}
}

func (t *table[T]) find(key string) (int, bool) {
	return slices.BinarySearchFunc(t.sorted, key, func(v *T, key string) int {
		return strings.Compare(t.key(v), key)
	})
}

func (t *table[T]) put(v *T) {
	key := t.key(v)
	at, found := t.find(key)
	if found {
		t.sorted[at] = v
	} else {
		t.sorted = slices.Insert(t.sorted, at, v)
	}
	t.rows[key] = v
}

func (t *table[T]) remove(key string) (*T, bool) {
	old, ok := t.rows[key]
	if !ok {
		return nil, false
	}
	delete(t.rows, key)
	if at, found := t.find(key); found {
		t.sorted = slices.Delete(t.sorted, at, at+1)
	}
	return old, true
}

func (t *table[T]) removeIf(drop func(*T) bool) {
	for _, v := range t.sorted {
		if drop(v) {
			delete(t.rows, t.key(v))
		}
	}
	t.sorted = slices.DeleteFunc(t.sorted, drop)
}

// page copies up to limit rows that sort after the given key.
func (t *table[T]) page(after string, limit int) (rows []*T, more bool) {
	return pageOf(t.sorted, t.key, after, limit)
}

func pageOf[T any](sorted []*T, key func(*T) string, after string, limit int) (rows []*T, more bool) {
	from := 0
	if after != "" {
		at, found := slices.BinarySearchFunc(sorted, after, func(v *T, after string) int {
			return strings.Compare(key(v), after)
		})
		from = at
		if found {
			from++
		}
	}
	rest := sorted[from:]
	if limit < 0 {
		limit = 0
	}
	if len(rest) > limit {
		return slices.Clone(rest[:limit]), true
	}
	return slices.Clone(rest), false
}
