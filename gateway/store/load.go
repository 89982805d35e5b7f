package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// load reads every table in one transaction; of the news alone, where there are
// any.
func load(ctx context.Context, tx *sql.Tx, n news) (*memory, error) {
	r := &reader{tx: tx, news: n, m: newMemory()}
	for _, read := range []func(context.Context, *reader) error{
		loadKeys, loadAliases, loadPending, loadUses, loadImports, loadLogKeys, loadDisconnected, loadPrincipals, loadBearers, loadAccessKeys, loadPolicies, loadGrants, loadApprovals,
	} {
		if err := read(ctx, r); err != nil {
			return nil, err
		}
	}
	return r.m, nil
}

// reader is one load under way.
type reader struct {
	tx   *sql.Tx
	news news // nil: everything
	m    *memory
}

// each calls row for every row of a query, in an order. key are the columns that
// changes names the rows by.
func (r *reader) each(ctx context.Context, of kind, query, key, order string, row func(scan func(...any) error) error) error {
	var args []any
	if r.news != nil {
		rows := r.news[of]
		if len(rows) == 0 {
			return nil
		}
		var condition string
		condition, args = of.among(key, rows)
		query += " WHERE " + condition
	}
	rows, err := r.tx.QueryContext(ctx, query+" ORDER BY "+order, args...)
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

func loadVersions(ctx context.Context, r *reader) (map[string][]Version, error) {
	versions := map[string][]Version{}
	return versions, r.each(ctx, kindKey, `SELECT key_id, number, object_id, public_key, check_value, created_at, current_at, rotation, material_id, description, expires_at, uses
		FROM versions`, "key_id", "key_id, number",
		func(scan func(...any) error) error {
			var id string
			var v Version
			if err := scan(&id, &v.Number, &v.ObjectID, &v.PublicKey, &v.Check, (*micros)(&v.CreatedAt), (*micros)(&v.CurrentAt),
				&v.Rotation, &v.MaterialID, &v.Description, (*micros)(&v.ExpiresAt), &v.Uses); err != nil {
				return err
			}
			versions[id] = append(versions[id], v)
			return nil
		})
}

func loadLines(ctx context.Context, r *reader) (map[string]Line, error) {
	versions, err := loadVersions(ctx, r)
	if err != nil {
		return nil, err
	}
	rules, err := loadRules(ctx, r)
	if err != nil {
		return nil, err
	}
	publications, err := loadPublications(ctx, r)
	if err != nil {
		return nil, err
	}
	lines := map[string]Line{}
	return lines, r.each(ctx, kindKey, `SELECT id, spec, usage, origin, token, multi_region, primary_region, rotation_days, next_rotation_at, destroyed_at, owner, owned_at FROM lines`, "id", "id",
		func(scan func(...any) error) error {
			var id string
			var l Line
			if err := scan(&id, &l.Spec, &l.Usage, &l.Origin, &l.Token, &l.MultiRegion, &l.PrimaryRegion, &l.RotationDays,
				(*micros)(&l.NextRotation), (*micros)(&l.DestroyedAt), &l.Owner, (*micros)(&l.OwnedAt)); err != nil {
				return err
			}
			l.Versions, l.Rule, l.Publication = versions[id], rules[id], publications[id]
			lines[id] = l
			return nil
		})
}

func loadTags(ctx context.Context, r *reader) (map[string][]Tag, error) {
	tags := map[string][]Tag{}
	return tags, r.each(ctx, kindKey, "SELECT region, key_id, name, value FROM tags", "key_id", "region, key_id, name",
		func(scan func(...any) error) error {
			var region, id string
			var t Tag
			if err := scan(&region, &id, &t.Name, &t.Value); err != nil {
				return err
			}
			tags[path(region, id)] = append(tags[path(region, id)], t)
			return nil
		})
}

func loadKeys(ctx context.Context, r *reader) error {
	lines, err := loadLines(ctx, r)
	if err != nil {
		return err
	}
	tags, err := loadTags(ctx, r)
	if err != nil {
		return err
	}
	policies, err := loadKeyPolicies(ctx, r)
	if err != nil {
		return err
	}
	return r.each(ctx, kindKey, "SELECT region, id, description, state, created_at, deletion_at, pending_days FROM keys", "id", "region, id",
		func(scan func(...any) error) error {
			k := new(Key)
			if err := scan(&k.Region, &k.ID, &k.Description, &k.State, (*micros)(&k.CreatedAt), (*micros)(&k.DeletionAt), &k.PendingDays); err != nil {
				return err
			}
			k.Line, k.Tags, k.Policy = lines[k.ID], tags[k.path()], policies[k.path()]
			slices.SortFunc(k.Tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) }) // a database may sort otherwise
			r.m.putKey(k)
			return nil
		})
}

func loadAliases(ctx context.Context, r *reader) error {
	return r.each(ctx, kindAlias, "SELECT region, name, key_id, created_at, updated_at FROM aliases", "region, name", "region, name",
		func(scan func(...any) error) error {
			a := new(Alias)
			if err := scan(&a.Region, &a.Name, &a.KeyID, (*micros)(&a.CreatedAt), (*micros)(&a.UpdatedAt)); err != nil {
				return err
			}
			r.m.putAlias(a)
			return nil
		})
}

