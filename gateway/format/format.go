// Package format signs artifacts in the ways in which those who receive them check them, each with its own tool, and
// verifies them offline. Only digests go to the key, so whatever signs is a [crypto.Signer]; Ed25519, which signs
// messages, is sent what the format has it sign, of at most 4096 bytes.
//
// Each format is a file of this package and a line in [All].
package format

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hsmgate/hsmgate/gateway/publickey"
)

// Format is one way to sign an artifact.
type Format struct {
	Name    string // as people choose it
	Summary string // what is signed and what checks it, on one line
	Keys    string // the kinds of key that it takes, for people

	// Output gives the file of a detached signature by the name of its artifact. Nil is a format that puts the signature
	// into the artifact.
	Output func(artifact string) string
	// Also is a second signature that is made with this one. Its names are those of this one.
	Also *Format
	// Fits says, by an artifact's name and first bytes, that this is the format its kind is signed in. Nil: it is never
	// chosen by itself.
	Fits func(name string, head []byte) bool
	// Dated formats need Key.Created.
	Dated bool
	// Certified formats need the key's X.509 certificate.
	Certified bool
	// Stamped formats can hold a timestamp.
	Stamped bool

	suits  func(crypto.PublicKey) bool
	sign   func(ctx context.Context, k *Key, in *os.File, out io.Writer) error
	verify func(t *Trust, in *os.File, signature io.Reader) error
}

// ending makes the Output of a signature beside its artifact.
func ending(text string) func(string) string {
	return func(artifact string) string { return artifact + text }
}

// Key is what signs, with what formats say of it.
type Key struct {
	crypto.Signer
	// Created is when the key was made, or this version of it. It is a part of an OpenPGP key, and so of its fingerprint.
	Created time.Time
	// Certificates are the key's own, then those of its issuers; of formats that are Certified.
	Certificates []*x509.Certificate
	// UserID is the name in an OpenPGP certificate, such as "Release <release@example.org>".
	UserID string
	// Namespace of an SSH signature. Empty is "file".
	Namespace string
	// Comment of formats that sign one, such as minisign's trusted comment.
	Comment string
	// Predicate is what an attestation says of an artifact.
	Predicate *Predicate
	// Timestamp gets an RFC 3161 token over the digest of a signature, in DER; of formats that can hold one. Nil is none.
	Timestamp func(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error)
	// Now is the time of a signature. Nil is time.Now.
	Now func() time.Time
}

func (k *Key) now() time.Time {
	if k.Now == nil {
		return time.Now()
	}
	return k.Now()
}

// Trust is whose signatures are good.
type Trust struct {
	// Keys are public keys, any of which may have signed.
	Keys []crypto.PublicKey
	// Issuers are certificates of authorities; formats that are Certified take signers whose certificates they issued.
	Issuers []*x509.Certificate
	// Namespace of an SSH signature. Empty is "file".
	Namespace string
	// Predicate is what an attestation has to say. Nil is anything.
	Predicate *Predicate
	// Stamped asks for a timestamp in the signature, of formats that are Stamped. Whose it is, it does not say.
	Stamped bool
}

// All formats.
var All = []*Format{Raw, OpenPGP, Clearsign, APT, DEB, RPM, SSH, Minisign, JWS, COSE, CMS, Cosign, InToto, PE, MSI, CAB, CAT, PS1, AppX, JAR, APK}

var (
	// ErrNotGood: the signature was not made over this artifact by a trusted key.
	ErrNotGood = errors.New("the signature is not good")
	// ErrOther is an ErrNotGood of a trusted key, of an attestation or an image.
	ErrOther = errors.New("it is of another artifact")
	// ErrNotSigned: the artifact holds no signature of this format, or the file of the signature is none.
	ErrNotSigned = errors.New("there is no signature of this format")
	// ErrKey: the format does not take keys of this kind, or lacks what it needs beside the key.
	ErrKey = publickey.ErrKey
)

// Named gives the format of this name.
func Named(name string) (*Format, error) {
	names := make([]string, 0, len(All))
	for _, f := range All {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return nil, fmt.Errorf("there is no format %q: it is one of %s", name, strings.Join(names, ", "))
}

// headSize is how much of a file Fits may see.
const headSize = 4096

// Of finds the format of an artifact by its name and first bytes: Raw where no other one is the obvious choice.
func Of(in *os.File) (*Format, error) {
	head := make([]byte, headSize)
	n, err := in.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, f := range All {
		if f.Fits != nil && f.Fits(strings.ToLower(filepath.Base(in.Name())), head[:n]) {
			return f, nil
		}
	}
	return Raw, nil
}

// Suits says what is wrong with a key for this format, or nothing. The error is an ErrKey.
func (f *Format) Suits(k *Key) error {
	switch {
	case !f.suits(k.Public()):
		return fmt.Errorf("%w: %s takes %s, not %s", ErrKey, f.Name, f.Keys, publickey.KindOf(k.Public()))
	case f.Certified && len(k.Certificates) == 0:
		return fmt.Errorf("%w: %s needs the key's certificate", ErrKey, f.Name)
	case f.Certified && !samePublic(k.Certificates[0].PublicKey, k.Public()):
		return fmt.Errorf("%w: the first certificate, of %s, is another key's, or of another version of this key: a rotated key needs a certificate of its own", ErrKey, k.Certificates[0].Subject)
	}
	return nil
}

// Sign writes the signature, or the signed artifact, to out. What it has written when it fails is to be thrown away. The
// error is ErrArtifact when the artifact is broken, also where that ends in a panic of a library.
func (f *Format) Sign(ctx context.Context, k *Key, in *os.File, out io.Writer) (err error) {
	defer caught(&err)
	if err := f.Suits(k); err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.sign(ctx, k, in, out)
}

// Verify checks the signature in an artifact, or its detached one. The error is ErrNotGood or ErrNotSigned when that is
// the answer, and ErrArtifact when the artifact is broken, as in Sign.
func (f *Format) Verify(t *Trust, in *os.File, signature io.Reader) (err error) {
	defer caught(&err)
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.verify(t, in, signature)
}

// notGood is ErrNotGood with a reason.
func notGood(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotGood, fmt.Sprintf(format, args...))
}

// byAny is nil if one of the trusted keys satisfies check.
func (t *Trust) byAny(check func(crypto.PublicKey) error) error {
	err := notGood("no key is trusted")
	for _, key := range t.Keys {
		if err = check(key); err == nil {
			return nil
		}
	}
	if errors.Is(err, ErrNotGood) || errors.Is(err, ErrNotSigned) {
		return err
	}
	return notGood("%v", err)
}
