// Package store keeps the metadata of the gateway in SQLite: keys and their
// versions, aliases, principals and their credentials. Private keys are not
// here; they live in the token.
//
// Everything that a request reads comes from memory, loaded by Open. A write
// is one transaction, durable when the method returns; memory changes after
// it, and not at all when it fails. Values behind the returned pointers are
// immutable and shared: a change replaces the pointer, so callers compare,
// keep and read them freely but never modify them.
//
// Several processes may open one file: a write first takes in what others
// wrote, and Watch does so about once a second.
//
// Times are kept in microseconds, UTC.
package store

import (
	"errors"
	"time"
)

// Errors of reads and writes, for errors.Is. The text of an error names the
// object.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	// ErrState: the key is not in a state that the write asked for.
	ErrState = errors.New("wrong key state")
	// ErrInvalid: a value that can not be stored.
	ErrInvalid = errors.New("invalid value")
)

// States of a key.
const (
	StateCreating        = "Creating"        // an intent: the token object may or may not exist yet
	StateEnabled         = "Enabled"         //
	StateDisabled        = "Disabled"        //
	StatePendingDeletion = "PendingDeletion" // Key.DeletionAt says until when
	StateDeleted         = "Deleted"         // a tombstone, so that the id is never used again
)

// Key is the metadata of one key. Immutable.
type Key struct {
	ID          string // UUID, or mrk- and 32 hex digits
	Spec        string // KeySpec of KMS, for example ECC_NIST_P256
	Usage       string // KeyUsage of KMS, for example SIGN_VERIFY
	Description string
	State       string
	CreatedAt   time.Time
	DeletionAt  time.Time // zero unless State is PendingDeletion
	DestroyedAt time.Time // zero unless State is Deleted and the token object is gone
	Versions    []Version // sorted by Number, the current one last
}

// Version is one token object of a key. Immutable.
type Version struct {
	Number    int    // from 1
	ObjectID  []byte // CKA_ID, unique among all versions that ever were
	PublicKey []byte // SPKI, DER; nil while the key is Creating
	CreatedAt time.Time
}

// Alias is another name of a key. Immutable.
type Alias struct {
	Name      string // with its "alias/"
	KeyID     string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Principal is somebody who may call. Immutable.
type Principal struct {
	ARN       string
	Name      string
	Role      string
	Keys      []string // ids of keys, sorted
	CreatedAt time.Time
}

// Bearer is a bearer token without its secret. Immutable.
type Bearer struct {
	ID           string
	Hash         []byte // SHA-256 of the secret
	PrincipalARN string
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
}

// AccessKey is an AWS-style access key with its secret sealed. Immutable.
type AccessKey struct {
	ID           string
	SealedSecret []byte
	PrincipalARN string
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	Disabled     bool
}