func loadPending(ctx context.Context, r *reader) error {
	return r.each(ctx, kindPending, "SELECT object_id, token, key_id, number, owner, since, doomed FROM pending_objects", "object_id", "object_id",
		func(scan func(...any) error) error {
			o := new(PendingObject)
			var number sql.NullInt64
			if err := scan(&o.ObjectID, &o.Token, &o.KeyID, &number, &o.Owner, (*micros)(&o.Since), &o.Doomed); err != nil {
				return err
			}
			o.Number = int(number.Int64)
			r.m.pending.put(o)
			return nil
		})
}

func loadUses(ctx context.Context, r *reader) error {
	return r.each(ctx, kindUse, "SELECT region, key_id, operation, request_id, used_at FROM last_uses", "region, key_id", "region, key_id",
		func(scan func(...any) error) error {
			u := new(LastUse)
			if err := scan(&u.Region, &u.KeyID, &u.Operation, &u.RequestID, (*micros)(&u.UsedAt)); err != nil {
				return err
			}
			r.m.uses.put(u)
			return nil
		})
}

func loadImports(ctx context.Context, r *reader) error {
	return r.each(ctx, kindImport, "SELECT id, region, key_id, algorithm, spec, object_id, public_key, expires_at FROM import_keys", "id", "id",
		func(scan func(...any) error) error {
			i := new(ImportKey)
			if err := scan(&i.ID, &i.Region, &i.KeyID, &i.Algorithm, &i.Spec, &i.ObjectID, &i.PublicKey, (*micros)(&i.ExpiresAt)); err != nil {
				return err
			}
			r.m.imports.put(i)
			return nil
		})
}

func loadDisconnected(ctx context.Context, r *reader) error {
	return r.each(ctx, kindDisconnected, "SELECT name, since FROM disconnected_tokens", "name", "name",
		func(scan func(...any) error) error {
			d := new(Disconnected)
			if err := scan(&d.Name, (*micros)(&d.Since)); err != nil {
				return err
			}
			r.m.disconnected.put(d)
			return nil
		})
}

func loadPrincipals(ctx context.Context, r *reader) error {
	keys, err := loadPrincipalSet(ctx, r, "principal_keys", "key_id")
	if err != nil {
		return err
	}
	policies, err := loadPrincipalSet(ctx, r, "principal_policies", "policy_name")
	if err != nil {
		return err
	}
	tags, err := loadPrincipalTags(ctx, r)
	if err != nil {
		return err
	}
	return r.each(ctx, kindPrincipal, "SELECT arn, name, role, created_at, sessions_since FROM principals", "arn", "arn",
		func(scan func(...any) error) error {
			p := new(Principal)
			if err := scan(&p.ARN, &p.Name, &p.Role, (*micros)(&p.CreatedAt), (*micros)(&p.SessionsSince)); err != nil {
				return err
			}
			p.Keys, p.Policies, p.Tags = keys[p.ARN], policies[p.ARN], tags[p.ARN]
			r.m.principals.put(p)
			return nil
		})
}

func loadBearers(ctx context.Context, r *reader) error {
	return r.each(ctx, kindBearer, "SELECT id, hash, principal_arn, created_at, expires_at FROM bearers", "id", "id",
		func(scan func(...any) error) error {
			b := new(Bearer)
			if err := scan(&b.ID, &b.Hash, &b.PrincipalARN, (*micros)(&b.CreatedAt), (*micros)(&b.ExpiresAt)); err != nil {
				return err
			}
			r.m.bearers.put(b)
			return nil
		})
}

func loadAccessKeys(ctx context.Context, r *reader) error {
	return r.each(ctx, kindAccessKey, "SELECT id, sealed_secret, principal_arn, created_at, expires_at, disabled FROM access_keys", "id", "id",
		func(scan func(...any) error) error {
			a := new(AccessKey)
			if err := scan(&a.ID, &a.SealedSecret, &a.PrincipalARN,
				(*micros)(&a.CreatedAt), (*micros)(&a.ExpiresAt), &a.Disabled); err != nil {
				return err
			}
			r.m.accessKeys.put(a)
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

// number is the value of a truth in its column.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stored is a copy of the key that shares nothing with the caller.
func (k *Key) stored() *Key {
	c := *k
	c.CreatedAt, c.DeletionAt, c.DestroyedAt = stored(k.CreatedAt), stored(k.DeletionAt), stored(k.DestroyedAt)
	c.NextRotation, c.OwnedAt = stored(k.NextRotation), stored(k.OwnedAt)
	c.Tags = sortedTags(k.Tags)
	c.Versions = slices.Clone(k.Versions)
	for i, v := range c.Versions {
		c.Versions[i] = v.stored()
	}
	slices.SortFunc(c.Versions, byNumber)
	return &c
}

func (v Version) stored() Version {
	v.CreatedAt, v.CurrentAt, v.ExpiresAt = stored(v.CreatedAt), stored(v.CurrentAt), stored(v.ExpiresAt)
	v.ObjectID, v.PublicKey, v.Check = slices.Clone(v.ObjectID), slices.Clone(v.PublicKey), slices.Clone(v.Check)
	return v
}
