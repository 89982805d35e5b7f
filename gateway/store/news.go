package store

import (
	"encoding/hex"
	"strings"
)

// kind is a sort of rows that memory keeps together: a key with its line,
// versions, tags, policy and approval rule; a principal with its keys, policies and tags.
type kind string

const (
	kindKey          kind = "key"
	kindAlias        kind = "alias"
	kindPending      kind = "pending"
	kindUse          kind = "use"
	kindImport       kind = "import"
	kindLogKey       kind = "log_key"
	kindDisconnected kind = "disconnected"
	kindPrincipal    kind = "principal"
	kindBearer       kind = "bearer"
	kindAccessKey    kind = "access_key"
	kindPolicy       kind = "policy"
	kindGrant        kind = "grant"
	kindApproval     kind = "approval" // its region is its key
)

// among is the condition, in PostgreSQL, for the rows whose key is one of these.
// Given as values, they let the server use its indexes, whatever it knows of the
// tables.
func (k kind) among(key string, rows []changed) (condition string, args []any) {
	regions, ids, objects := make([]string, len(rows)), make([]string, len(rows)), make([][]byte, len(rows))
	for i, c := range rows {
		regions[i], ids[i] = c.region, c.id
		if k == kindPending {
			objects[i] = []byte(c.object())
		}
	}
	switch k {
	case kindAlias, kindUse:
		return "(" + key + ") IN (SELECT * FROM unnest(?::text[], ?::text[]))", []any{regions, ids}
	case kindPending:
		return key + " = ANY(?)", []any{objects}
	}
	return key + " = ANY(?)", []any{ids}
}

// news are the rows that others wrote, by kind.
type news map[kind][]changed

// changed names a row; region is "" where the kind has none.
type changed struct{ region, id string }

// object is the id of an object, which changes has in hex after \x.
func (c changed) object() string {
	id, err := hex.DecodeString(strings.TrimPrefix(c.id, `\x`))
	if err != nil {
		return "" // the id of none
	}
	return string(id)
}

func (n news) identities() bool {
	return len(n[kindPrincipal])+len(n[kindBearer])+len(n[kindAccessKey])+len(n[kindPolicy]) > 0
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
		moveRow(&from.pending, &to.pending, c.object())
	}
	for _, c := range n[kindUse] {
		moveRow(&from.uses, &to.uses, path(c.region, c.id))
	}
	moveRows(n[kindImport], &from.imports, &to.imports)
	moveRows(n[kindLogKey], &from.logKeys, &to.logKeys)
	moveRows(n[kindDisconnected], &from.disconnected, &to.disconnected)
	moveRows(n[kindPrincipal], &from.principals, &to.principals)
	moveRows(n[kindBearer], &from.bearers, &to.bearers)
	moveRows(n[kindAccessKey], &from.accessKeys, &to.accessKeys)
	moveRows(n[kindPolicy], &from.policies, &to.policies)
	for _, c := range n[kindApproval] {
		moveRow(&from.approvals, &to.approvals, path(c.region, c.id))
	}
	for _, c := range n[kindGrant] {
		to.removeGrant(c.id)
		if g, ok := from.grantsByID[c.id]; ok {
			to.putGrant(g)
		}
	}
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
