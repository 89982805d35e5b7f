package gateway

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"

	"github.com/hsmgate/hsmgate/gateway/api"
	"github.com/hsmgate/hsmgate/hsm"
)

// muSize is the length in bytes of ML-DSA's mu (FIPS 204, 6.2).
const muSize = 64

// maxMessage is the longest message in bytes that is signed without having been
// hashed first.
const maxMessage = 4096

// signable is what the token is asked to sign.
type signable struct {
	mechanism hsm.SignMechanism
	input     []byte // a digest, or the message
}

// Sign signs in the token. The token layer checks the signature against the
// key's public key before it hands it out.
func (s *Service) Sign(ctx context.Context, c *Call, in *api.SignRequest) (*api.SignResponse, *api.Error) {
	what, err := s.signable(c, in)
	if err != nil {
		return nil, err
	}
	if in.IdempotencyKey == "" || in.DryRun {
		return s.signature(ctx, c, in, what)
	}
	only := []*repeatable{newRepeatable(c, in, what.input)}
	s.findAnswers(ctx, only)
	if s.unanswered(only) {
		out, err := s.signature(ctx, c, in, what)
		if err != nil {
			return nil, err
		}
		only[0].made(s, out)
		s.keepAnswers(ctx, only)
	}
	return only[0].answer(in)
}

// signable checks what is to be signed and names it in the record.
func (s *Service) signable(c *Call, in *api.SignRequest) (what signable, err *api.Error) {
	if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
		return what, err
	}
	if in.Receipt {
		if err := s.receiptReady(); err != nil {
			return what, err
		}
	}
	if in.SigningAlgorithm == "" { // only with a body: the key's first algorithm
		in.SigningAlgorithm = signingAlgorithms[api.KeySpec(c.key.Spec)][0]
	}
	if err := s.prepare(c, in.SigningAlgorithm, in.MessageType); err != nil {
		return what, err
	}
	if what.input, err = signInput(in); err != nil {
		return what, err
	}
	what.mechanism = mechanismFor(in.SigningAlgorithm, in.MessageType)
	c.record.Digest = digestOf(what.mechanism, what.input)
	if in.Body != nil {
		return what, s.again(c)
	}
	return what, nil
}

// signature has the token sign, at the cost of an approval and of the use of a grant
// where these are asked for.
func (s *Service) signature(ctx context.Context, c *Call, in *api.SignRequest, what signable) (*api.SignResponse, *api.Error) {
	token, key, err := s.currentPair(c)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		if cause := token.SupportsSign(hsm.KeySpec(c.key.Spec), what.mechanism); cause != nil {
			return nil, s.tokenError(c, cause)
		}
	}
	if err := s.spendApproval(ctx, c, in, approvedAs(in, what.input, c.record.Digest)); err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	if err := s.takeUse(ctx, c); err != nil {
		return nil, err
	}
	signature, cause := token.Sign(ctx, key, what.mechanism, what.input)
	if cause != nil {
		return nil, s.tokenError(c, cause)
	}
	return c.signed(in, signature, c.record.KeyVersion), nil
}

// signed names a signature in the record, and is the answer with it.
func (c *Call) signed(in *api.SignRequest, signature []byte, version int) *api.SignResponse {
	c.record.SignatureHash, c.record.KeyVersion = hashOfSignature(signature), version
	return &api.SignResponse{KeyId: c.record.KeyARN, Signature: signature, SigningAlgorithm: in.SigningAlgorithm, KeyVersion: version}
}

func hashOfSignature(signature []byte) string {
	sum := sha256.Sum256(signature)
	return named(crypto.SHA256, sum[:])
}

// Verify checks a signature with the public key, outside the token. A bad
// signature is an error, as in AWS KMS: false is never answered.
func (s *Service) Verify(_ context.Context, c *Call, in *api.VerifyRequest) (*api.VerifyResponse, *api.Error) {
	if err := s.prepare(c, in.SigningAlgorithm, in.MessageType); err != nil {
		return nil, err
	}
	input, err := messageInput(in.Message, in.MessageType, in.SigningAlgorithm)
	if err != nil {
		return nil, err
	}
	mechanism := mechanismFor(in.SigningAlgorithm, in.MessageType)
	c.record.Digest = digestOf(mechanism, input)
	c.record.SignatureHash = hashOfSignature(in.Signature)
	versions, err := s.candidates(c, in.KeyVersion)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		key, err := s.pair(c, v)
		if err != nil {
			return nil, err
		}
		cause := key.Verify(mechanism, input, in.Signature)
		switch {
		case errors.Is(cause, hsm.ErrUnsupported): // the signature may be good: nothing here can tell
			return nil, s.tokenError(c, cause)
		case in.DryRun:
			return nil, dryRun()
		case cause == nil:
			c.record.KeyVersion = v.Number
			return &api.VerifyResponse{KeyId: c.record.KeyARN, SignatureValid: true, SigningAlgorithm: in.SigningAlgorithm, KeyVersion: v.Number}, nil
		}
	}
	return nil, api.Errorf(api.KMSInvalidSignature, "The signature was not made by %s with %s over this message.", c.record.KeyARN, in.SigningAlgorithm)
}

