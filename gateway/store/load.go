package store

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

// load reads every table in one transaction.
func load(ctx context.Context, tx *sql.Tx) (*memory, error) {
	m := newMemory()
	for _, read := range []func(context.Context, *sql.Tx, *memory) error{
		loadKeys, loadAliases, loadPrincipals, loadBearers, loadAccessKeys,
	} {
		if err := read(ctx, tx, m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// each calls row for every row of a query.
func each(ctx context.Context, tx *sql.Tx, query string, row func(scan func(...any) error) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func loadKeys(ctx context.Context, tx *sql.Tx, m *memory) error {
	versions := map[string][]Version{}
	err := each(ctx, tx, "SELECT key_id, number, object_id, public_key, created_at FROM versions ORDER BY key_id, number",
		func(scan func(...any) error) error {
			var id string
			var v Version
			if err := scan(&id, &v.Number, &v.ObjectID, &v.PublicKey, (*micros)(&v.CreatedAt)); err != nil {
				return err
			}
			versions[id] = append(versions[id], v)
			return nil
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, "SELECT id, spec, usage, description, state, created_at, deletion_at, destroyed_at FROM keys ORDER BY id",
		func(scan func(...any) error) error {
			k := new(Key)
			if err := scan(&k.ID, &k.Spec, &k.Usage, &k.Description, &k.State,
				(*micros)(&k.CreatedAt), (*micros)(&k.DeletionAt), (*micros)(&k.DestroyedAt)); err != nil {
				return err
			}
			k.Versions = versions[k.ID]
			m.putKey(k)
			return nil
		})
}

func loadAliases(ctx context.Context, tx *sql.Tx, m *memory) error {
	return each(ctx, tx, "SELECT name, key_id, created_at, updated_at FROM aliases ORDER BY name",
		func(scan func(...any) error) error {
			a := new(Alias)
			if err := scan(&a.Name, &a.KeyID, (*micros)(&a.CreatedAt), (*micros)(&a.UpdatedAt)); err != nil {
				return err
			}
			m.putAlias(a)
			return nil
		})
}

func loadPrincipals(ctx context.Context, tx *sql.Tx, m *memory) error {
	keys := map[string][]string{}
	err := each(ctx, tx, "SELECT principal_arn, key_id FROM principal_keys ORDER BY principal_arn, key_id",
		func(scan func(...any) error) error {
			var arn, id string
			if err := scan(&arn, &id); err != nil {
				return err
			}
			keys[arn] = append(keys[arn], id)
			return nil
		})
	if err != nil {
		return err
	}
	return each(ctx, tx, "SELECT arn, name, role, created_at FROM principals ORDER BY arn",
		func(scan func(...any) error) error {
			p := new(Principal)
			if err := scan(&p.ARN, &p.Name, &p.Role, (*micros)(&p.CreatedAt)); err != nil {
				return err
			}
			p.Keys = keys[p.ARN]
			m.principals.put(p)
			return nil
		})
}

func loadBearers(ctx context.Context, tx *sql.Tx, m *memory) error {
	return each(ctx, tx, "SELECT id, hash, principal_arn, created_at, expires_at FROM bearers ORDER BY id",
		func(scan func(...any) error) error {
			b := new(Bearer)
			if err := scan(&b.ID, &b.Hash, &b.PrincipalARN, (*micros)(&b.CreatedAt), (*micros)(&b.ExpiresAt)); err != nil {
				return err
			}
			m.bearers.put(b)
			return nil
		})
}

func loadAccessKeys(ctx context.Context, tx *sql.Tx, m *memory) error {
	return each(ctx, tx, "SELECT id, sealed_secret, principal_arn, created_at, expires_at, disabled FROM access_keys ORDER BY id",
		func(scan func(...any) error) error {
			a := new(AccessKey)
			if err := scan(&a.ID, &a.SealedSecret, &a.PrincipalARN,
				(*micros)(&a.CreatedAt), (*micros)(&a.ExpiresAt), &a.Disabled); err != nil {
				return err
			}
			m.accessKeys.put(a)
			return nil
		})
}

// micros scans a column of microseconds; NULL is the zero time.
type micros time.Time

func (t *micros) Scan(v any) error {
	var n sql.NullInt64
	if err := n.Scan(v); err != nil {
		return err
	}
	*t = micros{}
	if n.Valid {
		*t = micros(time.UnixMicro(n.Int64).UTC())
	}
	return nil
}

// column is the value of a time in its column.
func column(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// stored is the time that comes back from the file for t.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// stored is a copy of the key that shares nothing with the caller.
func (k *Key) stored() *Key {
	c := *k
	c.CreatedAt, c.DeletionAt, c.DestroyedAt = stored(k.CreatedAt), stored(k.DeletionAt), stored(k.DestroyedAt)
	c.Versions = slices.Clone(k.Versions)
	for i, v := range c.Versions {
		c.Versions[i] = v.stored()
	}
	slices.SortFunc(c.Versions, func(a, b Version) int { return a.Number - b.Number })
	return &c
}

func (v Version) stored() Version {
	v.CreatedAt = stored(v.CreatedAt)
	v.ObjectID = slices.Clone(v.ObjectID)
	v.PublicKey = slices.Clone(v.PublicKey)
	return v
}
