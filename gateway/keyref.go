package gateway

import (
	"slices"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// keyRef is a reference to a key as a caller may write it, parsed. Exactly one
// of id and alias is set.
type keyRef struct {
	region string
	id     string // lower-case UUID, or mrk- and 32 hex digits
	alias  string // with its prefix alias/
	arn    string // of the key or the alias: what a denial names, whether it exists or not
}

// Names are the account and the region that stand in an ARN.
type Names struct {
	Account string // 12 digits
	Region  string
}

func (n Names) keyARN(id string) string {
	return "arn:aws:kms:" + n.Region + ":" + n.Account + ":key/" + id
}

func (n Names) aliasARN(name string) string {
	return "arn:aws:kms:" + n.Region + ":" + n.Account + ":" + name
}

// namesFor are the names that a call uses: those of the region that it is sent to.
func (s *Service) namesFor(c *Call) Names {
	if c.Region == "" {
		return s.names
	}
	return Names{Account: s.names.Account, Region: c.Region}
}

// Regions lists the regions that are served, the home region first.
func (s *Service) Regions() []string { return slices.Clone(s.regions) }

func (s *Service) checkRegion(c *Call) *api.Error {
	if c.Region == "" || slices.Contains(s.regions, c.Region) {
		return nil
	}
	return api.Errorf(api.Validation, "%.100q is not a region of this gateway. Its regions are: %s.", c.Region, strings.Join(s.regions, ", "))
}

// arn is the ARN of a key.
func (s *Service) arn(k *store.Key) string {
	return Names{Account: s.names.Account, Region: k.Region}.keyARN(k.ID)
}

// parse reads a key id, a key ARN, an alias name or an alias ARN. Each key has
// one spelling in each form: nothing is folded, trimmed or decoded.
func (n Names) parse(ref string) (keyRef, *api.Error) {
	resource, byID := ref, false
	if strings.HasPrefix(ref, "arn:") {
		part := strings.SplitN(ref, ":", 6)
		if len(part) != 6 || part[1] != "aws" || part[2] != "kms" {
			return keyRef{}, api.Errorf(api.InvalidArn, "%q is not an ARN of a key or an alias: arn:aws:kms:%s:%s:key/<id> is.", ref, n.Region, n.Account)
		}
		if part[3] != n.Region {
			return keyRef{}, api.Errorf(api.NotFound, "Invalid arn %s", part[3])
		}
		if part[4] != n.Account {
			return keyRef{}, api.Errorf(api.NotFound, "Key '%s' does not exist", ref)
		}
		resource = part[5]
		if id, ok := strings.CutPrefix(resource, "key/"); ok {
			resource, byID = id, true
		} else if !strings.HasPrefix(resource, "alias/") {
			return keyRef{}, api.Errorf(api.InvalidArn, "%q names neither a key (key/<id>) nor an alias (alias/<name>).", ref)
		}
	}
	switch {
	case strings.HasPrefix(resource, "alias/") && !byID:
		return keyRef{region: n.Region, alias: resource, arn: n.aliasARN(resource)}, nil
	case isKeyID(resource):
		return keyRef{region: n.Region, id: resource, arn: n.keyARN(resource)}, nil
	}
	return keyRef{}, api.Errorf(api.NotFound, "Invalid keyId '%s'", ref)
}

// isKeyID says whether s is a lower-case UUID or the id of a multi-Region key.
func isKeyID(s string) bool {
	if hex, ok := strings.CutPrefix(s, "mrk-"); ok {
		return len(hex) == 32 && isLowerHex(hex)
	}
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isLowerHex(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])
}

func isLowerHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// resolve finds the key that a reference names; nil when there is none.
func (s *Service) resolve(ref keyRef) *store.Key { return ref.in(s.store) }

// in is resolve for any store.
func (ref keyRef) in(s *store.Store) *store.Key {
	id := ref.id
	if ref.alias != "" {
		alias, ok := s.Alias(ref.region, ref.alias)
		if !ok {
			return nil
		}
		id = alias.KeyID
	}
	key, ok := s.Key(ref.region, id)
	if !ok {
		return nil
	}
	return key
}

// missing is the error for a reference that names no key.
func (ref keyRef) missing() *api.Error {
	if ref.alias != "" {
		return api.Errorf(api.NotFound, "Alias %s is not found.", ref.arn)
	}
	return api.Errorf(api.NotFound, "Key '%s' does not exist", ref.arn)
}

// notByAlias is the error for an alias where only an id or an ARN will do.
func notByAlias(reference string, in any) *api.Error {
	if _, aboutAlias := in.(interface{ Alias() string }); aboutAlias {
		return api.Errorf(api.Validation, "Aliases must refer to keys. Not aliases")
	}
	return api.Errorf(api.NotFound, "Invalid keyId '%s'", reference)
}
