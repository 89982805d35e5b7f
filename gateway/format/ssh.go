package format

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// SSH is the signature of `ssh-keygen -Y sign` (OpenSSH's PROTOCOL.sshsig).
var SSH = &Format{
	Name: "ssh", Summary: "any file: an SSH signature; ssh-keygen -Y verify", Keys: "RSA, P-256, P-384, P-521, Ed25519", Output: ending(".sshsig"), suits: isRSANISTOrEd25519,
	sign: func(_ context.Context, k *Key, in *os.File, out io.Writer) error {
		signer := &faithful{Signer: k.Signer}
		s, err := ssh.NewSignerFromSigner(signer)
		if err != nil {
			return err
		}
		sig, err := sshsig.Sign(in, s, sshsig.HashSHA512, namespace(k.Namespace))
		if signer.err != nil {
			return signer.err
		}
		if err != nil {
			return err
		}
		_, err = out.Write(sshsig.Armor(sig))
		return err
	},
	verify: func(t *Trust, in *os.File, signature io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(signature, maxSignature))
		if err != nil {
			return err
		}
		sig, err := sshsig.Unarmor(text)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotSigned, err)
		}
		return t.byAny(func(key crypto.PublicKey) error {
			public, err := ssh.NewPublicKey(key)
			if err != nil {
				return err
			}
			if _, err := in.Seek(0, io.SeekStart); err != nil {
				return err
			}
			err = sshsig.Verify(in, sig, public, sig.HashAlgorithm, namespace(t.Namespace))
			switch {
			case errors.Is(err, sshsig.ErrPublicKeyMismatch):
				return notGood("it is of the SSH key %s", ssh.FingerprintSHA256(sig.PublicKey))
			case errors.Is(err, sshsig.ErrNamespaceMismatch):
				return notGood("it is for the namespace %q, not %q", sig.Namespace, namespace(t.Namespace))
			}
			return err
		})
	},
}

func namespace(name string) string {
	if name == "" {
		return "file"
	}
	return name
}
