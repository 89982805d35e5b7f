package client

import (
	"context"
	"crypto"
	"crypto/rsa"
	"io"

	"github.com/hsmgate/hsmgate/gateway/api"
)

// Decrypter decrypts with an RSA key of the gateway wherever Go takes a
// [crypto.Decrypter]. Errors are those of [Client.Decrypt].
type Decrypter struct {
	pair
	GrantTokens []string // of each call; set them before the first one
}

// NewDecrypter makes a decrypter with the key that ref names, whose public key it
// asks for, once. Its calls have ctx.
func NewDecrypter(ctx context.Context, c *Client, ref string) (*Decrypter, error) {
	p, err := newPair(ctx, c, ref, api.EncryptDecrypt)
	if err != nil {
		return nil, err
	}
	return &Decrypter{pair: *p}, nil
}

// WithContext is the same decrypter, whose calls have ctx.
func (d *Decrypter) WithContext(ctx context.Context) *Decrypter {
	other := *d
	other.ctx = ctx
	return &other
}

// Decrypt decrypts what was encrypted with RSA-OAEP. opts are [*rsa.OAEPOptions] with
// SHA-1 or SHA-256 and without a label. The first argument is not used.
func (d *Decrypter) Decrypt(_ io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	algorithm, err := d.algorithm(opts)
	if err != nil {
		return nil, err
	}
	version := d.key.KeyVersion
	out, err := d.client.Decrypt(d.ctx, &api.DecryptRequest{KeyTarget: api.KeyTarget{KeyId: d.ref}, CiphertextBlob: ciphertext,
		EncryptionAlgorithm: algorithm, GrantTokens: d.GrantTokens, KeyVersion: &version})
	if err != nil {
		return nil, err
	}
	if err := d.same(out.KeyId, out.KeyVersion); err != nil {
		clear(out.Plaintext)
		return nil, err
	}
	return out.Plaintext, nil
}

func (d *Decrypter) algorithm(opts crypto.DecrypterOpts) (api.EncryptionAlgorithm, error) {
	o, ok := opts.(*rsa.OAEPOptions)
	if !ok {
		return "", api.Errorf(api.UnsupportedOperation, "%s decrypts RSA-OAEP alone: give *rsa.OAEPOptions, not %T.", d.key.KeyId, opts)
	}
	if len(o.Label) != 0 || o.MGFHash != 0 && o.MGFHash != o.Hash {
		return "", api.Errorf(api.UnsupportedOperation, "RSA-OAEP has no label here, and one hash for all.")
	}
	switch o.Hash {
	case crypto.SHA1:
		return api.OAEPSHA1, nil
	case crypto.SHA256:
		return api.OAEPSHA256, nil
	}
	return "", api.Errorf(api.UnsupportedOperation, "RSA-OAEP is with SHA-1 or SHA-256 here, not with hash %d.", o.Hash)
}
