package gateway

import (
	"maps"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// Published is what strangers may know of a key. It holds no account, no region and no key id.
type Published struct {
	Name         string
	Keys         *api.ListPublicKeysResponse // of all versions; its KeyId is the name
	Principal    string                      // of an SSH allowed signers file; "" is none
	UserID       string                      // of the OpenPGP certificates; "" is none
	Certificates [][]byte                    // OpenPGP certificates, binary, the newest version's first
}

// Published finds a key that is published by its name. It is no call and leaves no record.
func (s *Service) Published(name string) (*Published, bool) {
	k, ok := s.store.Published(name)
	if !ok {
		return nil, false
	}
	return s.shown(k), true
}

// AllPublished are all keys that are published, by name.
func (s *Service) AllPublished() []*Published {
	var all []*Published
	for _, k := range s.publishedKeys() {
		all = append(all, s.shown(k))
	}
	return all
}

func (s *Service) shown(k *store.Key) *Published {
	p := k.Publication
	current, _ := k.Current(s.now())
	shown := &Published{Name: p.Name, Keys: publicKeys(k, p.Name, current.Number), Principal: p.Principal, UserID: p.UserID}
	for _, version := range slices.Backward(slices.Sorted(maps.Keys(p.Certificates))) {
		shown.Certificates = append(shown.Certificates, p.Certificates[version])
	}
	return shown
}
