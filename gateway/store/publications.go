package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxPublications is how many keys may be published.
const MaxPublications = 1000

// Publication is under which name anybody may read the public keys of a key, in all of its regions. Immutable.
type Publication struct {
	Name         string         // unique
	Principal    string         // who signs, in an SSH allowed signers file; ""
	UserID       string         // of the OpenPGP certificates; "" when there are none
	Certificates map[int][]byte // OpenPGP certificates, binary, by the number of the version
	PublishedAt  time.Time
}

// Published finds a key by the name that it is published under.
func (s *Store) Published(name string) (*Key, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.publishedKey(s.mem.published[name])
}

// AllPublished lists the keys that are published, in no order.
func (s *Store) AllPublished() []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mem.publishedKeys(slices.Collect(maps.Values(s.mem.published)))
}

// publishedKeys are those of these keys that are still there.
func (m *memory) publishedKeys(ids []string) []*Key {
	keys := make([]*Key, 0, len(ids))
	for _, id := range ids {
		if k, ok := m.publishedKey(id); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// publishedKey is a key that is still there in one region at least.
func (m *memory) publishedKey(id string) (*Key, bool) {
	for _, k := range m.lines[id] {
		if k.Publication != nil && k.State != StateCreating && k.State != StateDeleted {
			return k, true
		}
	}
	return nil, false
}

// publish keeps the names and the directory in step with a key that is about to be filed.
func (m *memory) publish(k *Key) {
	for _, old := range m.lines[k.ID] {
		p := old.Publication
		if p == nil {
			continue
		}
		if m.directory.remove(p.UserID, k.ID); m.published[p.Name] == k.ID {
			delete(m.published, p.Name)
		}
	}
	if p := k.Publication; p != nil {
		m.published[p.Name] = k.ID
		m.directory.add(p.UserID, k.ID)
	}
}

// Publish gives a key the publication that is returned for the present one, nil for none. ErrExists when another key has
// the name, ErrNotFound when there is no such key, ErrInvalid when there would be more than MaxPublications.
func (s *Store) Publish(ctx context.Context, keyID string, change func(*Publication) (*Publication, error)) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) (func(*memory), error) {
		all := s.mem.lines[keyID]
		if len(all) == 0 {
			return nil, fmt.Errorf("key %s: %w", keyID, ErrNotFound)
		}
		next, err := change(all[0].Publication)
		if err != nil {
			return nil, err
		}
		gone, err := s.mem.mayPublish(keyID, next)
		if err != nil {
			return nil, err
		}
		next = next.stored()
		if err := savePublication(ctx, tx, keyID, gone, next); err != nil {
			return nil, err
		}
		return func(m *memory) {
			m.setPublication(gone, nil)
			m.setPublication(keyID, next)
		}, nil
	})
}

// mayPublish gives the key that had the name and is deleted, "" when there is none.
func (m *memory) mayPublish(keyID string, next *Publication) (gone string, err error) {
	if next == nil {
		return "", nil
	}
	other, taken := m.published[next.Name]
	if _, there := m.publishedKey(other); there && other != keyID {
		return "", fmt.Errorf("%s: %w", next.Name, ErrExists)
	}
	if !taken && m.lines[keyID][0].Publication == nil && m.publications() >= MaxPublications {
		return "", fmt.Errorf("%w: %d keys are published", ErrInvalid, MaxPublications)
	}
	if other == keyID {
		other = ""
	}
	return other, nil
}

// publications is how many published keys are there: one that was deleted by an earlier version may still have its row.
func (m *memory) publications() int {
	return len(m.publishedKeys(slices.Collect(maps.Values(m.published))))
}

// unpublishGone ends the publication of a key that is deleted in its last region.
func (m *memory) unpublishGone(ctx context.Context, tx *sql.Tx, region, id string) error {
	for _, k := range m.lines[id] {
		if k.Region != region && k.State != StateDeleted {
			return nil
		}
	}
	return savePublication(ctx, tx, id, "", nil)
}

func (p *Publication) stored() *Publication {
	if p == nil {
		return nil
	}
	c := *p
	c.Certificates, c.PublishedAt = maps.Clone(p.Certificates), stored(p.PublishedAt)
	return &c
}

func (m *memory) setPublication(keyID string, p *Publication) {
	for _, old := range m.lines[keyID] {
		k := *old
		k.Publication = p
		m.putKey(&k)
	}
}

func savePublication(ctx context.Context, tx *sql.Tx, keyID, gone string, p *Publication) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM publications WHERE key_id = ? OR key_id = ?", keyID, gone); err != nil || p == nil {
		return err
	}
	certificates, err := json.Marshal(p.Certificates)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO publications (key_id, name, principal, user_id, certificates, published_at) VALUES (?, ?, ?, ?, ?, ?)",
		keyID, p.Name, p.Principal, p.UserID, string(certificates), column(p.PublishedAt))
	return err
}

func loadPublications(ctx context.Context, r *reader) (map[string]*Publication, error) {
	all := map[string]*Publication{}
	return all, r.each(ctx, kindKey, "SELECT key_id, name, principal, user_id, certificates, published_at FROM publications", "key_id", "key_id", func(scan func(...any) error) error {
		var id, certificates string
		p := new(Publication)
		if err := scan(&id, &p.Name, &p.Principal, &p.UserID, &certificates, (*micros)(&p.PublishedAt)); err != nil {
			return err
		}
		all[id] = p
		return json.Unmarshal([]byte(certificates), &p.Certificates)
	})
}
