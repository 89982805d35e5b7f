package store

import (
	"crypto/sha1" //nolint:gosec // names addresses, by draft-koch-openpgp-webkey-service, 3.1
	"encoding/base32"
	"net/mail"
	"slices"
	"strings"
)

// directory is the Web Key Directory (draft-koch-openpgp-webkey-service) of what is published: ids of keys by the domain of the
// address in their user id, and by the hash of what is before its @. Strangers ask, so nothing is looked through.
type directory map[string]map[string][]string

// zbase32 is without padding, since a SHA-1 fills 32 characters.
var zbase32 = base32.NewEncoding("ybndrfg8ejkmcpqxot1uwisza345h769").WithPadding(base32.NoPadding)

// place is where the directory has a user id; false if that holds no address.
func place(userID string) (domain, hash string, ok bool) {
	address, err := mail.ParseAddress(userID)
	if err != nil {
		return "", "", false
	}
	at := strings.LastIndexByte(address.Address, '@')
	local := strings.Map(func(r rune) rune { // of ASCII alone
		if 'A' <= r && r <= 'Z' {
			r |= 0x20
		}
		return r
	}, address.Address[:at])
	sum := sha1.Sum([]byte(local)) //nolint:gosec // see above
	return strings.ToLower(address.Address[at+1:]), zbase32.EncodeToString(sum[:]), true
}

func (d directory) add(userID, keyID string) {
	domain, hash, ok := place(userID)
	if !ok {
		return
	}
	if d[domain] == nil {
		d[domain] = map[string][]string{}
	}
	ids := d[domain][hash]
	if at, there := slices.BinarySearch(ids, keyID); !there {
		d[domain][hash] = slices.Insert(ids, at, keyID)
	}
}

func (d directory) remove(userID, keyID string) {
	domain, hash, _ := place(userID)
	ids := d[domain][hash]
	at, there := slices.BinarySearch(ids, keyID)
	if !there {
		return
	}
	if ids = slices.Delete(ids, at, at+1); len(ids) > 0 {
		d[domain][hash] = ids
		return
	}
	if delete(d[domain], hash); len(d[domain]) == 0 {
		delete(d, domain)
	}
}

// InDirectory lists the published keys whose user id is of an address of the domain with that hash, by their names.
func (s *Store) InDirectory(domain, hash string) []*Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := s.mem.publishedKeys(s.mem.directory[strings.ToLower(domain)][hash])
	slices.SortFunc(keys, func(a, b *Key) int { return strings.Compare(a.Publication.Name, b.Publication.Name) })
	return keys
}

// HasDirectory says whether a key is published for an address of the domain.
func (s *Store) HasDirectory(domain string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ids := range s.mem.directory[strings.ToLower(domain)] {
		if len(s.mem.publishedKeys(ids)) > 0 {
			return true
		}
	}
	return false
}
