package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// ErrKeyChanged says that the gateway answered with another key, or another version
// of it, than the one whose public key a [Signer] or a [Decrypter] has: it was
// rotated, or its alias names another key now. Make a new one.
var ErrKeyChanged = errors.New("the key is no longer the one whose public key is known")

// Signer signs with a key of the gateway wherever Go takes a [crypto.Signer] or a
// [crypto.MessageSigner]. Only the digest travels; for Ed25519, which signs messages,
// the message of at most 4096 bytes. Errors are those of [Client.Sign], so that
// errors.As finds the [*api.Error]. Its methods may be called at the same time.
type Signer struct {
	pair
	// What each signature is asked for with. Set it before the first one.
	GrantTokens    []string
	SigningContext map[string]string
	Artifact       *api.Artifact
	// DryRun asks whether it would be signed: the answer that it would is an error with the code api.DryRunOperation.
	DryRun bool
	// OnSigned, if set, is told the whole answer of each signature, from the goroutine of its call.
	OnSigned func(*api.SignResponse)
}

// pair is a key of the gateway whose public key is known.
type pair struct {
	client *Client
	ctx    context.Context // Go's interfaces leave it no other place
	ref    string
	key    *api.GetPublicKeyResponse
	public crypto.PublicKey
}

// NewSigner makes a signer of the key that ref names, whose public key it asks for,
// once. The calls of its methods without a context of their own have ctx.
func NewSigner(ctx context.Context, c *Client, ref string) (*Signer, error) {
	p, err := newPair(ctx, c, ref, api.SignVerify)
	if err != nil {
		return nil, err
	}
	return &Signer{pair: *p}, nil
}

func newPair(ctx context.Context, c *Client, ref string, usage api.KeyUsage) (*pair, error) {
	key, err := c.GetPublicKey(ctx, &api.GetPublicKeyRequest{KeyTarget: api.KeyTarget{KeyId: ref}})
	if err != nil {
		return nil, err
	}
	if key.KeyUsage != usage {
		return nil, api.Errorf(api.InvalidKeyUsage, "%s is of no use here: its usage is %s, not %s.", key.KeyId, key.KeyUsage, usage)
	}
	public, err := x509.ParsePKIXPublicKey(key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("crypto/x509 cannot read the public key of %s, whose spec is %s: %w", key.KeyId, key.KeySpec, err)
	}
	return &pair{client: c, ctx: ctx, ref: ref, key: key, public: public}, nil
}

// Public is the public key: an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
func (p *pair) Public() crypto.PublicKey { return p.public }

// Key is what the gateway said of the key: its ARN, version, spec and algorithms.
func (p *pair) Key() *api.GetPublicKeyResponse { return p.key }

// same refuses an answer that another key, or another version, has made.
func (p *pair) same(arn string, version int) error {
	if arn != p.key.KeyId || version != p.key.KeyVersion {
		return fmt.Errorf("%w: %s version %d answered in place of %s version %d", ErrKeyChanged, arn, version, p.key.KeyId, p.key.KeyVersion)
	}
	return nil
}

// WithContext is the same signer, whose calls have ctx.
func (s *Signer) WithContext(ctx context.Context) *Signer {
	other := *s
	other.ctx = ctx
	return &other
}

// Sign signs a digest of opts.HashFunc(); [*rsa.PSSOptions] choose PSS, whose salt is as
// long as the hash. An ECDSA key takes the digest's length for the hash where opts
// name none. An Ed25519 key signs the message. The first argument is not used: the
// token has its own randomness.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.SignContext(s.ctx, digest, opts)
}

// SignContext is Sign with a context of its own.
func (s *Signer) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	algorithm, err := s.Algorithm(opts, len(digest))
	if err != nil {
		return nil, err
	}
	messageType := api.Digest
	if algorithm == api.Ed25519SHA512 {
		messageType = api.Raw
	}
	out, err := s.client.Sign(ctx, &api.SignRequest{
		KeyTarget: api.KeyTarget{KeyId: s.ref}, Message: digest, MessageType: messageType, SigningAlgorithm: algorithm,
		GrantTokens: s.GrantTokens, SigningContext: s.SigningContext, Artifact: s.Artifact, DryRun: s.DryRun,
	})
	if err != nil {
		return nil, err
	}
	if err := s.same(out.KeyId, out.KeyVersion); err != nil {
		return nil, err
	}
	if s.OnSigned != nil {
		s.OnSigned(out)
	}
	return out.Signature, nil
}

