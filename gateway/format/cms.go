package format

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/cms"
	"github.com/hsmgate/hsmgate/gateway/timestamp"
)

// CMS is a detached CMS signature (RFC 5652), in DER, with the time of the signing and the certificates, and an RFC 3161
// timestamp of it where one is asked for.
var CMS = &Format{
	Name: "cms", Summary: "any file: a detached CMS (PKCS #7) signature in DER; openssl cms -verify -inform DER -binary", Keys: "RSA, P-256, P-384, P-521",
	Output: ending(".p7s"), Certified: true, Stamped: true, suits: isRSAOrNIST,
	sign: func(ctx context.Context, k *Key, in *os.File, out io.Writer) error {
		h := hashFor(k.Public())
		sum, err := digest(h, in)
		if err != nil {
			return err
		}
		at, err := cms.SigningTime(k.now())
		if err != nil {
			return err
		}
		der, err := cms.Sign(k, k.Certificates, false, cms.Content{Type: cms.Data, Hash: h, Digest: sum}, []cms.Attribute{at}, k.stamp(ctx, h))
		if err != nil {
			return err
		}
		_, err = out.Write(der)
		return err
	},
	verify: func(t *Trust, in *os.File, from io.Reader) error {
		der, err := io.ReadAll(io.LimitReader(from, timestamp.MaxReply+maxSignature))
		if err != nil {
			return err
		}
		signed, err := cms.Parse(der)
		if err != nil || signed.Content != nil || !signed.Type.Equal(cms.Data) {
			return ErrNotSigned
		}
		sum, err := digest(signed.Hash, in)
		if err != nil {
			return err
		}
		signer, err := signed.Verify(sum, t.Issuers)
		if errors.Is(err, cms.ErrNotGood) {
			return notGood("%s", strings.TrimPrefix(err.Error(), cms.ErrNotGood.Error()+": "))
		}
		if err != nil {
			return err
		}
		at, err := t.timeOf(signed)
		if err != nil {
			return err
		}
		return t.certified(messageSigning, signer, signed.Certificates, at)
	},
}

// stamp gets the timestamp of a signature, as its attribute; nil where none is asked for.
func (k *Key) stamp(ctx context.Context, h crypto.Hash) cms.Unsigned {
	if k.Timestamp == nil {
		return nil
	}
	return func(signature []byte) ([]cms.Attribute, error) {
		sum := h.New()
		sum.Write(signature)
		token, err := k.Timestamp(ctx, h, sum.Sum(nil))
		if err != nil {
			return nil, err
		}
		return []cms.Attribute{{Type: timestamp.TokenAttribute, Values: []asn1.RawValue{{FullBytes: token}}}}, nil
	}
}

// timeOf is when a signature was there: the time of its timestamp, whose authority one of the issuers has to have
// certified, or now. A timestamp that is not over this signature is never good; one of another authority says nothing.
func (t *Trust) timeOf(s *cms.Signed) (time.Time, error) {
	der := s.Unsigned(timestamp.TokenAttribute)
	if der == nil && t.Stamped {
		return time.Time{}, errUnstamped
	}
	if der == nil {
		return time.Now(), nil
	}
	h, err := timestamp.Hash(der)
	if err != nil {
		return time.Time{}, notGood("%v", err)
	}
	sum := h.New()
	sum.Write(s.Signature())
	token, err := timestamp.Check(der, h, sum.Sum(nil), s.Certificates, nil)
	if err != nil {
		return time.Time{}, notGood("%v", err)
	}
	roots := x509.NewCertPool()
	for _, c := range t.Issuers {
		roots.AddCert(c)
	}
	if trusted := token.Trusted(s.Certificates, roots) == nil; !trusted {
		return time.Now(), nil
	}
	return token.Time, nil
}
