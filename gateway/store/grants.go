package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/policy"
)

// ErrFull: there are as many as there may be.
var ErrFull = errors.New("no room for another")

// ErrNoPrincipal: a grant names a principal that is not there any more.
var ErrNoPrincipal = errors.New("no such principal")

// Grant is a grant on a key of a region. Immutable.
type Grant struct {
	policy.Grant
	Region    string
	Name      string // "" for none
	CreatedAt time.Time
	Uses      int64     // that it began with, where they are counted: UsesLeft says how many are left
	UsedAt    time.Time // the last of them
}

// path sorts the grants of a key together.
func (g *Grant) path() string { return path(g.Region, g.KeyID) + "/" + g.ID }

// regional names a key of a region; to find one by it costs no allocation.
type regional struct{ region, id string }

// grantee names those grants on one key that are for one principal.
type grantee struct{ region, key, arn string }

func (g *Grant) grantee() grantee { return grantee{g.Region, g.KeyID, g.Grantee} }

// Grant finds a grant by its id.
func (s *Store) Grant(id string) (*Grant, bool) {
	s.mu.RLock()
	g, ok := s.mem.grantsByID[id]
	s.mu.RUnlock()
	return g, ok
}

// Grants lists up to limit grants on a key that are wanted, whose ids sort after
// the given one, sorted by id; more says whether others follow.
func (s *Store) Grants(region, keyID, after string, limit int, want func(*Grant) bool) (grants []*Grant, more bool) {
	return s.grantsFrom(path(region, keyID)+"/", path(region, keyID)+"/"+after, limit, want)
}

// RegionGrants is Grants for all keys of a region; after is a Place.
func (s *Store) RegionGrants(region, after string, limit int, want func(*Grant) bool) (grants []*Grant, more bool) {
	return s.grantsFrom(path(region, ""), path(region, after), limit, want)
}

// Place is where a grant stands in RegionGrants.
func (g *Grant) Place() string { return g.KeyID + "/" + g.ID }

func (s *Store) grantsFrom(prefix, after string, limit int, want func(*Grant) bool) (grants []*Grant, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from, found := s.mem.grants.find(after)
	if found {
		from++
	}
	for _, g := range s.mem.grants.sorted[from:] {
		switch {
		case !strings.HasPrefix(g.path(), prefix):
			return grants, false
		case !want(g):
		case len(grants) == limit:
			return grants, true
		default:
			grants = append(grants, g)
		}
	}
	return grants, false
}

// endsWith says whether the grant is for a principal, or for a session of that role.
func (g *Grant) endsWith(arn string) bool { return g.Grantee == arn || policy.RoleOf(g.Grantee) == arn }

// Access is what a decision on a key looks at: what conditions may ask of the key,
// and the grants on it that are for a principal. A session has those of its role,
// too. Nil for a key that Key does not find.
func (s *Store) Access(region, id, principal string) (*policy.Key, []policy.Grant) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	key := s.mem.views[regional{region, id}]
	if len(s.mem.granted) == 0 {
		return key, nil
	}
	grants := s.mem.granted[grantee{region, id, principal}]
	if role := policy.RoleOf(principal); role != "" {
		grants = slices.Concat(grants, s.mem.granted[grantee{region, id, role}])
	}
	return key, grants
}

