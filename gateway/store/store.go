// Package store keeps the metadata of the gateway in SQLite or PostgreSQL: keys
// and their versions, aliases, principals and their credentials. A key is a Line, which
// all regions have in common, and what each region says of it. Private keys are not
// here; they live in the token.
//
// Everything that a request reads comes from memory, loaded by Open. A write
// is one transaction, durable when the method returns; memory changes after
// it, and not at all when it fails. Values behind the returned pointers are
// immutable and shared: a change replaces the pointer, so callers compare,
// keep and read them freely but never modify them.
//
// Several processes may open one database: writes come one after the other, a
// write first takes in what others wrote, and Watch does so within about a second.
// A SQLite file is for processes of one machine.
//
// A database that is away stops writes (ErrUnavailable); reads go on from memory,
// Ready says that it may be out of date and Stale for how long.
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
	StateCreating               = "Creating"               // an intent: the token object may or may not exist yet
	StateEnabled                = "Enabled"                //
	StateDisabled               = "Disabled"               //
	StatePendingImport          = "PendingImport"          // without material
	StatePendingDeletion        = "PendingDeletion"        // Key.DeletionAt says until when
	StatePendingReplicaDeletion = "PendingReplicaDeletion" // until the replicas are gone; then Key.PendingDays
	StateDeleted                = "Deleted"                // a tombstone, so that the id is never used again
)

// Key is the metadata of one key in one region. Immutable.
type Key struct {
	Region      string
	ID          string // UUID, or mrk- and 32 hex digits
	Description string
	State       string
	CreatedAt   time.Time
	DeletionAt  time.Time // zero unless State is PendingDeletion
	PendingDays int       // zero unless State is PendingReplicaDeletion
	Tags        []Tag     // sorted by Name
	Policy      *Document // nil: AWS KMS's default policy
	Line
}

// Line is what a key is in all regions that have it.
type Line struct {
	Spec          string // KeySpec of KMS, for example ECC_NIST_P256
	Usage         string // KeyUsage of KMS, for example SIGN_VERIFY
	Origin        string // OriginType of KMS
	Token         string // name of the token that holds it; "" is the default one
	MultiRegion   bool
	PrimaryRegion string        // "" unless MultiRegion
	RotationDays  int           // 0: it does not rotate by itself
	NextRotation  time.Time     // zero unless RotationDays is set
	DestroyedAt   time.Time     // zero unless the key is Deleted everywhere and its token objects are gone
	Owner         string        // the process that makes its first token object, destroys those of a deleted key, or does what it is due for; see Claim and ClaimKey
	OwnedAt       time.Time     // zero unless there is an Owner
	Versions      []Version     // sorted by Number
	Rule          *ApprovalRule // who has to approve its signatures; nil: nobody
	Publication   *Publication  // under which name anybody may read its public keys; nil: nobody may
}

// Tag is a name and a value on a key.
type Tag struct{ Name, Value string }

// Version is the material of a key from some time on. Immutable.
type Version struct {
	Number      int    // from 1
	ObjectID    []byte // CKA_ID, unique among all versions that ever were; nil: imported material that is gone
	PublicKey   []byte // SPKI, DER; nil for a secret key, and while the key is Creating
	Check       []byte // what a secret key is known by; see hsm.NewSecret
	CreatedAt   time.Time
	CurrentAt   time.Time // from when it is the version that is used; zero: imported, and waits for a rotation
	Rotation    string    // RotationType of KMS that brought it; "" for the first
	MaterialID  string    // 64 hex digits
	Description string    // of imported material
	ExpiresAt   time.Time // of imported material; zero: never
	Uses        uint64    // encryptions under a random IV that were set aside so far; see ReserveUses
}

// begun says whether a version is or was the one that is used.
func (v *Version) begun(now time.Time) bool {
	return !v.CurrentAt.IsZero() && !v.CurrentAt.After(now)
}

// Current is the version that is used at a time: the last that has begun by
// then. False while there is none, or its material is gone or has expired.
func (l *Line) Current(now time.Time) (Version, bool) {
	for i := len(l.Versions) - 1; i >= 0; i-- {
		if v := l.Versions[i]; !v.CurrentAt.IsZero() && !v.CurrentAt.After(now) {
			return v, v.Usable(now)
		}
	}
	return Version{}, false
}

// Version finds a version by its number.
func (l *Line) Version(number int) (Version, bool) {
	for _, v := range l.Versions {
		if v.Number == number {
			return v, true
		}
	}
	return Version{}, false
}

// Alias is another name of a key in its region. Immutable.
type Alias struct {
	Region    string
	Name      string // with its "alias/"
	KeyID     string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Principal is somebody who may call, or a role, whose sessions may. Immutable.
type Principal struct {
	ARN       string
	Name      string
	Role      string
	Keys      []string // ids of keys, sorted
	Policies  []string // names of identity policies, sorted
	Tags      []Tag    // sorted by Name
	CreatedAt time.Time

	// SessionsSince is when the sessions of a role were last ended; zero: never.
	SessionsSince time.Time
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
