package gateway

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/gateway/publickey"
	"github.com/hsmgate/hsmgate/gateway/store"
)

// PublishKey lets anybody read the public keys of a key under a name.
//
// An OpenPGP certificate is made by the caller, who has the key sign it as anything else: the gateway signs nothing of
// itself, past policies and approval rules. What is checked here is that it holds this key and nothing else.
func (s *Service) PublishKey(ctx context.Context, c *Call, in *api.PublishKeyRequest) (*api.Publication, *api.Error) {
	if err := hasPublicKey(c); err != nil {
		return nil, err
	}
	if in.Principal != "" || in.OpenPGP != nil {
		if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
			return nil, err
		}
	}
	next := &store.Publication{Name: in.Name, Principal: in.Principal, PublishedAt: s.now().UTC().Truncate(time.Microsecond)} // as the store keeps it, for its hash
	if in.OpenPGP != nil {
		if err := addCertificate(c.key, next, in.OpenPGP); err != nil {
			return nil, err
		}
	}
	var made *store.Publication
	err := s.changePublication(ctx, c, func(now *store.Publication) *store.Publication {
		made = keepCertificates(now, next)
		return made
	})
	if err != nil {
		return nil, err
	}
	return s.publication(c.key, made), nil
}

// UnpublishKey ends that. To end what is not is no error.
func (s *Service) UnpublishKey(ctx context.Context, c *Call, _ *api.UnpublishKeyRequest) (*api.Empty, *api.Error) {
	if err := s.changePublication(ctx, c, func(*store.Publication) *store.Publication { return nil }); err != nil {
		return nil, err
	}
	return &api.Empty{}, nil
}

// ListPublications tells which keys are published.
func (s *Service) ListPublications(_ context.Context, _ *Call, _ *api.ListPublicationsRequest) (*api.ListPublicationsResponse, *api.Error) {
	out := &api.ListPublicationsResponse{Publications: []api.Publication{}}
	for _, k := range s.publishedKeys() {
		out.Publications = append(out.Publications, *s.publication(k, k.Publication))
	}
	return out, nil
}

// publishedKeys are the keys that are published, by name.
func (s *Service) publishedKeys() []*store.Key {
	keys := s.store.AllPublished()
	slices.SortFunc(keys, func(a, b *store.Key) int { return strings.Compare(a.Publication.Name, b.Publication.Name) })
	return keys
}

func (s *Service) publication(k *store.Key, p *store.Publication) *api.Publication {
	current, _ := k.Current(s.now())
	return &api.Publication{Name: p.Name, KeyId: s.arn(k), Principal: p.Principal, UserId: p.UserID,
		OpenPGPVersions: slices.Sorted(maps.Keys(p.Certificates)), CurrentVersion: current.Number, PublishedDate: api.NewTime(p.PublishedAt)}
}

// certified is the publication of a key that has OpenPGP certificates: who rotates the key has to publish that of the new version,
// since the key has to sign it. nil where there is none.
func (s *Service) certified(k *store.Key) *api.Publication {
	if k.Publication == nil || k.Publication.UserID == "" {
		return nil
	}
	return s.publication(k, k.Publication)
}

// addCertificate adds an OpenPGP certificate to the version that it is of. Its time of creation is that from which the
// version is used, so that a version has one OpenPGP fingerprint.
func addCertificate(k *store.Key, p *store.Publication, text []byte) *api.Error {
	made, binary, err := publickey.ReadMinimalOpenPGP(text)
	if err != nil {
		return api.Errorf(api.Validation, "OpenPGP is not a certificate that can be published: %s.", err)
	}
	for _, v := range k.Versions {
		public, err := x509.ParsePKIXPublicKey(v.PublicKey)
		if err != nil || v.CurrentAt.IsZero() || !samePublicKey(public, made.Public) {
			continue
		}
		if since := v.CurrentAt.UTC().Truncate(time.Second); !made.Created.Equal(since) {
			return api.Errorf(api.Validation, "The OpenPGP key says that it was created at %s, and version %d of the key is used since %s: make the certificate with 'hsmgate key public-key --format openpgp'.",
				made.Created.UTC().Format(time.RFC3339), v.Number, since.Format(time.RFC3339))
		}
		p.UserID, p.Certificates = made.UserIDs[0], map[int][]byte{v.Number: binary}
		return nil
	}
	return api.Errorf(api.Validation, "The OpenPGP certificate is of the key %X, which is no version of this key.", made.Fingerprint)
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// keepCertificates is next with the certificates of other versions that are for the same user id.
func keepCertificates(now, next *store.Publication) *store.Publication {
	if now == nil || next.UserID == "" || now.UserID != next.UserID {
		return next
	}
	all := *next
	all.Certificates = maps.Clone(now.Certificates)
	maps.Copy(all.Certificates, next.Certificates)
	return &all
}

// changePublication gives the key another publication; nil is none.
func (s *Service) changePublication(ctx context.Context, c *Call, change func(now *store.Publication) *store.Publication) *api.Error {
	next := change(c.key.Publication)
	if next == nil && c.key.Publication == nil {
		return nil
	}
	c.record.Digest = publicationHash(next)
	if err := s.recordStart(ctx, c); err != nil {
		return err
	}
	var before *store.Publication
	cause := s.store.Publish(ctx, c.key.ID, func(now *store.Publication) (*store.Publication, error) {
		before, next = now, change(now)
		c.record.Digest = publicationHash(next)
		return next, nil
	})
	switch {
	case errors.Is(cause, store.ErrExists):
		return api.Errorf(api.AlreadyExists, "Another key is published as %s.", next.Name)
	case errors.Is(cause, store.ErrInvalid):
		return api.Errorf(api.LimitExceeded, "%d keys are published, which is the most.", store.MaxPublications)
	case cause != nil:
		return s.stateError(c, cause)
	}
	c.undoBy(s, func(ctx context.Context) error {
		return s.store.Publish(ctx, c.key.ID, func(now *store.Publication) (*store.Publication, error) {
			if publicationHash(now) != publicationHash(next) { // another process changed it meanwhile
				return now, nil
			}
			return before, nil
		})
	})
	return nil
}

// publicationHash is what the record of a publication has; "" for none.
func publicationHash(p *store.Publication) string {
	if p == nil {
		return ""
	}
	text, _ := json.Marshal(p) // texts, bytes and a time always have a JSON form
	return hashOfText(string(text))
}