// prepare checks what Sign and Verify have in common and names it in the record.
func (s *Service) prepare(c *Call, a api.SigningAlgorithm, t api.MessageType) *api.Error {
	c.record.Algorithm, c.record.MessageType = string(a), string(t)
	if t == "" {
		c.record.MessageType = string(api.Raw)
	}
	if err := s.checkUsage(c, c.key, api.SignVerify); err != nil {
		return err
	}
	if t == api.ExternalMu && a != api.MLDSASHAKE256 {
		return api.Errorf(api.Validation, "MessageType %s is for ML-DSA keys. Use RAW or DIGEST.", t)
	}
	return checkSigning(c.key, a)
}

// approvedAs is what an approval calls that which is signed. A mu is not to be taken for
// a message of its length.
func approvedAs(in *api.SignRequest, input []byte, digest string) string {
	if in.MessageType == api.ExternalMu {
		return "mu:" + hex.EncodeToString(input)
	}
	return digest
}

func dryRun() *api.Error {
	return api.Errorf(api.DryRunOperation, "The request would have succeeded, but the DryRun option is set.")
}

// signInput is what the token signs: a digest, or the message for Ed25519.
func signInput(in *api.SignRequest) ([]byte, *api.Error) {
	if in.Body == nil {
		return messageInput(in.Message, in.MessageType, in.SigningAlgorithm)
	}
	if signsWhole(in.SigningAlgorithm) || in.MessageType == api.Digest {
		message, err := io.ReadAll(io.LimitReader(in.Body, maxMessage+1))
		if err != nil {
			return nil, unreadable(err)
		}
		switch {
		case len(message) == 0:
			return nil, emptyBody()
		case len(message) > maxMessage && in.MessageType != api.Digest:
			return nil, api.Errorf(api.Validation, "%s signs messages of at most %d bytes. Sign a digest of the file instead, or use a key of another spec.", in.SigningAlgorithm, maxMessage)
		}
		return messageInput(message, in.MessageType, in.SigningAlgorithm)
	}
	hash := mechanisms[in.SigningAlgorithm].Hash.New()
	n, err := io.Copy(hash, in.Body)
	if err != nil {
		return nil, unreadable(err)
	}
	if n == 0 {
		return nil, emptyBody()
	}
	// A file gives the signature that its digest would give.
	return messageInput(hash.Sum(nil), api.Digest, in.SigningAlgorithm)
}

func emptyBody() *api.Error {
	return api.Errorf(api.Validation, "The body is empty: send the file to sign as the body, for example with curl -T.")
}

func unreadable(cause error) *api.Error {
	var known *api.Error
	if errors.As(cause, &known) {
		return known
	}
	return &api.Error{Code: api.Validation, Cause: cause, Message: "The body ended before it was complete. Send it again."}
}

// messageInput hashes a RAW message, and checks the length of a DIGEST.
func messageInput(message []byte, t api.MessageType, a api.SigningAlgorithm) ([]byte, *api.Error) {
	switch a {
	case api.MLDSASHAKE256:
		switch {
		case t == api.Digest:
			return nil, api.Errorf(api.Validation, "Algorithm ML_DSA_SHAKE_256 requires MessageType RAW or EXTERNAL_MU.")
		case t == api.ExternalMu && len(message) != muSize:
			return nil, api.Errorf(api.Validation, "An external mu has %d bytes, not %d.", muSize, len(message))
		}
		return message, nil
	case api.Ed25519SHA512:
		if t != "" && t != api.Raw {
			return nil, api.Errorf(api.Validation, "Algorithm ED25519_SHA_512 requires MessageType RAW.")
		}
		return message, nil
	case api.Ed25519PHSHA512:
		if t != api.Digest {
			return nil, api.Errorf(api.Validation, "Algorithm ED25519_PH_SHA_512 requires MessageType DIGEST.")
		}
		if len(message) != sha512.Size {
			return nil, badDigest(a)
		}
		again := sha512.Sum512(message) // as AWS KMS does: Ed25519ph over the given bytes
		return again[:], nil
	}
	hash := mechanisms[a].Hash
	if t == api.Digest {
		if len(message) != hash.Size() {
			return nil, badDigest(a)
		}
		return message, nil
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil), nil
}

func badDigest(a api.SigningAlgorithm) *api.Error {
	return api.Errorf(api.Validation, "Digest is invalid length for algorithm %s.", a)
}

// digestOf names for the record what is signed: the digest itself, or the
// SHA-512 of a message that is signed whole.
func digestOf(m hsm.SignMechanism, input []byte) string {
	hash := m.Hash
	if hash == 0 {
		sum := sha512.Sum512(input)
		input, hash = sum[:], crypto.SHA512
	}
	return named(hash, input)
}

var hashNames = map[crypto.Hash]string{crypto.SHA256: "sha256:", crypto.SHA384: "sha384:", crypto.SHA512: "sha512:"}

// named writes a hash as the record has it, for example sha256:ab12….
func named(hash crypto.Hash, sum []byte) string {
	text := make([]byte, 0, 7+2*sha512.Size)
	return string(hex.AppendEncode(append(text, hashNames[hash]...), sum))
}
