package client

import (
	"context"
	"crypto"
	"crypto/sha256"
	_ "crypto/sha512" // a hash of the signing algorithms
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// maxMessage is the longest message in bytes that travels whole.
const maxMessage = 4096

// SignFile signs what r holds, of any size: it is hashed here, and only the
// digest travels. algorithm "" is the first that the key lists, which costs one
// more call. ED25519_SHA_512 signs the message itself, of at most 4096 bytes;
// ED25519_PH_SHA_512 signs the SHA-512 of r as its message, as AWS KMS has it.
func (c *Client) SignFile(ctx context.Context, ref string, algorithm api.SigningAlgorithm, r io.Reader) (*api.SignResponse, error) {
	return c.SignFileAs(ctx, &api.SignRequest{KeyTarget: api.KeyTarget{KeyId: ref}, SigningAlgorithm: algorithm}, r)
}

// SignFileAs is SignFile for a request with more than a key and an algorithm, such
// as a SigningContext. The message is that of r. An Artifact without a Digest is
// stated to have the SHA-256 of r.
func (c *Client) SignFileAs(ctx context.Context, in *api.SignRequest, r io.Reader) (*api.SignResponse, error) {
	request := *in
	whole := sha256.New()
	if a := in.Artifact; a != nil && a.Digest == "" {
		r = io.TeeReader(r, whole)
	}
	var err error
	if request.SigningAlgorithm, err = c.algorithm(ctx, in.KeyId, in.SigningAlgorithm); err != nil {
		return nil, err
	}
	if request.Message, request.MessageType, err = Message(request.SigningAlgorithm, r); err != nil {
		return nil, err
	}
	if a := in.Artifact; a != nil && a.Digest == "" {
		stated := *a
		stated.Digest = "sha256:" + hex.EncodeToString(whole.Sum(nil))
		request.Artifact = &stated
	}
	return c.Sign(ctx, &request)
}

// VerifyFile asks the gateway whether a signature over what r holds is good,
// with the same rules as SignFile. A bad one is an error with the code
// api.KMSInvalidSignature.
func (c *Client) VerifyFile(ctx context.Context, ref string, algorithm api.SigningAlgorithm, r io.Reader, signature []byte) (*api.VerifyResponse, error) {
	algorithm, err := c.algorithm(ctx, ref, algorithm)
	if err != nil {
		return nil, err
	}
	message, messageType, err := Message(algorithm, r)
	if err != nil {
		return nil, err
	}
	return c.Verify(ctx, &api.VerifyRequest{KeyTarget: api.KeyTarget{KeyId: ref}, Message: message,
		MessageType: messageType, Signature: signature, SigningAlgorithm: algorithm})
}

// algorithm answers the caller's choice or the key's first.
func (c *Client) algorithm(ctx context.Context, ref string, chosen api.SigningAlgorithm) (api.SigningAlgorithm, error) {
	if chosen != "" {
		return chosen, nil
	}
	described, err := c.DescribeKey(ctx, &api.DescribeKeyRequest{KeyTarget: api.KeyTarget{KeyId: ref}})
	if err != nil {
		return "", err
	}
	list := described.KeyMetadata.SigningAlgorithms
	if len(list) == 0 {
		return "", api.Errorf(api.InvalidKeyUsage, "%s does not sign: its usage is %s.", described.KeyMetadata.Arn, described.KeyMetadata.KeyUsage)
	}
	return list[0], nil
}

// Message makes of a file what Sign and Verify take for this algorithm: a
// digest, or the message itself for ED25519_SHA_512.
func Message(algorithm api.SigningAlgorithm, r io.Reader) ([]byte, api.MessageType, error) {
	if algorithm == api.Ed25519SHA512 {
		message, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
		if err == nil && len(message) > maxMessage {
			err = api.Errorf(api.Validation, "ED25519_SHA_512 signs messages of at most %d bytes. Use ED25519_PH_SHA_512, or a key of another spec.", maxMessage)
		}
		return message, api.Raw, err
	}
	hash, err := Hash(algorithm)
	if err != nil {
		return nil, "", err
	}
	h := hash.New()
	if _, err := io.Copy(h, r); err != nil {
		return nil, "", fmt.Errorf("read what is to be hashed: %w", err)
	}
	return h.Sum(nil), api.Digest, nil
}

// Hash is the hash of a signing algorithm, by its name's end.
func Hash(algorithm api.SigningAlgorithm) (crypto.Hash, error) {
	switch _, bits, _ := strings.Cut(string(algorithm), "_SHA_"); bits {
	case "256":
		return crypto.SHA256, nil
	case "384":
		return crypto.SHA384, nil
	case "512":
		return crypto.SHA512, nil
	}
	return 0, api.Errorf(api.Validation, "%q is not a signing algorithm. See the SigningAlgorithms that the key lists.", algorithm)
}
