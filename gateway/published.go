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
	Certified    []int                       // the versions that have one
}

// Published finds a key that is published by its name. It is no call and leaves no record.
func (s *Service) Published(name string) (*Published, bool) {
	k, ok := s.store.Published(name)
	if !ok {
		return nil, false
	}
	return s.shown(k), true
}

// InDirectory are the keys that are published for the addresses of a domain with that hash, by name.
func (s *Service) InDirectory(domain, hash string) (all []*Published) {
	for _, k := range s.store.InDirectory(domain, hash) {
		all = append(all, s.shown(k))
	}
	return all
}

// HasDirectory says whether a key is published for an address of the domain.
func (s *Service) HasDirectory(domain string) bool { return s.store.HasDirectory(domain) }

func (s *Service) shown(k *store.Key) *Published {
	p := k.Publication
	current, _ := k.Current(s.now())
	shown := &Published{Name: p.Name, Keys: publicKeys(k, p.Name, current.Number), Principal: p.Principal, UserID: p.UserID}
	for _, version := range slices.Backward(slices.Sorted(maps.Keys(p.Certificates))) {
		shown.Certified = append(shown.Certified, version)
		shown.Certificates = append(shown.Certificates, p.Certificates[version])
	}
	return shown
}
