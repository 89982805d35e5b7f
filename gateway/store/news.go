package store

import (
	"encoding/hex"
)

// kind is a sort of rows that memory keeps together: a key with its line,
// versions and tags; a principal with its keys.
type kind string

const (
	kindKey          kind = "key"
	kindAlias        kind = "alias"
	kindPending      kind = "pending"
	kindUse          kind = "use"
	kindImport       kind = "import"
	kindDisconnected kind = "disconnected"
	kindPrincipal    kind = "principal"
	kindBearer       kind = "bearer"
	kindAccessKey    kind = "access_key"
)

// columns are what a row of changes has for the key of a row of that kind.
func (k kind) columns() string {
	switch k {
	case kindAlias, kindUse:
		return "region, id"
	case kindPending:
		return `decode(substr(id, 3), 'hex')` // after \x
	}
	return "id"
}

// news are the rows that others wrote, by kind.
type news map[kind][]changed

// changed names a row; region is "" where the kind has none.
type changed struct{ region, id string }

func (n news) identities() bool {
	return len(n[kindPrincipal])+len(n[kindBearer])+len(n[kindAccessKey]) > 0
}

// move puts the changed rows, as they were loaded into from, into a memory, and
// removes those that are gone. The rows of a key stay for ever.
func (n news) move(from, to *memory) {
	for _, c := range n[kindKey] {
		for _, k := range from.lines[c.id] {
			to.putKey(k)
		}
	}
	for _, c := range n[kindAlias] {
		to.removeAlias(c.region, c.id)
		if a, ok := from.aliases.rows[path(c.region, c.id)]; ok {
			to.putAlias(a)
		}
	}
	for _, c := range n[kindPending] {
		id, err := hex.DecodeString(c.id[min(2, len(c.id)):])
		if err == nil { // the database made it of bytes
			moveRow(&from.pending, &to.pending, string(id))
		}
	}
	for _, c := range n[kindUse] {
		moveRow(&from.uses, &to.uses, path(c.region, c.id))
	}
	moveRows(n[kindImport], &from.imports, &to.imports)
	moveRows(n[kindDisconnected], &from.disconnected, &to.disconnected)
	moveRows(n[kindPrincipal], &from.principals, &to.principals)
	moveRows(n[kindBearer], &from.bearers, &to.bearers)
	moveRows(n[kindAccessKey], &from.accessKeys, &to.accessKeys)
}

func moveRows[T any](rows []changed, from, to *table[T]) {
	for _, c := range rows {
		moveRow(from, to, c.id)
	}
}

func moveRow[T any](from, to *table[T], key string) {
	if v, ok := from.rows[key]; ok {
		to.put(v)
		return
	}
	to.remove(key)
}
