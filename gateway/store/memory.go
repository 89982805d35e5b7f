package store

import (
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// memory is what the tables hold, arranged for reading. Store.mu guards it.
type memory struct {
	keys         table[Key]          // those that callers can see
	hidden       map[string]*Key     // Creating and Deleted, by path
	lines        map[string][]*Key   // by id: the key in each of its regions, in any state
	aliases      table[Alias]        //
	byKey        map[string][]*Alias // aliases of a key, by its path, sorted by name
	pending      table[PendingObject]
	uses         table[LastUse]
	imports      table[ImportKey]
	logKeys      table[LogKey]
	disconnected table[Disconnected]
	principals   table[Principal]
	bearers      table[Bearer]
	accessKeys   table[AccessKey]
	policies     table[Policy]
	grants       table[Grant]               // sorted by key
	grantsByID   map[string]*Grant          //
	granted      map[grantee][]policy.Grant // by key and grantee
	approvals    table[Approval]            // sorted by key
	published    map[string]string          // ids of keys by the name that they are published under
	directory    directory                  // the same by the address in their user id
	views        map[regional]*policy.Key   // what conditions may ask of the keys that callers can see
}

func newMemory() *memory {
	return &memory{
		keys:         newTable((*Key).path),
		hidden:       map[string]*Key{},
		lines:        map[string][]*Key{},
		aliases:      newTable(func(a *Alias) string { return path(a.Region, a.Name) }),
		byKey:        map[string][]*Alias{},
		pending:      newTable(func(p *PendingObject) string { return string(p.ObjectID) }),
		uses:         newTable(func(u *LastUse) string { return path(u.Region, u.KeyID) }),
		imports:      newTable(func(i *ImportKey) string { return i.ID }),
		logKeys:      newTable((*LogKey).id),
		disconnected: newTable(func(d *Disconnected) string { return d.Name }),
		principals:   newTable(func(p *Principal) string { return p.ARN }),
		bearers:      newTable(func(b *Bearer) string { return b.ID }),
		accessKeys:   newTable(func(a *AccessKey) string { return a.ID }),
		policies:     newTable(func(p *Policy) string { return p.Name }),
		grants:       newTable((*Grant).path),
		grantsByID:   map[string]*Grant{},
		granted:      map[grantee][]policy.Grant{},
		approvals:    newTable((*Approval).path),
		published:    map[string]string{},
		directory:    directory{},
		views:        map[regional]*policy.Key{},
	}
}

// path names something of a region: regions have no slash, so that those of one
// region stand together.
func path(region, name string) string { return region + "/" + name }

func (k *Key) path() string { return path(k.Region, k.ID) }

// putKey files a key by its state, replacing what was there.
func (m *memory) putKey(k *Key) {
	m.publish(k)
	list := slices.Clone(m.lines[k.ID])
	if at := slices.IndexFunc(list, func(o *Key) bool { return o.Region == k.Region }); at >= 0 {
		list[at] = k
	} else {
		list = append(list, k)
		slices.SortFunc(list, func(a, b *Key) int { return strings.Compare(a.Region, b.Region) })
	}
	m.lines[k.ID] = list
	if k.State == StateCreating || k.State == StateDeleted {
		m.keys.remove(k.path())
		delete(m.views, regional{k.Region, k.ID})
		m.hidden[k.path()] = k
		return
	}
	delete(m.hidden, k.path())
	m.keys.put(k)
	m.view(k)
}

// key finds a key in any state.
func (m *memory) key(region, id string) (*Key, bool) {
	if k, ok := m.keys.rows[path(region, id)]; ok {
		return k, true
	}
	k, ok := m.hidden[path(region, id)]
	return k, ok
}

func (m *memory) putAlias(a *Alias) {
	m.removeAlias(a.Region, a.Name)
	m.aliases.put(a)
	of := path(a.Region, a.KeyID)
	list := m.byKey[of]
	at, _ := slices.BinarySearchFunc(list, a.Name, aliasName)
	m.byKey[of] = slices.Insert(list, at, a)
	m.viewOf(of)
}

func (m *memory) removeAlias(region, name string) {
	old, ok := m.aliases.remove(path(region, name))
	if !ok {
		return
	}
	of := path(region, old.KeyID)
	defer m.viewOf(of)
	list := m.byKey[of]
	if at, found := slices.BinarySearchFunc(list, name, aliasName); found {
		list = slices.Delete(list, at, at+1)
	}
	if len(list) == 0 {
		delete(m.byKey, of)
		return
	}
	m.byKey[of] = list
}

// removeNamesOf removes the aliases of a key, and the grants on it.
func (m *memory) removeNamesOf(k *Key) {
	for _, a := range m.byKey[k.path()] {
		m.aliases.remove(path(a.Region, a.Name))
	}
	delete(m.byKey, k.path())
	m.removeGrantsIf(func(g *Grant) bool { return g.Region == k.Region && g.KeyID == k.ID })
}

// removePrincipal removes a principal with all its credentials, and the grants that
// are for it.
func (m *memory) removePrincipal(arn string) {
	m.principals.remove(arn)
	m.bearers.removeIf(func(b *Bearer) bool { return b.PrincipalARN == arn })
	m.accessKeys.removeIf(func(a *AccessKey) bool { return a.PrincipalARN == arn })
	m.removeGrantsIf(func(g *Grant) bool { return g.endsWith(arn) })
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

// page copies up to limit rows under a prefix that sort after prefix + after.
func (t *table[T]) page(prefix, after string, limit int) (rows []*T, more bool) {
	return pageOf(t.sorted, t.key, prefix, after, limit)
}

func pageOf[T any](sorted []*T, key func(*T) string, prefix, after string, limit int) (rows []*T, more bool) {
	from, found := slices.BinarySearchFunc(sorted, prefix+after, func(v *T, after string) int {
		return strings.Compare(key(v), after)
	})
	if found && after != "" {
		from++
	}
	rows = make([]*T, 0, min(max(limit, 0), len(sorted)-from))
	for _, v := range sorted[from:] {
		if !strings.HasPrefix(key(v), prefix) {
			break
		}
		if len(rows) >= limit {
			return rows, true
		}
		rows = append(rows, v)
	}
	return rows, false
}