// SignMessage hashes the message here, with opts.HashFunc() or, where that is none, the
// hash that goes with an ECDSA key, and signs the digest.
func (s *Signer) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := s.public.(ed25519.PublicKey); ok {
		return s.SignContext(s.ctx, message, opts)
	}
	hash := hashOf(opts)
	if _, ok := s.public.(*ecdsa.PublicKey); ok && hash == 0 && len(s.key.SigningAlgorithms) > 0 {
		hash, _ = Hash(s.key.SigningAlgorithms[0]) // its only one
	}
	if hash == 0 {
		return nil, s.unsuited(opts, "name the hash of the message")
	}
	if !hash.Available() {
		return nil, s.unsuited(opts, "its hash is not linked into this program")
	}
	h := hash.New()
	h.Write(message)
	return s.SignContext(s.ctx, h.Sum(nil), opts)
}

// Algorithm is the signing algorithm for these options and a digest of that many
// bytes, among those that the key has.
func (s *Signer) Algorithm(opts crypto.SignerOpts, size int) (api.SigningAlgorithm, error) {
	if _, ok := s.public.(ed25519.PublicKey); ok {
		return s.ofMessage(opts, size)
	}
	hash, scheme := hashOf(opts), "RSASSA_PKCS1_V1_5"
	pss, isPSS := opts.(*rsa.PSSOptions)
	if isPSS {
		scheme = "RSASSA_PSS"
	}
	if _, ok := s.public.(*ecdsa.PublicKey); ok {
		if scheme = "ECDSA"; hash == 0 {
			hash = ofSize(size)
		}
	}
	algorithm := api.SigningAlgorithm(fmt.Sprintf("%s_SHA_%d", scheme, hashBits[hash]))
	switch {
	case !slices.Contains(s.key.SigningAlgorithms, algorithm):
		return "", s.unsuited(opts, "the key has no algorithm for that")
	case size != hash.Size():
		return "", api.Errorf(api.Validation, "A digest for %s has %d bytes, not %d.", algorithm, hash.Size(), size)
	case isPSS && !slices.Contains([]int{rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, hash.Size()}, pss.SaltLength):
		return "", s.unsuited(opts, "the salt is as long as the hash: use rsa.PSSSaltLengthEqualsHash")
	}
	return algorithm, nil
}

// ofMessage is Algorithm for a key that signs messages. ED25519_PH_SHA_512 is not among
// them: it signs the hash of what it is given, so of a digest that of the digest.
func (s *Signer) ofMessage(opts crypto.SignerOpts, size int) (api.SigningAlgorithm, error) {
	o, isOptions := opts.(*ed25519.Options)
	switch {
	case hashOf(opts) != 0 || isOptions && o.Context != "":
		return "", s.unsuited(opts, "an Ed25519 key signs the message itself here: use crypto.Hash(0)")
	case size > maxMessage:
		return "", api.Errorf(api.Validation, "ED25519_SHA_512 signs messages of at most %d bytes, and this one is longer. Sign a digest of the message as the message, or use a key of another spec.", maxMessage)
	}
	return api.Ed25519SHA512, nil
}

// unsuited says what a key cannot sign, and what it can.
func (s *Signer) unsuited(opts crypto.SignerOpts, why string) error {
	hash := "no hash"
	if h := hashOf(opts); h != 0 {
		hash = h.String()
	}
	return api.Errorf(api.UnsupportedOperation, "%s cannot sign with %T and %s: %s. It has %v.", s.key.KeyId, opts, hash, why, s.key.SigningAlgorithms)
}

// hashBits are the hashes of signing algorithms, as their names have them.
var hashBits = map[crypto.Hash]int{crypto.SHA256: 256, crypto.SHA384: 384, crypto.SHA512: 512}

func hashOf(opts crypto.SignerOpts) crypto.Hash {
	if opts == nil {
		return 0
	}
	return opts.HashFunc()
}

// ofSize is the hash whose digests have that many bytes.
func ofSize(size int) crypto.Hash {
	for hash := range hashBits {
		if hash.Size() == size {
			return hash
		}
	}
	return 0
}