// InsertGrant adds a grant and returns it, or the one that is there already, when
// it has a name, is the same in all but its id and time, and is not used up. ErrNotFound when there
// is no such key, ErrFull when the key has as many as most already, ErrNoPrincipal
// when one of the principals that have to be there is not: another one of that name
// is not to have the grant.
func (s *Store) InsertGrant(ctx context.Context, grant *Grant, most int, there ...string) (*Grant, error) {
	g := *grant
	g.CreatedAt, g.Operations = stored(g.CreatedAt), slices.Clone(g.Operations)
	if !g.Expires.IsZero() {
		g.Expires = stored(g.Expires)
	}
	made := &g
	return made, s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		if err := s.mem.visible(g.Region, g.KeyID); err != nil {
			return nil, err
		}
		for _, arn := range there {
			if _, ok := s.mem.principals.rows[arn]; !ok {
				return nil, fmt.Errorf("principal %s: %w", arn, ErrNoPrincipal)
			}
		}
		if old := s.mem.sameGrant(&g); old != nil {
			g = *old
			return func(*memory) {}, nil
		}
		if s.mem.grantCount(g.Region, g.KeyID) >= most {
			return nil, fmt.Errorf("grants of key %s: %w", g.KeyID, ErrFull)
		}
		for k, v := range g.constraint() {
			if strings.ContainsRune(k+v, 0) {
				return nil, fmt.Errorf("grant on key %s: the character U+0000 in its constraint: %w", g.KeyID, ErrInvalid)
			}
		}
		operations, err := json.Marshal(g.Operations)
		if err != nil {
			return nil, err
		}
		equals, subset := pairs(g.EncryptionContextEquals), pairs(g.EncryptionContextSubset)
		_, err = tx.ExecContext(ctx, `INSERT INTO grants (id, region, key_id, name, grantee, retiring, operations, context_equals, context_subset, created_at, expires_at, uses, uses_left, used_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, g.ID, g.Region, g.KeyID, g.Name, g.Grantee, g.RetiringPrincipal, string(operations), equals, subset, g.CreatedAt.UnixMicro(),
			column(g.Expires), sql.NullInt64{Int64: g.Uses, Valid: g.UsesLeft != nil}, g.UsesLeft, column(g.UsedAt))
		return func(m *memory) { m.putGrant(&g) }, err
	})
}

// DeleteGrant removes a grant and returns what it was at that moment, with the uses
// that were left. ErrNotFound when there is none.
func (s *Store) DeleteGrant(ctx context.Context, id string) (was *Grant, err error) {
	err = s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		var ok bool
		if was, ok = s.mem.grantsByID[id]; !ok {
			return nil, fmt.Errorf("grant %s: %w", id, ErrNotFound)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM grants WHERE id = ?", id)
		return func(m *memory) { m.removeGrant(id) }, err
	})
	return was, err
}

// constraint are the pairs of the grant's constraint, if it has one.
func (g *Grant) constraint() map[string]string {
	if g.EncryptionContextEquals != nil {
		return g.EncryptionContextEquals
	}
	return g.EncryptionContextSubset
}

// sameGrant finds a grant that a repeated call would make again. One that is used up
// is not the same: it allows nothing any more.
func (m *memory) sameGrant(g *Grant) *Grant {
	if g.Name == "" {
		return nil
	}
	from, _ := m.grants.find(path(g.Region, g.KeyID) + "/")
	for _, o := range m.grants.sorted[from:] {
		switch {
		case o.Region != g.Region || o.KeyID != g.KeyID:
			return nil
		case o.hasEnded(g.CreatedAt): // it is listed yet, and allows nothing
		case o.Name == g.Name && o.Grantee == g.Grantee && o.RetiringPrincipal == g.RetiringPrincipal && slices.Equal(o.Operations, g.Operations) &&
			maps.Equal(o.EncryptionContextEquals, g.EncryptionContextEquals) && maps.Equal(o.EncryptionContextSubset, g.EncryptionContextSubset) &&
			o.Expires.Equal(g.Expires) && o.Uses == g.Uses:
			return o
		}
	}
	return nil
}

// pairs is the value of a constraint in its column.
func pairs(m map[string]string) any {
	if m == nil {
		return nil
	}
	text, _ := json.Marshal(m) // texts always have a JSON form
	return string(text)
}

func (m *memory) grantCount(region, keyID string) int {
	first, _ := m.grants.find(path(region, keyID) + "/")
	next, _ := m.grants.find(path(region, keyID) + "/\xff") // after every id
	return next - first
}

// putGrant files a grant. What decisions have got is never written to again.
func (m *memory) putGrant(g *Grant) {
	m.removeGrant(g.ID)
	m.grants.put(g)
	m.grantsByID[g.ID] = g
	of := g.grantee()
	m.granted[of] = append(m.granted[of], g.Grant) // behind what decisions have got
}

func (m *memory) removeGrant(id string) {
	g, ok := m.grantsByID[id]
	if !ok {
		return
	}
	delete(m.grantsByID, id)
	m.grants.remove(g.path())
	m.regrant(g.grantee(), func(o policy.Grant) bool { return o.ID == id })
}

// regrant leaves grants out of what decisions will get.
func (m *memory) regrant(of grantee, drop func(policy.Grant) bool) {
	left := slices.DeleteFunc(slices.Clone(m.granted[of]), drop)
	if len(left) == 0 {
		delete(m.granted, of)
		return
	}
	m.granted[of] = left
}

func (m *memory) removeGrantsIf(drop func(*Grant) bool) {
	gone := map[string]bool{}
	of := map[grantee]bool{}
	for _, g := range m.grants.sorted {
		if drop(g) {
			gone[g.ID], of[g.grantee()] = true, true
			delete(m.grantsByID, g.ID)
		}
	}
	if len(gone) == 0 {
		return
	}
	m.grants.removeIf(func(g *Grant) bool { return gone[g.ID] })
	for who := range of {
		m.regrant(who, func(g policy.Grant) bool { return gone[g.ID] })
	}
}

// View is what conditions may ask of a key that has these aliases.
func (k *Key) View(aliases []*Alias) *policy.Key {
	v := &policy.Key{Spec: k.Spec, Usage: k.Usage, Origin: k.Origin, MultiRegion: policy.FlagOf(k.MultiRegion)}
	if k.MultiRegion {
		v.MultiRegionKeyType = "REPLICA"
		if k.Region == k.PrimaryRegion {
			v.MultiRegionKeyType = "PRIMARY"
		}
	}
	for _, a := range aliases {
		v.Aliases = append(v.Aliases, a.Name)
	}
	if len(k.Tags) > 0 {
		v.Tags = make(map[string]string, len(k.Tags))
	}
	for _, t := range k.Tags {
		v.Tags[t.Name] = t.Value
	}
	return v
}

func (m *memory) view(k *Key) { m.views[regional{k.Region, k.ID}] = k.View(m.byKey[k.path()]) }

// viewOf makes the view of a key by its path anew, if callers can see it.
func (m *memory) viewOf(key string) {
	if k, ok := m.keys.rows[key]; ok {
		m.view(k)
	}
}
