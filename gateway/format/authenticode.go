package format

import (
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sassoftware/relic/v8/lib/certloader"
	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/pkcs9"
	"github.com/sassoftware/relic/v8/lib/x509tools"
	"github.com/sassoftware/relic/v8/signers/sigerrors"
)

// What the formats share whose signature is a CMS one: Authenticode and Java archives.

// ErrArtifact: the artifact is broken, or is none of its format.
var ErrArtifact = errors.New("the artifact cannot be read")

// broken is ErrArtifact with a reason.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrArtifact, fmt.Sprintf(format, args...))
}

// errUnstamped: a timestamp was asked for.
var errUnstamped = notGood("it has no timestamp")

// maxCMS is more than the longest signature in an artifact, in bytes.
const maxCMS = 16 << 20

// certified completes a format whose signatures carry certificates.
func certified(f Format) *Format {
	f.Certified = true
	if f.suits == nil {
		f.Keys, f.suits = "RSA, P-256, P-384, P-521", isRSAOrNIST
	}
	return &f
}

// caught makes a panic the error ErrArtifact: libraries that read artifacts trust what these say of themselves.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = broken("%v", p)
	}
}

// attempt runs what may panic where a recover of the caller's is no help.
func attempt(do func() error) (err error) {
	defer caught(&err)
	return do()
}

// certificate is the key as the library takes it.
func (k *Key) certificate() *certloader.Certificate {
	c := &certloader.Certificate{Leaf: k.Certificates[0], Certificates: k.Certificates, PrivateKey: k.Signer}
	if k.Timestamp != nil {
		c.Timestamper = stamper(k.Timestamp)
	}
	return c
}

// stamper is Key.Timestamp as the library calls it.
type stamper func(context.Context, crypto.Hash, []byte) ([]byte, error)

// Timestamp implements [pkcs9.Timestamper].
func (s stamper) Timestamp(ctx context.Context, r *pkcs9.Request) (*pkcs7.ContentInfoSignedData, error) {
	h := r.Hash.New()
	h.Write(r.EncryptedDigest)
	token, err := s(ctx, r.Hash, h.Sum(nil))
	if err != nil {
		return nil, err
	}
	read, err := pkcs7.Unmarshal(token)
	if err != nil {
		return nil, fmt.Errorf("the timestamp cannot be read: %w", err)
	}
	return read, nil
}

// checked is the library's answer to a verification.
func checked(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(sigerrors.NotSignedError)):
		return ErrNotSigned
	default:
		return notGood("%v", err)
	}
}

// signedBy is nil if a signer who is trusted for this purpose made this signature, whose integrity has been checked.
func (t *Trust) signedBy(p purpose, s *pkcs9.TimestampedSignature) error {
	if err := strong(s.SignerInfo); err != nil {
		return err
	}
	if t.Stamped && s.CounterSignature == nil {
		return errUnstamped
	}
	return t.certified(p, s.Certificate, s.Intermediates, t.stamped(s.CounterSignature))
}

// stamped is the time at which a signer's certificate has to be good: that of the timestamp if a trusted issuer's
// authority made it, otherwise now.
func (t *Trust) stamped(s *pkcs9.CounterSignature) time.Time {
	roots := x509.NewCertPool()
	for _, c := range t.Issuers {
		roots.AddCert(c)
	}
	if s == nil || strong(s.SignerInfo) != nil || !longEnough(s.Hash) || s.VerifyChain(roots, nil) != nil {
		return time.Now()
	}
	return s.SigningTime
}

// strong refuses a signature with a hash for which others can be found.
func strong(s *pkcs7.SignerInfo) error {
	h, err := x509tools.PkixDigestToHashE(s.DigestAlgorithm)
	if err != nil || !longEnough(h) {
		return notGood("its hash is unknown or too weak")
	}
	return nil
}

func strongContent(h crypto.Hash) error {
	if !longEnough(h) {
		return notGood("the hash of the content, %s, is too weak", h)
	}
	return nil
}

func longEnough(h crypto.Hash) bool { return h.Available() && h.Size() >= crypto.SHA256.Size() }

// sameDigest compares what was signed with what is there.
func sameDigest(h crypto.Hash, signed, found []byte) error {
	if err := strongContent(h); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(signed, found) != 1 {
		return notGood("it was not made over this content")
	}
	return nil
}

func sizeOf(in *os.File) (int64, error) {
	info, err := in.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
