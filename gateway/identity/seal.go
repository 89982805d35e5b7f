package identity

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SealKeySize is the length of a seal key in bytes (AES-256).
const SealKeySize = 32

func newSeal(key []byte) (cipher.AEAD, error) {
	if len(key) != SealKeySize {
		return nil, fmt.Errorf("identity: %w: it has %d bytes and %d are asked for", ErrSealKey, len(key), SealKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w: %w", ErrSealKey, err)
	}
	// The nonce is random and stands before the ciphertext. Random nonces
	// are safe for 2^32 secrets under one key (NIST SP 800-38D, 8.3).
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("identity: %w: %w", ErrSealKey, err)
	}
	return aead, nil
}

// sealed encrypts a secret, bound to its id: moved to another id it does not
// open.
func (i *Identities) sealed(id, secret string) []byte {
	return i.seal.Seal(nil, nil, []byte(secret), []byte(id))
}

func (i *Identities) open(id string, sealed []byte) (string, error) {
	secret, err := i.seal.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return "", fmt.Errorf("identity: %w: the secret of access key %s was sealed under another key, or the database was changed: "+
			"start with the seal key that belongs to this database, or delete the access key", ErrSealKey, id)
	}
	return string(secret), nil
}

// CreateSealKey makes a random seal key and writes it to a new file, mode
// 0600, as 64 hex digits. It never replaces a file: an error that is
// fs.ErrExist then. The file is there whole or not at all.
func CreateSealKey(path string) ([]byte, error) {
	key := make([]byte, SealKeySize)
	rand.Read(key)                                           // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), ".seal-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("identity: create the seal key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(hex.EncodeToString(key) + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, fmt.Errorf("identity: create the seal key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return nil, fmt.Errorf("identity: create the seal key: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("identity: create the seal key: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return nil, fmt.Errorf("identity: create the seal key: %w", err)
	}
	return key, nil
}

// ReadSealKey reads a file that CreateSealKey made. ErrSealKey when others
// than its owner may read or write it, or when it does not hold a key; no
// error tells its content.
func ReadSealKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would wait for its writer
	if err != nil {
		return nil, fmt.Errorf("identity: read the seal key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("identity: read the seal key: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("identity: %w: %s is not a regular file", ErrSealKey, path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("identity: %w: %s has mode %04o, so others than its owner may use it: chmod 600 %s",
			ErrSealKey, path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("identity: read the seal key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != SealKeySize {
		return nil, fmt.Errorf("identity: %w: %s does not hold %d hex digits", ErrSealKey, path, 2*SealKeySize)
	}
	return key, nil
}
